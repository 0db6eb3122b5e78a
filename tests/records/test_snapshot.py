"""What a report draws of a cell is kept faithfully, or refused where it contradicts itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bench.contract import DataError
from bench.records import Snapshot, Store
from bench.records.encoding import SNAPSHOT, Damaged, Newer
from bench.records.merging import merge
from bench.records.snapshot import decode_snapshot, encode_snapshot
from tests.records import making, snapshots


def write(store: Store, snapshot: Snapshot | None) -> Path:
    record = making.record()
    store.write(record, making.per_query(), making.TRACE, "", snapshot)
    return store.runs / record.digest


def test_a_snapshot_reads_back_as_it_was() -> None:
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
    found = decode_snapshot(encode_snapshot(snapshots.snapshot(space=None, no_space="it has none")))
    assert (found.space, found.no_space) == (None, "it has none")


def test_the_same_snapshot_gives_the_same_bytes_whenever_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = encode_snapshot(snapshots.snapshot())
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert encode_snapshot(snapshots.snapshot()) == before == encode_snapshot(decode_snapshot(before))


def test_arrays_of_another_type_than_their_field_are_not_written() -> None:
    wrong = snapshots.curves(ranks=np.array([1, 2, 5], np.int64))
    with pytest.raises(ValueError, match="int32 is int64"):
        encode_snapshot(snapshots.snapshot(curves=(wrong,)))


def layout_1(snapshot: Snapshot) -> dict[str, Any]:
    """Return the arrays that layout 1 has: the head, and one for each field of each part."""
    parts: list[tuple[str, Any]] = [
        *((f"curves/{number}", part) for number, part in enumerate(snapshot.curves)),
        *((f"galleries/{number}", part) for number, part in enumerate(snapshot.galleries)),
        *((f"exhibits/{number}", part) for number, part in enumerate(snapshot.details.values())),
    ]
    arrays = {
        f"{folder}/{name}": value
        for folder, part in parts
        for name, value in msgspec.structs.asdict(part).items()
        if isinstance(value, np.ndarray)
    }
    details = [
        {"modality": name, "texts": part.texts, "pictures": part.pixels is not None}
        for name, part in snapshot.details.items()
    ]
    head: dict[str, Any] = {"layout": 1, "space": None, "exhibits": details}
    for name in ("sizes", "n_classes", "class_names", "no_space"):
        head[name] = getattr(snapshot, name)
    for name in ("curves", "galleries"):
        head[name] = [(part.query, part.gallery) for part in getattr(snapshot, name)]
    if snapshot.space is not None:
        head["space"] = {"modalities": [*snapshot.space.rows], "held": snapshot.space.explained}
        for name in ("rows", "classes", "points"):
            values = enumerate(getattr(snapshot.space, name).values())
            arrays |= {f"space/{number}/{name}": value for number, value in values}
    return {"head": head, **arrays}


def packed(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    head = np.frombuffer(msgspec.json.encode(arrays["head"]), np.uint8)
    np.savez_compressed(buffer, **(arrays | {"head": head}))
    return buffer.getvalue()


@pytest.mark.parametrize("changes", [{}, {"space": None, "no_space": "it has none"}])
def test_a_snapshot_of_layout_1_is_read_as_what_it_was(changes: dict[str, Any]) -> None:
    snapshot = snapshots.snapshot(**changes)
    assert encode_snapshot(decode_snapshot(packed(layout_1(snapshot)))) == encode_snapshot(snapshot)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: snapshots.curves(precision=np.array([0.9, 0.7])), "ascending places"),
        (lambda: snapshots.curves(precision=np.array([0.9, np.nan, 0.1])), "ascending places"),
        (lambda: snapshots.curves(interpolated=np.array([1.5, 0.5, 0.5])), "ascending places"),
        (lambda: snapshots.curves(ranks=np.array([0, 2, 5], np.int32)), "curves"),
        (lambda: snapshots.curves(levels=np.array([0.0, 0.5, 0.5])), "ascending places"),
        (lambda: snapshots.space(explained=1.5), "share of variance"),
        (lambda: snapshots.space(points={"text": np.zeros((2, 2), np.float32)}), "mixes up modalities"),
        (lambda: snapshots.space(classes={"image": np.zeros(2), "text": np.zeros(2)}), "point for each row"),
        (lambda: snapshots.gallery(ap=np.array([1.0, 2.0])), "AP from 0 to 1"),
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


def changed(old: bool = False, head: dict[str, Any] | None = None, drop: str = "", **more: Any) -> bytes:
    """Return a snapshot's bytes with some of its parts changed; of the head's snapshot, unless ``old``."""
    if old:
        arrays = layout_1(snapshots.snapshot())
        arrays["head"] |= head or {}
    else:
        with np.load(io.BytesIO(encode_snapshot(snapshots.snapshot()))) as archive:
            arrays = dict(archive)
        arrays["head"] = msgspec.json.decode(arrays["head"].tobytes())
        arrays["head"]["snapshot"] |= head or {}
    arrays |= {key.replace("__", "/"): value for key, value in more.items()}
    return packed({key: value for key, value in arrays.items() if key != drop})


def curves(**changes: Any) -> list[dict[str, Any]]:
    """Return the head of one curve of ten bytes that are not there."""
    array = ["<f8", [1], 0]
    plain = {"query": "image", "gallery": "text", "ranks": ["<i4", [1], 0], "precision": array}
    return [plain | {"levels": array, "interpolated": array} | changes]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        encode_snapshot(snapshots.snapshot())[:-40],
        packed({"head": "text"}),
        packed({"head": {"snapshot": {}}}),
        packed({"head": {"layout": "two"}}),
        packed({"head": {"layout": 0}}),
        changed(drop="data"),
        changed(data=np.array([{"never": "unpickled"}], dtype=object)),
        changed(data=np.zeros(1 << 22)),
        changed(head={"strange": 1}),
        changed(head={"sizes": "five"}),
        changed(head={"n_classes": 1, "class_names": []}),
        changed(head={"curves": curves(ranks=["<i4", [1 << 62], 0])}),
        changed(head={"curves": curves(ranks=["<i4", [-1], 0])}),
        changed(head={"curves": curves(ranks=["<i4", [1], 1 << 70])}),
        changed(head={"curves": curves(ranks=["<f8", [1], 0])}),
        changed(head={"curves": curves(ranks=["nonsense", [1], 0])}),
        changed(head={"curves": curves(ranks=["|O", [1], 0])}),
        changed(head={"curves": curves(ranks=["<i4", [0], 0])}),
        changed(old=True, drop="curves/0/ranks"),
        changed(old=True, drop="space/0/points"),
        changed(old=True, head={"curves": 5}),
        changed(old=True, curves__0__precision=np.zeros(3, np.float32)),
        changed(old=True, curves__0__precision=np.full(3, 7.0)),
        changed(old=True, exhibits__0__palette=np.zeros((1, 3), np.uint8)),
    ],
)
def test_what_is_no_snapshot_is_damaged(content: bytes) -> None:
    with pytest.raises(Damaged, match=r"view\.npz") as caught:
        decode_snapshot(content)
    assert not isinstance(caught.value, Newer)
    with pytest.raises(Newer, match="layout version 3"):
        decode_snapshot(packed({"head": {"layout": 3}}))


def test_a_record_is_sound_with_a_snapshot_and_without(tmp_path: Path) -> None:
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


def test_a_snapshot_is_checked_with_the_record_and_merged_with_it(tmp_path: Path) -> None:
    store, ours = Store(tmp_path / "theirs"), Store(tmp_path / "ours")
    folder = write(store, snapshots.snapshot())
    assert [item.fate for item in merge(store.root, ours.root)] == ["copied"]
    content = (folder / SNAPSHOT).read_bytes()
    assert (ours.runs / folder.name / SNAPSHOT).read_bytes() == content
    (folder / SNAPSHOT).write_bytes(content[:-1])
    assert list(store.records()) == []
    assert "view.npz was truncated or edited" in store.problems[0].sentence
    making.reseal(folder, SNAPSHOT, b"nonsense")
    assert list(store.records()) == [making.record()]
    with pytest.raises(DataError, match=r"view\.npz cannot be read"):
        store.snapshot(folder.name)
    assert [item.fate for item in merge(store.root, ours.root)] == ["damaged"]
    (folder / SNAPSHOT).unlink()
    with pytest.raises(DataError, match=r"view\.npz is missing"):
        store.snapshot(folder.name)
