"""A record whose checksums fit, but whose numbers cannot be, is not believed, and costs itself only."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contract import DataError
from bench.records import Record, Selected, Store
from bench.records.checking import check_record
from bench.records.encoding import FILES, Damaged, decode_record, encode_per_query, encode_record, encode_sums
from bench.records.merging import merge
from tests.records import making

MODALITIES = ("image", "text", "audio")


def record(seed: int = 0) -> Record:
    """Return a record of three modalities and three rules, one of them refused, with all fields filled."""
    made = making.record(seed, modalities=MODALITIES)
    assert made.result is not None
    rules = [
        Selected(
            rule=rule, criterion="validation mAP@all", epoch={"image": 7, "text": 3}, value={"image": 0.6}
        )
        for rule in ("best", "last", "oracle")
    ]
    metrics = made.result.metrics
    last = [msgspec.structs.replace(metric, selection="last") for metric in metrics]
    result = msgspec.structs.replace(
        made.result,
        selected=rules,
        metrics=[*metrics, *last],
        refused={"oracle": "it cannot be ranked"},
        zero_rows={"best": {"text": 1}},
        chance={f"{metric.query}>{metric.gallery}": 0.25 for metric in metrics},
    )
    return msgspec.structs.replace(made, result=result)


def reseal(folder: Path, name: str, content: bytes) -> None:
    """Change a file of a record and make the checksums agree."""
    files = {other: (folder / other).read_bytes() for other in FILES} | {name: content}
    for other, found in (files | {"sha256sums.txt": encode_sums(files)}).items():
        (folder / other).write_bytes(found)


def write(store: Store, seed: int = 0) -> Path:
    made = record(seed)
    store.write(made, making.values_of(made), making.TRACE, "log")
    return store.runs / made.digest


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def test_a_record_with_everything_in_it_is_believed(store: Store) -> None:
    folder = write(store)
    assert store.verify(folder.name) == record()
    assert len(store.per_query(folder.name)) == 24


WRONG_NUMBERS = st.sampled_from([-1, -1e-9, 1.0000001, 5.0, 1e300])
WRONG_COUNTS = st.sampled_from([-1, 0, 5, 400])
WRONG_NAMES = st.sampled_from(
    ["", "images", "video", "text ", "none", "first", "map@", "recall@10", "xap@all"]
)


def numbers_of(result: dict[str, Any]) -> Iterator[tuple[list[str | int], st.SearchStrategy[Any]]]:
    """Yield (path of a field, values that it cannot have) for everything that must agree with the rest."""
    for place, metric in enumerate(result["metrics"]):
        for name, value in metric.items():
            wrong = (
                WRONG_NUMBERS if name == "value" else WRONG_NAMES if isinstance(value, str) else WRONG_COUNTS
            )
            yield ["metrics", place, name], wrong
    for name in result["rows"]:
        yield ["rows", name, "test"], WRONG_COUNTS
        yield ["rows", name, "train"], st.integers(max_value=-1)
        yield ["rows", name, "validation"], st.integers(max_value=-1)
        yield ["rows", name, "dimension"], st.integers(max_value=0)
    for place in range(len(result["selected"])):
        yield ["selected", place, "rule"], WRONG_NAMES
        yield ["selected", place, "epoch", "image"], st.integers(max_value=-1)
    for direction in result["chance"]:
        yield ["chance", direction], WRONG_NUMBERS
    yield ["zero_rows", "best", "text"], st.sampled_from([-1, 5])
    yield ["selection"], WRONG_NAMES


PLAIN = json.loads(encode_record(record()))
FIELDS = [*numbers_of(PLAIN["result"])]


@given(data=st.data())
@settings(max_examples=400)
def test_whatever_single_number_or_name_of_a_result_is_changed_the_record_is_refused(
    data: st.DataObject,
) -> None:
    path, wrong = data.draw(st.sampled_from(FIELDS))
    changed = copy.deepcopy(PLAIN)
    parent = changed["result"]
    for step in path[:-1]:
        parent = parent[step]
    value = data.draw(wrong.filter(lambda other: other != parent[path[-1]]))
    parent[path[-1]] = value
    with pytest.raises(Damaged):
        decode_record(json.dumps(changed).encode())


@given(data=st.data())
@settings(max_examples=100)
def test_what_is_left_out_or_there_twice_is_refused(data: st.DataObject) -> None:
    changed = copy.deepcopy(PLAIN)
    metrics, rows = changed["result"]["metrics"], changed["result"]["rows"]
    kind = data.draw(
        st.sampled_from(["metric gone", "metric twice", "no metrics", "rows gone", "rule twice"])
    )
    place = data.draw(st.integers(0, len(metrics) - 1))
    if kind == "metric gone":
        del metrics[place]
    elif kind == "metric twice":
        metrics.append({**metrics[place], "value": data.draw(st.floats(0, 1))})
    elif kind == "no metrics":
        metrics.clear()
    elif kind == "rows gone":
        del rows[data.draw(st.sampled_from(MODALITIES))]
    else:
        changed["result"]["selected"].append(changed["result"]["selected"][0])
    with pytest.raises(Damaged):
        decode_record(json.dumps(changed).encode())


@pytest.mark.parametrize("word", ["NaN", "Infinity", "1e999", "null"])
def test_what_is_no_finite_number_is_no_number(word: str) -> None:
    content = encode_record(record()).replace(b'"value": 0.5', b'"value": ' + word.encode(), 1)
    with pytest.raises(Damaged):
        decode_record(content)


@pytest.mark.parametrize("change", [{"seconds": {"fit": -1.0}}, {"peak_memory": -5}])
def test_costs_that_cannot_be_are_refused(change: dict[str, Any]) -> None:
    wrong = msgspec.structs.replace(record(), environment=making.environment(**change))
    with pytest.raises(ValueError, match=r"seconds|memory"):
        check_record(wrong)


def test_what_reading_would_refuse_is_not_written(store: Store) -> None:
    good = record()
    assert good.result is not None
    first, *others = good.result.metrics
    for value in (5.0, 0.25):  # out of range; not the mean of its queries
        metrics = [msgspec.structs.replace(first, value=value), *others]
        bad = msgspec.structs.replace(good, result=msgspec.structs.replace(good.result, metrics=metrics))
        with pytest.raises(ValueError, match="map@all"):
            store.write(bad, making.values_of(good), [], "")
    assert store.statuses() == {}


def test_an_impossible_record_is_named_costs_itself_only_and_is_replaced(store: Store) -> None:
    good, bad = write(store, 1), write(store, 2)
    content = (bad / "record.json").read_bytes()
    reseal(bad, "record.json", content.replace(b'"value": 0.5', b'"value": 5.0', 1))
    assert [one.digest for one in store.records()] == [good.name]
    (problem,) = store.problems
    assert problem.folder == bad
    assert "cannot be believed" in problem.sentence
    assert not problem.newer
    assert store.statuses() == {good.name: "done"}  # so the next run makes it again
    assert not store.has(bad.name)
    failed = making.record(2, "failed", modalities=MODALITIES)
    assert store.write(failed, {}, [], "")
    assert store.status(bad.name) == "failed"


def changed_queries(change: str) -> dict[Any, Any]:
    """Return the values per query of `record` with one fault."""
    values = dict(making.values_of(record()))
    first = next(iter(values))
    ap = values[first]
    if change == "gone":
        del values[first]
    elif change == "of no metric":
        values["best", "map@10/min", "image", "text"] = ap
    elif change == "too many":
        values[first] = np.append(ap, ap[0])
    elif change == "another cell's":
        values[first] = np.linspace(0.1, 0.3, len(ap))
    elif change == "outside":
        values[first] = np.array([1.5, -0.5, *ap[2:]])
    elif change == "a last digit":
        values[first] = ap + 1e-9
    return values


FAULTS = ["gone", "of no metric", "too many", "another cell's", "outside", "a last digit"]


@pytest.mark.parametrize("change", FAULTS)
def test_values_per_query_that_are_not_the_metrics_are_refused(store: Store, change: str) -> None:
    folder = write(store)
    reseal(folder, "per_query.npz", encode_per_query(changed_queries(change)))
    assert store.read(folder.name) == record()  # it says nothing wrong by itself
    for look in (store.per_query, store.verify):
        with pytest.raises(DataError, match=r"per_query\.npz cannot be believed"):
            look(folder.name)


def test_values_per_query_that_are_nan_are_refused(store: Store) -> None:
    folder = write(store)
    content = (folder / "per_query.npz").read_bytes()
    value = np.array([0.5], "<f8").tobytes()
    nan = np.array([np.nan], "<f8").tobytes()
    reseal(folder, "per_query.npz", content.replace(value, nan))  # the sums inside the archive notice, too
    with pytest.raises(DataError, match=r"per_query\.npz"):
        store.per_query(folder.name)


@given(place=st.integers(0, 23), query=st.integers(0, 2), value=st.floats(0, 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_whatever_single_query_is_changed_it_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, place: int, query: int, value: float
) -> None:
    store = Store(tmp_path_factory.mktemp("one"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        folder = write(store)
    values = making.values_of(record())
    array = values[[*values][place]]
    if abs(array[query] - value) < 1e-9:
        return
    array[query] = value
    reseal(folder, "per_query.npz", encode_per_query(values))
    with pytest.raises(DataError, match="cannot be believed"):
        store.verify(folder.name)


@pytest.mark.parametrize("change", FAULTS)
def test_merge_brings_no_record_whose_queries_are_another_cells(tmp_path: Path, change: str) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    good, bad = write(there, 1), write(there, 0)
    reseal(bad, "per_query.npz", encode_per_query(changed_queries(change)))
    write(here, 0)
    fates = {one.fate for one in merge(there.root, here.root)}
    assert fates == {"copied", "damaged"}
    assert here.statuses() == {good.name: "done", bad.name: "done"}
    fates = {one.fate for one in merge(here.root, there.root)}
    assert "replaced" in fates  # a sound record replaces one that cannot be believed
    assert there.verify(bad.name) == record()
