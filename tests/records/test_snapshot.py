"""A snapshot is read back exactly, or refused if it contradicts itself."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest

from bench.contract import DataError
from bench.records import Snapshot, Store
from bench.records.encoding import SNAPSHOT, Damaged, Newer
from bench.records.merging import merge
from bench.records.snapshot import Curves, Gallery, RowDetails, Space, decode_snapshot, encode_snapshot
from tests.records import making
from tests.wording import mentions

T = TypeVar("T")
DRAW = np.random.default_rng(0)
LAYOUT_1 = Path(__file__).with_name("snapshot_layout_1.npz")
"""The snapshot of `made(Snapshot)` in layout 1: a head and an array for each field of each part."""

FIELDS: dict[type, dict[str, Any]] = {
    Curves: {
        "query": "image",
        "gallery": "text",
        "ranks": np.array([1, 2, 5], np.int32),
        "precision": np.array([0.9, 0.7, 1 / 3]),
        "levels": np.array([0.0, 0.5, 1.0]),
        "interpolated": np.array([1.0, 0.5, 0.25]),
    },
    Space: {
        "rows": {"image": np.array([0, 2, 4], np.int32), "text": np.array([1, 2], np.int32)},
        "classes": {"image": np.array([0, 1, 2], np.int32), "text": np.array([1, 1], np.int32)},
        "points": {name: DRAW.random((n, 2), dtype=np.float32) for name, n in (("image", 3), ("text", 2))},
        "explained": 0.75,
    },
    Gallery: {
        "query": "image",
        "gallery": "text",
        "rows": np.array([0, 3], np.int32),
        "ap": np.array([1.0, 0.25]),
        "results": np.array([[0, 1, 2], [4, 0, 1]], np.int32),
        "relevant": np.array([[True, False, True], [False, False, True]]),
    },
    RowDetails: {"rows": np.arange(5, dtype=np.int32), "classes": np.array([0, 0, 1, 1, 2], np.int32)},
}
"""Valid parts: five test rows of two modalities, in three classes."""


def made(kind: type[T], **changes: Any) -> T:
    return kind(**(FIELDS[kind] | changes))


REVERSED = {"query": "text", "gallery": "image"}
PICTURES = made(
    RowDetails,
    pixels=(np.arange(5 * 2 * 3) % 2).astype(np.uint8).reshape(5, 2, 3),
    palette=np.array([[255, 0, 0], [0, 255, 0]], np.uint8),
)
FIELDS[Snapshot] = {
    "sizes": {"image": 5, "text": 5},
    "n_classes": 3,
    "class_names": ("a", "b", "c"),
    "curves": (made(Curves), made(Curves, **REVERSED)),
    "space": made(Space),
    "no_space": "",
    "galleries": (made(Gallery), made(Gallery, **REVERSED)),
    "details": {"image": PICTURES, "text": made(RowDetails, texts=("one", "two", "", "<b>", "…"))},
}


def write(store: Store, snapshot: Snapshot | None) -> Path:
    record = making.record()
    store.write(record, making.per_query(), making.TRACE, "", snapshot)
    return store.runs / record.digest


def test_a_snapshot_reads_back_as_it_was_and_has_the_same_bytes_at_any_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = made(Snapshot)
    content = encode_snapshot(given)
    found = decode_snapshot(content)
    assert (found.sizes, found.class_names, found.no_space) == (given.sizes, given.class_names, "")
    assert found.details["text"].texts == ("one", "two", "", "<b>", "…")
    assert found.space is not None
    assert given.space is not None
    assert found.space.points["text"].tobytes() == given.space.points["text"].tobytes()
    for curves, expected in zip(found.curves, given.curves, strict=True):
        assert (curves.query, curves.gallery) == (expected.query, expected.gallery)
        assert curves.precision.tobytes() == expected.precision.tobytes()
    np.testing.assert_array_equal(found.galleries[1].relevant, given.galleries[1].relevant)
    picture = found.details["image"].picture(1)
    assert picture is not None
    assert picture[0].tolist() == [[255, 0, 0], [0, 255, 0], [255, 0, 0]]
    assert found.details["text"].picture(1) is None
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert encode_snapshot(found) == content == encode_snapshot(given)


def test_arrays_of_another_type_than_their_field_are_not_written() -> None:
    wrong = made(Curves, ranks=np.array([1, 2, 5], np.int64))
    with pytest.raises(ValueError, match="int32 is int64"):
        encode_snapshot(made(Snapshot, curves=(wrong,)))


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (Curves, {"precision": np.array([0.9, 0.7])}, "curves"),
        (Curves, {"precision": np.array([0.9, np.nan, 0.1])}, "curves"),
        (Curves, {"interpolated": np.array([1.5, 0.5, 0.5])}, "curves"),
        (Curves, {"ranks": np.array([0, 2, 5], np.int32)}, "rank 1"),
        (Curves, {"levels": np.array([0.0, 0.5, 0.5])}, "ascending"),
        (Space, {"explained": 1.5}, "variance"),
        (Space, {"points": {"text": np.zeros((2, 2), np.float32)}}, "modalities"),
        (Space, {"classes": {"image": np.zeros(2), "text": np.zeros(2)}}, "point for each row"),
        (Gallery, {"ap": np.array([1.0, 2.0])}, "AP"),
        (Gallery, {"results": np.array([[1, 1, 0], [0, 1, 2]], np.int32)}, "twice"),
        (Gallery, {"relevant": np.ones((2, 2), bool)}, "results for each query"),
        (RowDetails, {"texts": ("one",)}, "text"),
        (RowDetails, {"rows": np.array([0, 0, 1, 2, 3], np.int32)}, "twice"),
        (RowDetails, {"pixels": np.zeros((5, 1, 1), np.uint8)}, "palette"),
        (Snapshot, {"n_classes": 2, "class_names": ()}, "beyond"),
        (Snapshot, {"sizes": {"image": 5, "text": 4}}, "beyond"),
        (Snapshot, {"sizes": {"image": 5}}, "unknown modalities"),
        (Snapshot, {"class_names": ("a",)}, "name for each class"),
        (Snapshot, {"space": None}, "reason"),
        (Snapshot, {"details": {"image": PICTURES}}, "without details"),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    kind: type, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        made(kind, **changes)


def test_a_snapshot_of_layout_1_is_read_with_and_without_a_common_space() -> None:
    assert encode_snapshot(decode_snapshot(OLD)) == NEW
    found = decode_snapshot(changed(OLD, {"space": None, "no_space": "it has none"}))
    assert (found.space, found.no_space) == (None, "it has none")
    assert decode_snapshot(encode_snapshot(found)).no_space == found.no_space


def packed(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    head = np.frombuffer(msgspec.json.encode(arrays["head"]), np.uint8)
    np.savez_compressed(buffer, **(arrays | {"head": head}))
    return buffer.getvalue()


def changed(
    content: bytes, head: dict[str, Any] | None = None, drop: str = "", arrays: dict[str, Any] | None = None
) -> bytes:
    """Return a snapshot's bytes with fields of its head or arrays changed, or without an array."""
    with np.load(io.BytesIO(content)) as archive:
        found = dict(archive) | (arrays or {})
    found["head"] = msgspec.json.decode(found["head"].tobytes())
    found["head"].get("snapshot", found["head"]).update(head or {})
    return packed({key: value for key, value in found.items() if key != drop})


OLD, NEW = LAYOUT_1.read_bytes(), encode_snapshot(made(Snapshot))


def curves(**changes: Any) -> list[dict[str, Any]]:
    """Return the head of one curve of ten bytes that are not there."""
    array = ["<f8", [1], 0]
    plain = {"query": "image", "gallery": "text", "ranks": ["<i4", [1], 0], "precision": array}
    return [plain | {"levels": array, "interpolated": array} | changes]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        NEW[:-40],
        packed({"head": "text"}),
        packed({"head": {"snapshot": {}}}),
        packed({"head": {"layout": "two"}}),
        packed({"head": {"layout": 0}}),
        changed(NEW, drop="data"),
        changed(NEW, arrays={"data": np.array([{"never": "unpickled"}], dtype=object)}),
        changed(NEW, arrays={"data": np.zeros(1 << 22)}),
        changed(NEW, head={"strange": 1}),
        changed(NEW, head={"sizes": "five"}),
        changed(NEW, head={"n_classes": 1, "class_names": []}),
        changed(NEW, head={"curves": curves(ranks=["<i4", [1 << 62], 0])}),
        changed(NEW, head={"curves": curves(ranks=["<i4", [-1], 0])}),
        changed(NEW, head={"curves": curves(ranks=["<i4", [1], 1 << 70])}),
        changed(NEW, head={"curves": curves(ranks=["<f8", [1], 0])}),
        changed(NEW, head={"curves": curves(ranks=["nonsense", [1], 0])}),
        changed(NEW, head={"curves": curves(ranks=["|O", [1], 0])}),
        changed(NEW, head={"curves": curves(ranks=["<i4", [0], 0])}),
        changed(OLD, drop="curves/0/ranks"),
        changed(OLD, drop="space/0/points"),
        changed(OLD, head={"curves": 5}),
        changed(OLD, arrays={"curves/0/precision": np.zeros(3, np.float32)}),
        changed(OLD, arrays={"curves/0/precision": np.full(3, 7.0)}),
        changed(OLD, arrays={"exhibits/0/palette": np.zeros((1, 3), np.uint8)}),
    ],
)
def test_any_other_bytes_are_a_damaged_snapshot(content: bytes) -> None:
    with pytest.raises(Damaged, match=r"view\.npz") as caught:
        decode_snapshot(content)
    assert not isinstance(caught.value, Newer)
    with pytest.raises(Newer, match="layout version 3"):
        decode_snapshot(packed({"head": {"layout": 3}}))


def test_a_record_is_sound_with_a_snapshot_and_without_which_is_checked_and_merged_with_it(
    tmp_path: Path,
) -> None:
    store, target = Store(tmp_path / "source"), Store(tmp_path / "target")
    folder = write(store, None)
    assert store.snapshot(folder.name) is None
    assert list(store.records()) == [making.record()]
    write(store, made(Snapshot))
    found = store.snapshot(folder.name)
    assert found is not None
    assert found.class_names == ("a", "b", "c")
    assert (list(store.records()), store.problems) == ([making.record()], [])
    assert [item.action for item in merge(store.root, target.root)] == ["copied"]
    content = (folder / SNAPSHOT).read_bytes()
    assert (target.runs / folder.name / SNAPSHOT).read_bytes() == content
    (folder / SNAPSHOT).write_bytes(content[:-1])
    assert list(store.records()) == []
    assert mentions(store.problems[0].sentence, "view.npz ... truncated")
    making.reseal(folder, SNAPSHOT, b"nonsense")
    assert list(store.records()) == [making.record()]
    with pytest.raises(DataError, match=r"view\.npz.*read"):
        store.snapshot(folder.name)
    assert [item.action for item in merge(store.root, target.root)] == ["damaged"]
    (folder / SNAPSHOT).unlink()
    with pytest.raises(DataError, match=r"view\.npz.*missing"):
        store.snapshot(folder.name)
