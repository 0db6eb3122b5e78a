"""Records with average precisions per query, and the fields that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from bench.analysis.per_query import PerQueryRow
from bench.records import Metric, Record, Series
from tests.records import making

IT, TI = ("image", "text"), ("text", "image")
Values = Mapping[tuple[str, str], ArrayLike]


def metric(direction: tuple[str, str], value: float = 0.25, protocol: str = "map@all", **more: Any) -> Metric:
    """Return one number of a record."""
    query, gallery = direction
    fields = {"selection": "best", "queries": 3, "items": 4, **more}
    return Metric(query=query, gallery=gallery, protocol=protocol, value=value, **fields)


def close(value: float, **tolerance: Any) -> Any:
    """Return `pytest.approx` of a number, for comparison as a part of a tuple."""
    return pytest.approx(value, **tolerance)


def with_result(record: Record, **changes: Any) -> Record:
    """Return a finished record with some fields of its result changed."""
    assert record.result is not None
    return msgspec.structs.replace(record, result=msgspec.structs.replace(record.result, **changes))


@dataclass
class Shelf:
    """Records and their arrays, as a store gives them."""

    records: list[Record] = field(default_factory=list)
    arrays: dict[str, dict[Series, NDArray[np.float64]]] = field(default_factory=dict)

    def add(
        self, values: Values, *, selection: str = "best", protocol: str = "map@all", **changes: Any
    ) -> Record:
        """Add the record of a finished cell; ``changes`` are fields of its identity."""
        record = making.record(**changes)
        assert record.result is not None
        arrays = {
            Series(selection, protocol, *direction): np.asarray(numbers, dtype=np.float64)
            for direction, numbers in values.items()
        }
        queries = {series.query: len(numbers) for series, numbers in arrays.items()}
        metrics = []
        for series, numbers in arrays.items():
            sizes = {"queries": len(numbers), "items": queries.get(series.gallery, 4)}
            direction = series.query, series.gallery
            metrics.append(metric(direction, float(numbers.mean()), protocol, selection=selection, **sizes))
        rows = {
            name: msgspec.structs.replace(one, test=queries.get(name, 4))
            for name, one in record.result.rows.items()
        }
        record = with_result(record, metrics=metrics, rows=rows)
        self.records.append(record)
        self.arrays[record.digest] = arrays
        return record

    @property
    def per_query(self) -> Callable[[str], Mapping[Series, NDArray[np.float64]]]:
        """Return what gives a record's arrays by its digest."""
        return lambda digest: self.arrays.get(digest, {})


def member(label: str, values: Mapping[tuple[str, str], Mapping[int, ArrayLike]], **more: Any) -> PerQueryRow:
    """Return a row: direction -> seed -> average precisions."""
    fields: dict[str, Any] = {"method": label.lower(), "variant": "full", "usual": True}
    arrays = {
        direction: {seed: np.asarray(numbers, dtype=np.float64) for seed, numbers in by_seed.items()}
        for direction, by_seed in values.items()
    }
    return PerQueryRow(label=label, values=arrays, **(fields | more))
