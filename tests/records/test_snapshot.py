"""What a report draws of a cell is kept faithfully, or refused where it contradicts itself."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bench.contract import DataError
from bench.records import Store
from bench.records.encoding import FILES, SNAPSHOT, Damaged, Newer, encode_sums
from bench.records.merging import merge
from bench.records.npz import pack, unpack
from bench.records.snapshot import Snapshot
from bench.records.snapshot_bytes import decode_snapshot, encode_snapshot
from tests.records import making, snapshots


def write(store: Store, view: Snapshot | None) -> Path:
    record = making.record()
    store.write(record, making.per_query(), making.TRACE, "", view)
    return store.runs / record.digest


def test_a_view_reads_back_as_it_was() -> None:
    found, given = decode_snapshot(encode_snapshot(snapshots.snapshot())), snapshots.snapshot()
    assert (found.sizes, found.class_names, found.no_space) == (given.sizes, given.class_names, "")
    assert found.details["text"].texts == ("one", "two", "", "<b>", "…")
    assert found.space is not None
    assert given.space is not None
    assert found.space.points["text"].tobytes() == given.space.points["text"].tobytes()
    for mine, theirs in zip(found.curves, given.curves, strict=True):
        assert (mine.query, mine.gallery) == (theirs.query, theirs.gallery)
        assert mine.precision.tobytes() == theirs.precision.tobytes()
    np.testing.assert_array_equal(found.galleries[1].relevant, given.galleries[1].relevant)
    picture = found.details["image"].picture(1)
    assert picture is not None
    assert picture[0].tolist() == [[255, 0, 0], [0, 255, 0], [255, 0, 0]]
    assert found.details["text"].picture(1) is None


def test_a_view_without_a_common_space_says_why() -> None:
    found = decode_snapshot(encode_snapshot(snapshots.snapshot(space=None, no_space="it has none")))
    assert (found.space, found.no_space) == (None, "it has none")


def test_the_same_view_gives_the_same_bytes_whenever_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    before = encode_snapshot(snapshots.snapshot())
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert encode_snapshot(snapshots.snapshot()) == before == encode_snapshot(decode_snapshot(before))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: snapshots.curves(precision=np.array([0.9, 0.7])), "no precision for each rank"),
        (lambda: snapshots.curves(precision=np.array([0.9, np.nan, 0.1])), "outside of 0 to 1"),
        (lambda: snapshots.curves(interpolated=np.array([1.5, 0.5, 0.5])), "outside of 0 to 1"),
        (lambda: snapshots.curves(ranks=np.array([0, 2, 5], np.int32)), "do not ascend from 1"),
        (lambda: snapshots.curves(levels=np.array([0.0, 0.5, 0.5])), "recall that do not ascend"),
        (lambda: snapshots.space(explained=1.5), "share of variance"),
        (lambda: snapshots.space(points={"text": np.zeros((2, 2), np.float32)}), "mixes up modalities"),
        (lambda: snapshots.space(classes={"image": np.zeros(2), "text": np.zeros(2)}), "point for each row"),
        (lambda: snapshots.gallery(ap=np.array([1.0, 2.0])), "average precisions outside"),
        (lambda: snapshots.gallery(results=np.array([[1, 1, 0], [0, 1, 2]], np.int32)), "a result twice"),
        (lambda: snapshots.gallery(relevant=np.ones((2, 2), bool)), "no results for each query"),
        (lambda: snapshots.details(texts=("one",)), "no text each"),
        (lambda: snapshots.details(rows=np.array([0, 0, 1, 2, 3], np.int32)), "listed twice"),
        (lambda: snapshots.details(pixels=np.zeros((5, 1, 1), np.uint8)), "need a palette"),
        (lambda: snapshots.snapshot(n_classes=2, class_names=()), "beyond those of the test split"),
        (lambda: snapshots.snapshot(sizes={"image": 5, "text": 4}), "beyond"),
        (lambda: snapshots.snapshot(sizes={"image": 5}), "unknown modalities"),
        (lambda: snapshots.snapshot(class_names=("a",)), "no name for each class"),
        (lambda: snapshots.snapshot(space=None), "needs its reason"),
        (lambda: snapshots.snapshot(details={"image": snapshots.pictures()}), "of which nothing is known"),
    ],
)
def test_values_that_contradict_each_other_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def changed(head: dict[str, Any] | None = None, drop: str = "", **arrays: Any) -> bytes:
    """Return a view's bytes with some of its parts changed."""
    found = unpack(encode_snapshot(snapshots.snapshot()))
    content = msgspec.json.decode(found["head"].tobytes()) | (head or {})
    found["head"] = np.frombuffer(msgspec.json.encode(content), np.uint8)
    found |= {key.replace("__", "/"): value for key, value in arrays.items()}
    return pack({key: value for key, value in found.items() if key != drop}, compressed=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (encode_snapshot(snapshots.snapshot())[:-40], "cannot be read"),
        (changed(drop="head"), "'head' is missing"),
        (changed(drop="curves/0/ranks"), "'curves/0/ranks' is missing"),
        (changed(stray=np.zeros(2)), "stray belongs to nothing"),
        (changed({"strange": 1}), "unknown field"),
        (changed({"sizes": "five"}), "cannot be read"),
        (changed({"layout": 0}), "layout version 0"),
        (changed({"n_classes": 1, "class_names": []}), "beyond those of the test split"),
        (changed(curves__0__precision=np.zeros(3, np.float32)), "curves/0/precision is float32"),
        (changed(curves__0__precision=np.full(3, 7.0)), "outside of 0 to 1"),
        (changed(exhibits__0__palette=np.zeros((1, 3), np.uint8)), "unknown colours"),
        (changed(stray=np.zeros(1 << 22)), "more than the 16,777,216 allowed"),
    ],
)
def test_what_is_no_view_is_damaged(content: bytes, words: str) -> None:
    with pytest.raises(Damaged, match=words) as caught:
        decode_snapshot(content)
    assert "view.npz" in str(caught.value)
    assert not isinstance(caught.value, Newer)


def test_a_view_of_a_later_version_is_named_as_such() -> None:
    with pytest.raises(Newer, match="layout version 2"):
        decode_snapshot(changed({"layout": 2, "strange": 1}))


def test_no_array_is_ever_unpickled() -> None:
    member, buffer = io.BytesIO(), io.BytesIO()
    np.save(member, np.array([{"never": "unpickled"}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("head.npy", member.getvalue())
    with pytest.raises(Damaged, match="allow_pickle"):
        decode_snapshot(buffer.getvalue())


def test_a_record_is_sound_with_a_view_and_without(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = write(store, None).name
    assert store.snapshot(digest) is None
    assert list(store.records()) == [making.record()]
    write(store, snapshots.snapshot())
    found = store.snapshot(digest)
    assert found is not None
    assert found.class_names == ("a", "b", "c")
    assert list(store.records()) == [making.record()]
    assert store.problems == []


def test_a_view_is_checked_with_the_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = write(store, snapshots.snapshot())
    content = (folder / SNAPSHOT).read_bytes()
    (folder / SNAPSHOT).write_bytes(content[:-1])
    assert list(store.records()) == []
    assert "view.npz was truncated or edited" in store.problems[0].sentence
    (folder / SNAPSHOT).unlink()
    with pytest.raises(DataError, match=r"view\.npz is missing"):
        store.snapshot(folder.name)


def test_a_sealed_view_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = write(store, snapshots.snapshot())
    files = {name: (folder / name).read_bytes() for name in FILES} | {SNAPSHOT: b"nonsense"}
    for name, content in (files | {"sha256sums.txt": encode_sums(files)}).items():
        (folder / name).write_bytes(content)
    assert list(store.records()) == [making.record()]
    with pytest.raises(DataError, match=r"view\.npz cannot be read"):
        store.snapshot(folder.name)


def test_a_view_is_merged_with_its_record(tmp_path: Path) -> None:
    theirs, ours = Store(tmp_path / "theirs"), Store(tmp_path / "ours")
    folder = write(theirs, snapshots.snapshot())
    assert [one.fate for one in merge(theirs.root, ours.root)] == ["copied"]
    assert (ours.runs / folder.name / SNAPSHOT).read_bytes() == (folder / SNAPSHOT).read_bytes()
    assert ours.snapshot(folder.name) is not None
