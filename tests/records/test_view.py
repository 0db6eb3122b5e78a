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
from bench.records.archives import pack, unpack
from bench.records.encoding import FILES, VIEW, Damaged, Newer, encode_sums
from bench.records.merging import merge
from bench.records.view import View
from bench.records.view_bytes import decode_view, encode_view
from tests.records import making, viewing


def write(store: Store, view: View | None) -> Path:
    record = making.record()
    store.write(record, making.per_query(), making.TRACE, "", view)
    return store.runs / record.digest


def test_a_view_reads_back_as_it_was() -> None:
    found, given = decode_view(encode_view(viewing.view())), viewing.view()
    assert (found.sizes, found.class_names, found.no_space) == (given.sizes, given.class_names, "")
    assert found.exhibits["text"].texts == ("one", "two", "", "<b>", "…")
    assert found.space is not None
    assert given.space is not None
    assert found.space.points["text"].tobytes() == given.space.points["text"].tobytes()
    for mine, theirs in zip(found.curves, given.curves, strict=True):
        assert (mine.query, mine.gallery) == (theirs.query, theirs.gallery)
        assert mine.precision.tobytes() == theirs.precision.tobytes()
    np.testing.assert_array_equal(found.galleries[1].relevant, given.galleries[1].relevant)
    picture = found.exhibits["image"].picture(1)
    assert picture is not None
    assert picture[0].tolist() == [[255, 0, 0], [0, 255, 0], [255, 0, 0]]
    assert found.exhibits["text"].picture(1) is None


def test_a_view_without_a_common_space_says_why() -> None:
    found = decode_view(encode_view(viewing.view(space=None, no_space="it has none")))
    assert (found.space, found.no_space) == (None, "it has none")


def test_the_same_view_gives_the_same_bytes_whenever_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    before = encode_view(viewing.view())
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert encode_view(viewing.view()) == before == encode_view(decode_view(before))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: viewing.curves(precision=np.array([0.9, 0.7])), "no precision for each rank"),
        (lambda: viewing.curves(precision=np.array([0.9, np.nan, 0.1])), "outside of 0 to 1"),
        (lambda: viewing.curves(interpolated=np.array([1.5, 0.5, 0.5])), "outside of 0 to 1"),
        (lambda: viewing.curves(ranks=np.array([0, 2, 5], np.int32)), "do not ascend from 1"),
        (lambda: viewing.curves(levels=np.array([0.0, 0.5, 0.5])), "recall that do not ascend"),
        (lambda: viewing.space(held=1.5), "share of variance"),
        (lambda: viewing.space(points={"text": np.zeros((2, 2), np.float32)}), "mixes up modalities"),
        (lambda: viewing.space(classes={"image": np.zeros(2), "text": np.zeros(2)}), "point for each row"),
        (lambda: viewing.gallery(ap=np.array([1.0, 2.0])), "average precisions outside"),
        (lambda: viewing.gallery(results=np.array([[1, 1, 0], [0, 1, 2]], np.int32)), "a result twice"),
        (lambda: viewing.gallery(relevant=np.ones((2, 2), bool)), "no results for each query"),
        (lambda: viewing.exhibits(texts=("one",)), "no text each"),
        (lambda: viewing.exhibits(rows=np.array([0, 0, 1, 2, 3], np.int32)), "listed twice"),
        (lambda: viewing.exhibits(pixels=np.zeros((5, 1, 1), np.uint8)), "need a palette"),
        (lambda: viewing.view(n_classes=2, class_names=()), "beyond those of the test split"),
        (lambda: viewing.view(sizes={"image": 5, "text": 4}), "beyond"),
        (lambda: viewing.view(sizes={"image": 5}), "unknown modalities"),
        (lambda: viewing.view(class_names=("a",)), "no name for each class"),
        (lambda: viewing.view(space=None), "needs its reason"),
        (lambda: viewing.view(exhibits={"image": viewing.pictures()}), "of which nothing is known"),
    ],
)
def test_values_that_contradict_each_other_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def changed(head: dict[str, Any] | None = None, drop: str = "", **arrays: Any) -> bytes:
    """Return a view's bytes with some of its parts changed."""
    found = unpack(encode_view(viewing.view()))
    content = msgspec.json.decode(found["head"].tobytes()) | (head or {})
    found["head"] = np.frombuffer(msgspec.json.encode(content), np.uint8)
    found |= {key.replace("__", "/"): value for key, value in arrays.items()}
    return pack({key: value for key, value in found.items() if key != drop}, compressed=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (encode_view(viewing.view())[:-40], "cannot be read"),
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
        decode_view(content)
    assert "view.npz" in str(caught.value)
    assert not isinstance(caught.value, Newer)


def test_a_view_of_a_later_version_is_named_as_such() -> None:
    with pytest.raises(Newer, match="layout version 2"):
        decode_view(changed({"layout": 2, "strange": 1}))


def test_no_array_is_ever_unpickled() -> None:
    member, buffer = io.BytesIO(), io.BytesIO()
    np.save(member, np.array([{"never": "unpickled"}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("head.npy", member.getvalue())
    with pytest.raises(Damaged, match="allow_pickle"):
        decode_view(buffer.getvalue())


def test_a_record_is_sound_with_a_view_and_without(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = write(store, None).name
    assert store.view(digest) is None
    assert list(store.records()) == [making.record()]
    write(store, viewing.view())
    found = store.view(digest)
    assert found is not None
    assert found.class_names == ("a", "b", "c")
    assert list(store.records()) == [making.record()]
    assert store.problems == []


def test_a_view_is_checked_with_the_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = write(store, viewing.view())
    content = (folder / VIEW).read_bytes()
    (folder / VIEW).write_bytes(content[:-1])
    assert list(store.records()) == []
    assert "view.npz was truncated or edited" in store.problems[0].sentence
    (folder / VIEW).unlink()
    with pytest.raises(DataError, match=r"view\.npz is missing"):
        store.view(folder.name)


def test_a_sealed_view_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = write(store, viewing.view())
    files = {name: (folder / name).read_bytes() for name in FILES} | {VIEW: b"nonsense"}
    for name, content in (files | {"sha256sums.txt": encode_sums(files)}).items():
        (folder / name).write_bytes(content)
    assert list(store.records()) == [making.record()]
    with pytest.raises(DataError, match=r"view\.npz cannot be read"):
        store.view(folder.name)


def test_a_view_is_merged_with_its_record(tmp_path: Path) -> None:
    theirs, ours = Store(tmp_path / "theirs"), Store(tmp_path / "ours")
    folder = write(theirs, viewing.view())
    assert [one.fate for one in merge(theirs.root, ours.root)] == ["copied"]
    assert (ours.runs / folder.name / VIEW).read_bytes() == (folder / VIEW).read_bytes()
    assert ours.view(folder.name) is not None
