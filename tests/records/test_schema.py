"""A record with valid checksums but impossible numbers is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import DataError
from bench.records import Record, Selected, Series, Store
from bench.records.encoding import (
    Damaged,
    decode_per_query,
    decode_record,
    encode_per_query,
    encode_record,
)
from bench.records.merging import merge
from tests.records import making

MODALITIES = ("image", "text", "audio")


def record(seed: int = 0) -> Record:
    """Return a record of three modalities and three rules, one of them refused, with all fields filled."""
    made = making.record(seed, modalities=MODALITIES)
    assert made.result is not None
    epoch, value = {"image": 7, "text": 3}, {"image": 0.6}
    rules = ("best", "last", "oracle")
    metrics = made.result.metrics
    last = [msgspec.structs.replace(metric, selection="last") for metric in metrics]
    result = msgspec.structs.replace(
        made.result,
        selected=[Selected(rule=rule, criterion="mAP", epoch=epoch, value=value) for rule in rules],
        metrics=[*metrics, *last],
        refused={"oracle": "it cannot be ranked"},
        zero_rows={"best": {"text": 1}},
        chance={f"{metric.query}>{metric.gallery}": 0.25 for metric in metrics},
    )
    return msgspec.structs.replace(made, result=result)


def write(store: Store, seed: int = 0) -> Path:
    made = record(seed)
    store.write(made, making.values_of(made), making.TRACE, "log")
    return store.runs / made.digest


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


WRONG: dict[type, st.SearchStrategy[Any]] = {
    float: st.sampled_from([-1, -1e-9, 1.0000001, 5.0, 1e300]),
    int: st.sampled_from([-1, 0, 5, 400]),
    str: st.sampled_from(["", "images", "video", "text ", "none", "map@", "recall@10", "xap@all"]),
}
NEGATIVE = st.integers(max_value=-1)
PLAIN = json.loads(encode_record(record()))
FIELDS: list[tuple[list[Any], st.SearchStrategy[Any]]] = [
    *(
        (["metrics", number, name], WRONG[type(value)])
        for number, metric in enumerate(PLAIN["result"]["metrics"])
        for name, value in metric.items()
    ),
    *((["rows", name, "test"], WRONG[int]) for name in MODALITIES),
    *((["rows", name, part], NEGATIVE) for name in MODALITIES for part in ("train", "validation")),
    *((["rows", name, "dimension"], st.integers(max_value=0)) for name in MODALITIES),
    *((["selected", number, "rule"], WRONG[str]) for number in range(3)),
    *((["selected", number, "epoch", "image"], NEGATIVE) for number in range(3)),
    *((["chance", direction], WRONG[float]) for direction in PLAIN["result"]["chance"]),
    (["zero_rows", "best", "text"], st.sampled_from([-1, 5])),
    (["selection"], WRONG[str]),
]
"""Everything in a result that must agree with the rest, and values that it cannot have."""


@given(data=st.data())
@settings(max_examples=400)
def test_a_record_with_any_single_number_or_name_of_its_result_changed_is_refused(
    data: st.DataObject,
) -> None:
    path, wrong = data.draw(st.sampled_from(FIELDS))
    changed = copy.deepcopy(PLAIN)
    parent = changed["result"]
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = data.draw(wrong.filter(lambda value: value != parent[path[-1]]))
    with pytest.raises(Damaged):
        decode_record(json.dumps(changed).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda result: result["metrics"].pop(5),
        lambda result: result["metrics"].append({**result["metrics"][3], "value": 0.25}),
        lambda result: result["metrics"].clear(),
        lambda result: result["rows"].pop("text"),
        lambda result: result["selected"].append(result["selected"][0]),
        lambda result: result["zero_rows"]["best"].update(text=3),  # of 4: more than half are refused
        lambda result: result["metrics"][0].update(value=None),
        lambda result: result["metrics"][0].update(value=float("nan")),
        lambda result: result["metrics"][0].update(value=float("inf")),
    ],
)
def test_a_record_with_missing_or_repeated_parts_or_without_a_number_is_refused(change: Any) -> None:
    changed = copy.deepcopy(PLAIN)
    change(changed["result"])
    with pytest.raises(Damaged):
        decode_record(json.dumps(changed).encode())


def test_a_second_name_of_the_clean_condition_is_refused() -> None:
    changed = copy.deepcopy(PLAIN)
    changed["identity"]["condition"] = "clean"
    with pytest.raises(Damaged, match="clean"):
        decode_record(json.dumps(changed).encode())


def test_a_record_that_reading_would_refuse_is_not_written(store: Store) -> None:
    good = record()
    assert good.result is not None
    first, *others = good.result.metrics
    for value in (5.0, 0.25):  # out of range; not the mean of its queries
        metrics = [msgspec.structs.replace(first, value=value), *others]
        bad = msgspec.structs.replace(good, result=msgspec.structs.replace(good.result, metrics=metrics))
        with pytest.raises(ValueError, match=r"between|queries give"):
            store.write(bad, making.values_of(good), [], "")
    for change in ({"seconds": {"fit": -1.0}}, {"peak_memory": -5}):
        with pytest.raises(ValueError, match=r"seconds|peak_memory"):
            encode_record(msgspec.structs.replace(good, environment=making.environment(**change)))
    assert store.statuses() == {}


FAULTS: dict[str, Callable[[Any], Any]] = {
    "too many": lambda ap: np.append(ap, ap[0]),
    "of another cell": lambda ap: np.linspace(0.1, 0.3, len(ap)),
    "outside of 0 to 1": lambda ap: np.array([1.5, -0.5, *ap[2:]]),
    "a last digit": lambda ap: ap + 1e-9,
}


@pytest.mark.parametrize("fault", ["missing", "of no metric", *FAULTS])
def test_values_per_query_that_are_not_those_of_the_metrics_are_refused_and_not_merged(
    tmp_path: Path, fault: str
) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    good, bad = write(there, 1), write(there, 0)
    write(here, 0)
    values = dict(making.values_of(record()))
    first = next(iter(values))
    if fault == "missing":
        del values[first]
    elif fault == "of no metric":
        values["best", "map@10/min", "image", "text"] = values[first]
    else:
        values[first] = FAULTS[fault](values[first])
    making.reseal(bad, "per_query.npz", encode_per_query(values))
    assert there.statuses() == {good.name: "done"}
    for look in (there.read, there.per_query, there.verify):
        with pytest.raises(DataError, match=r"per_query\.npz"):
            look(bad.name)
    assert {item.action for item in merge(there.root, here.root)} == {"copied", "damaged"}
    assert here.statuses() == {good.name: "done", bad.name: "done"}
    assert "replaced" in {item.action for item in merge(here.root, there.root)}
    assert there.verify(bad.name) == record()


@given(number=st.integers(0, 23), query=st.integers(0, 2), value=st.floats(0, 1) | st.just(float("nan")))
@settings(max_examples=60)
def test_a_change_of_any_query_is_noticed(number: int, query: int, value: float) -> None:
    """In the archive by its checksum; in values that were encoded anew by the metric."""
    values = making.values_of(record())
    series = sorted(values)[number]
    content = bytearray(encode_per_query(values))
    if abs(values[series][query] - value) < 1e-9:
        return
    start = content.index(np.concatenate([values[key] for key in sorted(values)]).tobytes())
    start += 8 * (query + sum(len(values[key]) for key in sorted(values)[:number]))
    content[start : start + 8] = np.float64(value).tobytes()
    with pytest.raises(Damaged):
        decode_per_query(bytes(content), record().result)
    if not np.isnan(value):
        values[series][query] = value
        with pytest.raises(Damaged, match="impossible"):
            decode_per_query(encode_per_query(values), record().result)


def test_only_the_series_that_are_wanted_are_returned() -> None:
    content = encode_per_query(making.values_of(record()))
    found = decode_per_query(content, record().result, lambda series: series.protocol == "map@all")
    assert set(found) == {Series(*key) for key in making.values_of(record()) if key[1] == "map@all"}
