"""Makes records for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records import (
    Circumstances,
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
from bench.records.encoding import Value


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


def circumstances(**changes: Any) -> Circumstances:
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
    return Circumstances(**(fields | changes))


def result(value: float = 0.5, notes: dict[str, Any] | None = None) -> Result:
    metric = Metric(
        query="image", gallery="text", protocol="map@all", selection="best", value=value, queries=3, items=4
    )
    return Result(
        selection="best",
        selected=[Selected(rule="best", criterion="validation mAP@all", epoch=7, value=0.61)],
        audit="the test split was opened after the selection was written down",
        pairing="natural",
        split="standard",
        rows={"image": Rows(train=10, validation=2, test=3, dimension=5)},
        metrics=[metric],
        notes={} if notes is None else notes,
    )


def record(seed: int = 0, status: Status = "done", reason: str = "why", **changes: Any) -> Record:
    """Return a record of a cell; `changes` are fields of its identity."""
    done = status == "done"
    return Record(
        identity=identity(seed, **changes),
        status=status,
        result=result() if done else None,
        failure=None if done else Failure(reason=reason, kind="exit"),
        circumstances=circumstances(),
    )


def per_query(seed: int = 0) -> dict[tuple[str, str, str, str], NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    return {
        Series("best", "map@50/hits", "image", "text"): random.random(3),
        Series("best", "map@all", "text", "image"): random.random(4),
        Series("best", "map@all", "image", "text"): random.random(3),
    }


TRACE: list[dict[str, Value]] = [
    {"stage": "prior", "epoch": 1, "loss": 0.1 + 0.2},
    {"stage": "recast", "epoch": 1, "loss": 1e-300, "validation_map": 1 / 3},
]
