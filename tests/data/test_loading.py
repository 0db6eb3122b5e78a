"""Loading: real data where the files are, a named look-alike where they are not, nothing in between."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from bench.contract import (
    DataError,
    DatasetCard,
    DatasetLoader,
    Fact,
    FileCard,
    Items,
    Modality,
    PluginError,
    Split,
    UsageError,
)
from bench.contract import ModalityCard as Card
from bench.data import (
    card_of,
    diagnose,
    fingerprint_of,
    load_dataset,
    open_and_check,
    open_arrays,
)
from bench.data.fingerprint import file_digests, forget_digests
from bench.data.locations import data_folder
from bench.data.look_alike import rule_digest
from bench.data.partition import QUICK, QUICK_LOOK_ALIKE, RowLimits
from tests.data.layouts import arrays, loaded, saved
from tests.grid import only_plugins
from tests.wording import mentions


class Tiny(DatasetLoader):
    """Two files, of which the second is only there."""

    names: ClassVar[list[str]] = [f"row {row}" for row in range(8)]

    card: ClassVar[DatasetCard] = DatasetCard(
        "tiny",
        "Tiny",
        tuple(
            Card(name, Fact("f", "confirmed"), Fact(3, "confirmed"), Fact((8, 4, 4), "doubtful"), "dense")
            for name in ("image", "text")
        ),
        Fact(2, "confirmed"),
        "none",
        "none",
        files=(FileCard("x.npz", "the author"), FileCard("y.list", "the author")),
        has_look_alike=True,
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        with open_arrays(files["x.npz"]) as source:
            rows = Modality(source.array("X").astype(np.float32), source.array("y"))
        return {
            part: Split({"image": rows, "text": rows}, 2, "natural")
            for part in ("train", "validation", "test")
        }

    def items(self, files: dict[str, Path]) -> Items:
        assert files["x.npz"].is_file()
        return Items({"text": self.names})


def put(folder: Path, rows: int = 8) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "x.npz", X=np.arange(rows * 3.0).reshape(rows, 3), y=np.arange(rows) % 2)
    (folder / "y.list").write_text("1\n")
    return folder


def test_a_bundle_is_a_dataset_of_which_a_stratified_share_is_validated_on(tmp_path: Path) -> None:
    values = arrays(40)
    data = loaded(tmp_path, values)
    assert (data.name, data.kind, data.n_classes, data.modalities) == ("mine", "real", 3, ("image", "text"))
    np.testing.assert_array_equal(data.test["text"].features, values["test_text"])
    assert (len(data.train["image"]), len(data.validation["image"])) == (34, 6)
    np.testing.assert_array_equal(np.bincount(data.validation["image"].labels), [2, 2, 2])
    np.testing.assert_array_equal(data.validation["image"].labels, data.validation["text"].labels)
    assert data.train.pairing == data.test.pairing == "natural"
    path = str(tmp_path / "mine.npz")
    assert fingerprint_of(path, profile="paper") == ("real", data.fingerprint)
    assert card_of(path) == data.card
    parts = {f"validation_{key[5:]}": value for key, value in values.items() if key.startswith("test_")}
    assert len(loaded(tmp_path, values | parts).validation["image"]) == 12


@pytest.mark.parametrize("name", ["mien.npz", "x" * 300 + ".npz", "x" * 300 + "/mine.npz"])
def test_a_path_without_a_file_is_refused(tmp_path: Path, name: str) -> None:
    saved(tmp_path / "mine.npz", arrays())
    with pytest.raises(UsageError, match="file") as caught:
        load_dataset(tmp_path / name)
    assert ("'mine.npz'" in str(caught.value)) == (name == "mien.npz")


def test_absent_files_give_a_look_alike_that_says_so(tmp_path: Path) -> None:
    data = load_dataset(Tiny, tmp_path)
    assert (data.kind, len(data.test["image"])) == ("look-alike", 4)
    assert data.fingerprint == rule_digest(Tiny.card, QUICK_LOOK_ALIKE)


def test_real_data_shows_its_test_rows_and_a_look_alike_has_nothing_to_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not load_dataset(Tiny, tmp_path).items.shown
    assert load_dataset(Tiny, put(tmp_path)).items.shown == {"text": Tiny.names}
    with monkeypatch.context() as patched:
        patched.setattr(Tiny, "names", ["one"])
        with pytest.raises(PluginError, match=r"\b1 items of 'text'.*\b8 test rows"):
            _ = load_dataset(Tiny, tmp_path).items
    # Items follow the rows that a limit leaves; the features count on from row to row.
    monkeypatch.setattr("bench.data.loading.row_limits", lambda *_: RowLimits(8, 8, 4, 3))
    data = load_dataset(Tiny, tmp_path)
    kept = data.test["text"].features[:, 0] // 3
    assert len(kept) == 4
    assert data.items.shown["text"] == [f"row {row:g}" for row in kept]


@pytest.mark.parametrize("folder", ["", "tiny"])
def test_files_are_found_in_the_dataset_s_folder_and_in_the_data_folder(tmp_path: Path, folder: str) -> None:
    put(tmp_path / folder)
    data = load_dataset(Tiny, tmp_path)
    assert data.kind == "real"
    np.testing.assert_array_equal(data.train["image"].features, np.arange(24.0).reshape(8, 3))


class Strict(Tiny):
    card = replace(Tiny.card, has_look_alike=False)


class Empty(Tiny):
    card = replace(Tiny.card, files=())


def test_absent_or_damaged_files_are_an_error_where_no_look_alike_may_stand_in(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path / "tiny" / "x.npz")):
        load_dataset(Strict, tmp_path)
    with pytest.raises(DataError, match=r"files.*embedded data"):
        load_dataset(Empty)
    (put(tmp_path) / "y.list").unlink()
    with pytest.raises(DataError, match=r"y.list.* by hand"):
        load_dataset(Tiny, tmp_path)
    (put(tmp_path) / "x.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(DataError, match=r"x.npz"):
        load_dataset(Tiny, tmp_path)


def test_what_departs_from_the_card_s_suppositions_is_noted_on_the_dataset(tmp_path: Path) -> None:
    notes = load_dataset(Tiny, put(tmp_path)).card.notes
    assert mentions(notes[0], "image ... 8/8/8 rows ... 8/4/4")
    assert Tiny.card.notes == ()


def test_the_data_folder_is_given_or_the_variable_s_or_the_working_folder_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    assert data_folder() == Path.cwd() / "data"
    monkeypatch.setenv("BENCH_DATA", "/elsewhere")
    assert data_folder() == Path("/elsewhere")
    assert data_folder("here") == Path("here")


def test_limits_of_generated_data_do_not_touch_the_fingerprint_of_real_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_dataset(Tiny, put(tmp_path)).fingerprint
    for limits, same in ((replace(QUICK, dimension=3, classes=2), True), (replace(QUICK, test=999), False)):
        monkeypatch.setattr("bench.data.loading.row_limits", lambda *_, limits=limits: limits)
        assert (load_dataset(Tiny, tmp_path).fingerprint == first) is same


def test_the_fingerprint_follows_content_limits_and_name_and_nothing_else(tmp_path: Path) -> None:
    first = load_dataset(Tiny, put(tmp_path / "a"))
    assert load_dataset(Tiny, put(tmp_path / "b")).fingerprint == first.fingerprint
    assert load_dataset(Tiny, tmp_path / "a", profile="paper").fingerprint != first.fingerprint
    assert load_dataset(Tiny, put(tmp_path / "c", rows=10)).fingerprint != first.fingerprint

    class Other(Tiny):
        card = replace(Tiny.card, name="other")

    assert load_dataset(Other, tmp_path / "a").fingerprint != first.fingerprint


def test_digests_are_remembered_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, path = tmp_path / "made" / "cache.json", tmp_path / "x"
    path.write_text("one")
    first = file_digests({"x": path}, cache)
    assert cache.is_file()

    def must_not_be_called(_: Path) -> str:
        raise AssertionError("digested again")

    with monkeypatch.context() as patched:
        patched.setattr("bench.data.fingerprint.sha256_of", must_not_be_called)
        patched.setattr("bench.data.fingerprint._DIGESTS", {})
        assert file_digests({"x": path}, cache) == first
    path.write_text("two!")
    assert file_digests({"x": path}, cache) != first
    for damage in ("{", "[1]"):
        cache.write_text(damage)
        assert file_digests({"x": path}, cache) == file_digests({"x": path})
    with pytest.raises(DataError, match="none"):
        file_digests({"x": tmp_path / "none"})


@pytest.mark.parametrize("size", [3, 100_000])
@pytest.mark.parametrize("index", [0, 1, -1])
def test_a_file_of_equal_size_and_time_is_not_taken_for_the_one_before(
    tmp_path: Path, size: int, index: int
) -> None:
    cache, path = tmp_path / "cache.json", tmp_path / "mine.npz"
    path.write_bytes(bytes(size))
    first, times = file_digests({"x": path}, cache), path.stat()
    content = bytearray(size)
    content[index] = 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == times.st_mtime_ns
    assert file_digests({"x": path}, cache) != first
    other = tmp_path / "other.npz"
    other.write_bytes(bytes(size))
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    assert file_digests({"x": path}, cache) == first


def test_a_digest_that_is_forgotten_is_made_again_and_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, first, second = tmp_path / "cache.json", tmp_path / "x", tmp_path / "xy"
    for path in (first, second):
        path.write_text(path.name)
    files = {"x": first, "xy": second}
    right = file_digests(files, cache)
    cache.write_text(json.dumps(dict.fromkeys(json.loads(cache.read_text()), "wrong")))
    assert file_digests(files, cache) == {"x": "wrong", "xy": "wrong"}
    forget_digests([first], cache)
    monkeypatch.setattr("bench.data.fingerprint._DIGESTS", {})
    assert file_digests(files, cache) == {"x": right["x"], "xy": "wrong"}


def test_names_profiles_and_paths_that_do_not_exist_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="emoji"):
        load_dataset("emojy", tmp_path)
    with pytest.raises(UsageError, match="quick"):
        load_dataset("emoji", tmp_path, profile="qick")
    with pytest.raises(UsageError, match="no file"):
        fingerprint_of("some/where", tmp_path)


def test_all_quick_look_alikes_together_are_small(tmp_path: Path) -> None:
    size = 0
    for name in ("wikipedia", "nus_wide", "inria_websearch", "xmedia", "xmedianet"):
        dataset = load_dataset(name, tmp_path)
        assert dataset.kind == "look-alike"
        splits = (dataset.train, dataset.validation, dataset.test)
        size += sum(one.features.nbytes for split in splits for one in split.values())
    assert size < 64 << 20  # bytes


def test_a_dataset_that_is_opened_and_checked_is_summarised_as_plain_data(tmp_path: Path) -> None:
    bundle = saved(tmp_path / "mine.npz", arrays())
    for given, kind in (("emoji", "real"), ("wikipedia", "look-alike"), (bundle, "real")):
        found, data = open_and_check(given, tmp_path), load_dataset(given, tmp_path)
        assert (found.kind, found.fingerprint) == (kind, data.fingerprint)
        expected = data.name, data.modalities, data.card.n_classes.value
        assert (found.name, found.modalities, found.n_classes) == expected
        assert pickle.loads(pickle.dumps(found)) == found
        for part, rows in found.rows.items():
            assert rows == {name: len(one) for name, one in getattr(data, part).items()}
        assert bool(found.rows) == (kind == "real")


def test_what_is_wrong_with_a_dataset_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = saved(tmp_path / "bad.npz", arrays() | {"test_image": np.full((12, 6), np.nan)})
    for given, error in (
        (bad, DataError),
        (tmp_path / "none.npz", UsageError),
        ("emojy", UsageError),
        ("nus_wide_42941", DataError),
    ):
        with pytest.raises(error):
            open_and_check(given, tmp_path)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(Tiny, "read", fail)
    with pytest.raises(DataError, match="ZeroDivisionError"):
        load_dataset(Tiny, put(tmp_path / "tiny"))


def test_a_pipe_instead_of_a_file_is_named_and_no_look_alike_stands_in(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "wiki.mat").symlink_to(tmp_path / "pipe")
    for read in (load_dataset, fingerprint_of, open_and_check):
        with pytest.raises(DataError, match=r"wiki\.mat.*regular file"):
            read("wikipedia", tmp_path)
    assert "regular file" in diagnose("wikipedia", tmp_path).problem


def test_the_loader_is_not_imported_before_its_files_are_read(tmp_path: Path) -> None:
    plugin = tmp_path / "ending.py"
    plugin.write_text(
        "import os\nfrom bench.contract import DatasetCard, DatasetLoader, Fact, FileCard, ModalityCard\n"
        "os._exit(0)\nclass Ending(DatasetLoader):\n    card = DatasetCard('ending', 'E', (), "
        "Fact(2, 'confirmed'), 'l', 's', files=(FileCard('e.bin', 'here'),))\n"
        "    def read(self, files): ...\n"
    )
    (tmp_path / "e.bin").write_bytes(b"data")
    with only_plugins(plugin):
        assert fingerprint_of("ending", tmp_path)[0] == "real"
        assert card_of("ending").title == "E"
        with pytest.raises(PluginError, match="ends the process"):
            open_and_check("ending", tmp_path)
