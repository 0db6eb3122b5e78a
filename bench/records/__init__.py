"""The results store: what is known about every cell, on disk, whole or absent."""

from bench.records.encoding import Series
from bench.records.folders import StoreError
from bench.records.schema import (
    SCHEMA,
    STATUSES,
    Circumstances,
    Failure,
    Identity,
    Metric,
    Record,
    Result,
    Rows,
    Selected,
    Status,
)
from bench.records.store import Problem, Store
from bench.records.view import View

__all__ = [
    "SCHEMA",
    "STATUSES",
    "Circumstances",
    "Failure",
    "Identity",
    "Metric",
    "Problem",
    "Record",
    "Result",
    "Rows",
    "Selected",
    "Series",
    "Status",
    "Store",
    "StoreError",
    "View",
]
