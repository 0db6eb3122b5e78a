"""The results store: what is known about every cell, on disk, whole or absent."""

from bench.records.folders import StoreError
from bench.records.schema import (
    SCHEMA,
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
from bench.records.store import Problem, Store
from bench.records.trials import Trial, TrialStore

__all__ = [
    "SCHEMA",
    "STATUSES",
    "Environment",
    "Failure",
    "Identity",
    "Metric",
    "Problem",
    "Record",
    "Result",
    "Rows",
    "Selected",
    "Series",
    "Snapshot",
    "Status",
    "Store",
    "StoreError",
    "Trial",
    "TrialStore",
]
