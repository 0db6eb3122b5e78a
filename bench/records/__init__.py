"""The results store: what is known about every cell, on disk, whole or absent."""

from bench.records.folders import StoreError
from bench.records.schema import (
    STATUSES,
    Environment,
    Failure,
    Identity,
    Metric,
    Record,
    Result,
    Rows,
    Selected,
    Series,
    Status,
)
from bench.records.snapshot import Snapshot
from bench.records.store import Store
from bench.records.trials import Trial, TrialStore
