"""Cells that differ from one cell in one field of their identity, or in two."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any, Final

import msgspec
import numpy as np

from bench import registry
from bench.records import Record, Series
from bench.records.schema import MethodSnapshot
from tests.analysis.making import Shelf, metric, with_result
from tests.records import making

HARNESS: Final = "data 1, evaluation 1, experiment 1"
SETTINGS: Final[dict[str, Any]] = {"epochs": 20, "learning_rate": 0.001}
BASE: Final[dict[str, Any]] = {
    "method": "drcl",
    "variant": "full",
    "dataset": "emoji",
    "data_kind": "real",
    "fingerprint": "f" * 16,
    "modalities": ("image", "text"),
    "seed": 0,
    "profile": "quick",
    "threads": 1,
    "settings": SETTINGS,
    "device": "cpu",
    "harness": HARNESS,
    "code": "training 1, drcl 1",
}
OTHERWISE: Final[dict[str, list[Any]]] = {
    "method": ["mcca"],
    "variant": ["without_fa"],
    "dataset": ["wikipedia"],
    "data_kind": ["look-alike"],
    "fingerprint": ["0" * 16],
    "modalities": [
        ("text", "image"),
        ("image", "audio"),
        ("image", "text", "audio"),
        ("image", "text", "video"),
        ("image", "audio", "text"),
    ],
    "seed": [1],
    "profile": ["paper"],
    "threads": [4],
    "settings": [{**SETTINGS, "epochs": 5}, {**SETTINGS, "epochs": 20.0}],
    "device": ["cuda", ""],
    "harness": ["data 1, evaluation 2, experiment 1", ""],
    "condition": ["label-noise@0.2", "label-noise@0.4"],
    "code": ["training 1, drcl 2", ""],
}
"""For every field of an identity, values that another cell may have."""


def changes() -> list[dict[str, Any]]:
    """Return no change, each change of one field, and each of two fields."""
    single = [(field, value) for field, values in OTHERWISE.items() for value in values]
    pairs = [dict(pair) for pair in combinations(single, 2) if pair[0][0] != pair[1][0]]
    return [{}, *(dict([one]) for one in single), *pairs]


def add(shelf: Shelf, value: float, **fields: Any) -> Record:
    """Add a finished cell whose numbers are all ``value``."""
    fields = {**BASE, **fields}
    directions = list(permutations(fields["modalities"], 2))
    rules, queries = ("best", "last", "oracle"), np.array([-0.001, 0.0, 0.001]) + value
    record = making.record(**fields)
    assert record.result is not None
    arrays = {Series(rule, "map@all", *each): queries.copy() for each in directions for rule in rules}
    record = with_result(
        record,
        metrics=[metric(each, value, selection=rule, items=3) for each in directions for rule in rules],
        split=registry.registered().datasets[fields["dataset"]].card.split,
        selected=[msgspec.structs.replace(record.result.selected[0], rule=rule) for rule in rules],
        rows={name: msgspec.structs.replace(one, test=3) for name, one in record.result.rows.items()},
    )
    snapshot = MethodSnapshot(card={"title": fields["method"].upper()}, usual=SETTINGS, origins={})
    record = msgspec.structs.replace(record, method=snapshot)
    shelf.records.append(record)
    shelf.arrays[record.digest] = arrays
    return record
