"""Makes records for the tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.records import (
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
from bench.records.encoding import FILES, SNAPSHOT, Value, encode_sums

PROTOCOLS = ("map@all", "map@50/hits")
TEST_ROWS = {"image": 3, "text": 4}


def identity(seed: int = 0, **changes: Any) -> Identity:
    fields: dict[str, Any] = {
        "method": "drcl",
        "variant": "full",
        "dataset": "emoji",
        "data_kind": "real",
        "fingerprint": "f" * 16,
        "modalities": ("image", "text"),
        "seed": seed,
        "profile": "quick",
        "threads": 1,
        "settings": {"epochs": 20, "learning_rate": 1e-4, "layers": [512, 128], "loss": "gce", "cap": None},
    }
    return Identity(**(fields | changes))


def environment(**changes: Any) -> Environment:
    fields: dict[str, Any] = {
        "started": "2026-01-02T03:04:05.678+00:00",
        "seconds": {"load": 0.1, "fit": 2.5, "total": 2.75},
        "peak_memory": 123_456_789,
        "peak_device_memory": None,
        "device": "cpu",
        "host": {"name": "here"},
        "versions": {"python": "3.11"},
        "commit": "",
        "dirty": False,
        "source": "s" * 16,
        "command": "python -m bench run",
    }
    return Environment(**(fields | changes))


def result(
    value: float = 0.5, notes: dict[str, Any] | None = None, modalities: Sequence[str] = ("image", "text")
) -> Result:
    rows = {name: _rows(TEST_ROWS.get(name, 3)) for name in modalities}
    return Result(
        selection="best",
        selected=[Selected(rule="best", criterion="validation mAP@all", epoch=7, value=0.61)],
        audit="the test split was opened after the selection was written down",
        pairing="natural",
        split="standard",
        rows=rows,
        metrics=[_metric(series, value, rows) for series in _series(modalities)],
        notes=notes or {},
    )


def record(seed: int = 0, status: Status = "done", reason: str = "why", **changes: Any) -> Record:
    """Return a record of a cell; `changes` are fields of its identity."""
    cell, done = identity(seed, **changes), status == "done"
    return Record(
        identity=cell,
        status=status,
        result=result(modalities=cell.modalities) if done else None,
        failure=None if done else Failure(reason=reason, kind="exit"),
        environment=environment(),
    )


def per_query(
    value: float = 0.5, spread: float = 0.25, modalities: Sequence[str] = ("image", "text")
) -> dict[tuple[str, str, str, str], NDArray[np.float64]]:
    """Return values per query whose means are those of `result`; ``spread`` is how far they are from it."""
    return {
        series: np.linspace(value - spread, value + spread, TEST_ROWS.get(series.query, 3))
        for series in _series(modalities)
    }


def values_of(record: Record) -> dict[tuple[str, str, str, str], NDArray[np.float64]]:
    """Return values per query for any record: every query has the value of its metric."""
    return {
        Series(one.selection, one.protocol, one.query, one.gallery): np.full(one.queries, one.value)
        for one in (record.result.metrics if record.result is not None else ())
    }


def measured(
    record: Record, arrays: Mapping[tuple[str, str, str, str], NDArray[np.float64]], rows: int
) -> Record:
    """Return the record of a finished cell with ``rows`` test rows, whose values per query are ``arrays``."""
    assert record.result is not None
    (chosen,) = record.result.selected
    sizes = dict.fromkeys(record.identity.modalities, _rows(rows))
    result = msgspec.structs.replace(
        record.result,
        metrics=[_metric(Series(*key), float(values.mean()), sizes) for key, values in arrays.items()],
        selected=[msgspec.structs.replace(chosen, rule=rule) for rule in sorted({key[0] for key in arrays})],
        rows=sizes,
    )
    return msgspec.structs.replace(record, result=result)


def _rows(test: int) -> Rows:
    return Rows(train=10, validation=2, test=test, dimension=5)


def _metric(series: Series, value: float, rows: Mapping[str, Rows]) -> Metric:
    queries, items = rows[series.query].test, rows[series.gallery].test
    return Metric(**series._asdict(), value=value, queries=queries, items=items)


def reseal(folder: Path, name: str, content: bytes) -> None:
    """Change a file of a record and make the checksums agree, as a careful forger would."""
    (folder / name).write_bytes(content)
    names = {path.name for path in folder.iterdir()} & {*FILES, SNAPSHOT}
    files = {name: (folder / name).read_bytes() for name in names}
    (folder / "sha256sums.txt").write_bytes(encode_sums(files))


def raising(number: int) -> Callable[..., NoReturn]:
    """Return a function that fails as the system does with this number."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


def _series(modalities: Sequence[str]) -> list[Series]:
    pairs = [*permutations(modalities, 2)]
    return [Series("best", protocol, *pair) for protocol in PROTOCOLS for pair in pairs]


TRACE: list[dict[str, Value]] = [
    {"stage": "prior", "epoch": 1, "loss": 0.1 + 0.2},
    {"stage": "recast", "epoch": 1, "loss": 1e-300, "validation_map": 1 / 3},
]
