"""Conditions from files: what was written is read back, public label files are understood, others refused."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bench.conditions import Applied, condition_of, conditions, parse_conditions
from bench.conditions.drawn import write_drawn
from bench.contract import Array, BenchError, Split, UsageError
from bench.data.fingerprint import DataChanged
from tests.conditions.test_conditions import EVERY, SCOPE, _bytes, _split

CLASSES, ROWS = 6, 120
IN_FILES = [pair for pair in EVERY if conditions()[pair[0]].card.in_files and pair[1] != "blocks"]


def _write(path: Path, applied: Applied, split: Split) -> Path:
    edited = applied.drawn(split, SCOPE, 0)
    write_drawn(path, split, edited, {"condition": applied.id, "effective": edited.effective})
    return path


def _read(word: str, split: Split) -> tuple[Split, Any]:
    (applied,) = parse_conditions([word])
    assert applied is not None
    train, validation, effective = applied.to(split, _split(30), SCOPE, 0)
    assert validation.n_classes == train.n_classes
    return train, effective


@pytest.mark.parametrize("ending", ["csv", "npz"])
@pytest.mark.parametrize(("name", "variant"), IN_FILES)
def test_what_is_written_is_read_back_as_the_same_rows(
    name: str, variant: str, ending: str, tmp_path: Path
) -> None:
    split = _split(ROWS, multi=name == "label-noise-multi", modalities=3)
    level = 10.0 if name == "long-tail" else 0.4
    applied = Applied(name, variant, level)
    path = _write(tmp_path / f"drawn.{ending}", applied, split)
    drawn, _, effective = applied.to(split, _split(30), SCOPE, 0)
    read, reached = _read(f"{name}={path}", split)
    assert _bytes(read) == _bytes(drawn)
    assert (read.n_classes, read.pairing, reached) == (drawn.n_classes, drawn.pairing, effective)
    pair = split.select(("audio", "image"))
    part = _read(f"{name}={path}", pair)[0]
    assert np.array_equal(part["audio"].labels, drawn["audio"].labels)


def test_unlabelled_rows_and_rows_without_ids_are_written_and_read(tmp_path: Path) -> None:
    whole = _split(ROWS)
    split = Split(
        {
            name: type(one)(one.features, np.where(np.arange(ROWS) % 5, one.labels, -1))
            for name, one in whole.items()
        },
        CLASSES,
    )
    for name, variant, ending in (("label-noise", "shared", "csv"), ("unequal", "last", "npz")):
        applied = Applied(name, variant, 0.5)
        path = _write(tmp_path / f"{name}.{ending}", applied, split)
        drawn, read = applied.to(split, split, SCOPE, 0)[0], _read(f"{name}={path}", split)[0]
        for modality in split:
            assert np.array_equal(read[modality].labels, drawn[modality].labels)
            assert (read[modality].ids is None) == (drawn[modality].ids is None)


def test_what_a_file_cannot_hold_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(UsageError, match="features"):
        _write(path, Applied("missing", "blocks", 1.0), _split())
    assert not path.exists()
    path.touch()
    for condition in ("late", "unseen", "feature-noise", "label-noise/same"):
        with pytest.raises(UsageError, match="training rows"):
            parse_conditions([f"{condition}={path}"])


NOISY = (np.arange(ROWS) + (np.arange(ROWS) % 5 == 0)) % CLASSES
"""A fifth of the rows of `_split` have the class after their true one."""

ONE_HOT = np.eye(CLASSES, dtype=np.int64)[NOISY]


def _npy(path: Path, values: Array) -> None:
    with path.open("wb") as file:
        np.save(file, values)


def _mat(path: Path, values: Array) -> None:
    savemat(path, {"noisy_label": values})


def _json(path: Path, lists: Any) -> None:
    path.write_text(json.dumps(lists), encoding="utf-8")


LAYOUTS: dict[str, tuple[str, Callable[[Path, Any], None], Any]] = {
    "class numbers, as RONO's .npy": ("l.npy", _npy, NOISY.astype(np.float64)),
    "class numbers from 1, in a column": ("l.mat", _mat, NOISY[:, None] + 1),
    "class numbers from 1 without the last": ("l.npy", _npy, np.where(NOISY == 5, 4, NOISY) + 1),
    "one-hot rows, as NIRNL's and RSHNL's .mat": ("l.mat", _mat, ONE_HOT),
    "one-hot rows of classes from 1": ("l.mat", _mat, np.insert(ONE_HOT, 0, 0, axis=1)),
    "a list for each modality, as MRL's .json": ("l.json", _json, [NOISY.tolist()] * 2),
    "one list": ("l.json", _json, NOISY.tolist()),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_public_label_files_give_their_labels(layout: str, tmp_path: Path) -> None:
    name, write, values = LAYOUTS[layout]
    write(tmp_path / name, values)
    split = _split(ROWS)
    train, reached = _read(f"label-noise={tmp_path / name}", split)
    expected = NOISY if "last" not in layout else np.where(NOISY == 5, 4, NOISY)
    for modality, one in train.items():
        assert np.array_equal(one.labels, expected)
        assert one.labels.dtype == split[modality].labels.dtype
        assert np.array_equal(one.ids, split[modality].ids)  # type: ignore[arg-type]
    assert reached == pytest.approx(float((expected != split["image"].labels).mean()))


@pytest.mark.parametrize("variant", ["shared", "shared-any", "per-modality"])
def test_a_draw_in_a_released_layout_gives_the_rows_of_the_draw(variant: str, tmp_path: Path) -> None:
    """What MRL, RONO and ELRCMR are given depends on the draw alone, not on the file that it comes from."""
    split = _split(ROWS)
    drawn, _, effective = Applied("label-noise", variant, 0.4).to(split, _split(30), SCOPE, 0)
    labels: dict[str, Any] = {name: one.labels for name, one in drawn.items()}
    _json(tmp_path / "l.json", [values.tolist() for values in labels.values()])
    np.savez(tmp_path / "l.npz", **{f"{name}_labels": values for name, values in labels.items()})
    if variant != "per-modality":
        _npy(tmp_path / "l.npy", labels["image"].astype(np.float64))
        _mat(tmp_path / "l.mat", np.eye(CLASSES)[labels["image"]])
    for path in sorted(tmp_path.iterdir()):
        train, reached = _read(f"label-noise={path}", split)
        assert (_bytes(train), reached) == (_bytes(drawn), effective), path.name


def test_lists_and_arrays_of_modalities_go_to_the_modality_that_they_are_of(tmp_path: Path) -> None:
    lists = {name: np.roll(NOISY, index).tolist() for index, name in enumerate(("image", "text", "audio"))}
    _json(tmp_path / "l.json", [*lists.values()])
    np.savez(tmp_path / "l.npz", **{f"{name}_labels": values for name, values in lists.items()})
    split = _split(ROWS, modalities=3)
    for name in ("l.json", "l.npz"):
        applied = parse_conditions([f"label-noise/per-modality={tmp_path / name}"])[0]
        assert applied is not None
        train = applied.to(split.select(("text", "audio")), split, SCOPE, 0, tuple(split))[0]
        assert {key: one.labels.tolist() for key, one in train.items()} == {
            key: lists[key] for key in ("text", "audio")
        }


def test_label_matrices_and_missing_labels(tmp_path: Path) -> None:
    split = _split(ROWS, multi=True)
    noisy = np.roll(split["image"].labels, 1, axis=1)
    _mat(tmp_path / "m.mat", noisy)
    assert np.array_equal(_read(f"label-noise-multi={tmp_path / 'm.mat'}", split)[0]["text"].labels, noisy)
    few = np.where(np.arange(ROWS) < 30, _split(ROWS)["image"].labels, -1)
    _npy(tmp_path / "few.npy", few)
    train, reached = _read(f"few-labels={tmp_path / 'few.npy'}", _split(ROWS))
    assert (reached, int(train["text"].labelled.sum())) == (0.25, 30)


def _text(path: Path, text: Any) -> None:
    path.write_text(text, encoding="utf-8")


def _pickled(path: Path, values: Any) -> None:
    with path.open("wb") as file:
        np.save(file, np.array(values, dtype=object), allow_pickle=True)


class _Harmful:
    def __reduce__(self) -> Any:
        return (os.mkdir, ("executed",))


HEAD = "modality,row,kept,label,new_label,id,new_id\n"

REFUSED: dict[str, tuple[str, Callable[[Path, Any], object], Any, str]] = {
    "too few": ("l.npy", _npy, NOISY[1:], "119 labels"),
    "a class too far": ("l.json", _json, [[*NOISY[1:].tolist(), CLASSES]] * 2, "off-by-one"),
    "a class too far, one-hot": ("l.mat", _mat, np.eye(CLASSES + 1, dtype=int)[NOISY], "no class"),
    "negative": ("l.npy", _npy, NOISY - 1, "-1"),
    "fractions": ("l.npy", _npy, NOISY + 0.5, "whole"),
    "not numbers": ("l.npy", _npy, NOISY.astype(str), "whole numbers"),
    "not a number": ("l.npy", _npy, np.where(NOISY == 3, np.nan, NOISY), "whole"),
    "several classes": ("l.mat", _mat, np.maximum(ONE_HOT, np.roll(ONE_HOT, 1, axis=1)), "single 1"),
    "other columns": ("l.mat", _mat, ONE_HOT[:, :4], "one-hot rows"),
    "three axes": ("l.npy", _npy, ONE_HOT[:, :, None], "labels"),
    "a list for another modality": ("l.json", _json, [NOISY.tolist()] * 3, "3 lists"),
    "lists and numbers": ("l.json", _json, [NOISY.tolist(), 3], "2 lists"),
    "lists of lists": ("l.json", _json, [[[1]]], "cannot be read"),
    "great numbers": ("l.json", _json, [2**70] * ROWS, "whole numbers"),
    "no JSON": ("l.json", _text, "[1, 2", "cannot be read"),
    "deep JSON": ("l.json", _text, "[" * 100_000, "cannot be read"),
    "empty": ("l.npy", _text, "", "empty file"),
    "a pickle": ("l.npy", _pickled, [_Harmful()] * ROWS, "pickle"),
    "a plain pickle": ("l.pkl", lambda path, harm: path.write_bytes(pickle.dumps(harm)), _Harmful(), "pkl"),
    "another table": ("l.csv", _text, "a,b\n1,2\n", "none is called"),
    "a table cut off": ("l.csv", _text, HEAD + "image,0,1,0,0,0,0\n", "text"),
    "a line cut off": ("l.csv", _text, HEAD + "image,0,1\n", "cannot be read"),
    "rows out of order": ("l.csv", _text, HEAD + "image,1,1,0,0,0,0\n", "numbered from 0"),
    "no numbers": ("l.csv", _text, HEAD + "image,0,1,x,0,0,0\ntext,0,1,x,0,0,0\n", "120"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_of_anything_else_is_refused_in_one_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, write, values, noun = REFUSED[case]
    write(tmp_path / name, values)
    with pytest.raises(BenchError, match=noun) as caught:
        _read(f"label-noise={name}", _split(ROWS))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("ending", ["csv", "npz"])
def test_a_file_of_other_rows_or_of_another_condition_is_refused(ending: str, tmp_path: Path) -> None:
    split = _split(ROWS)
    path = _write(tmp_path / f"drawn.{ending}", Applied("label-noise", "shared", 0.4), split)
    others = Split(
        {name: type(one)(one.features, one.labels[::-1]) for name, one in split.items()}, CLASSES, "natural"
    )
    for other in (others, _split(ROWS + 6)):
        with pytest.raises(BenchError, match="rows"):
            _read(f"label-noise={path}", other)
    with pytest.raises(BenchError, match="audio"):
        _read(f"label-noise={path}", _split(ROWS, modalities=3))
    for word in ("missing", "few-labels"):
        with pytest.raises(BenchError, match="changes labels" if ending == "csv" else "was drawn by"):
            _read(f"{word}={path}", split)
    if ending == "npz":
        for word in ("unpaired", "label-noise/per-modality"):
            with pytest.raises(BenchError, match="label-noise@"):
                _read(f"{word}={path}", split)


@pytest.mark.parametrize(
    ("key", "value", "noun"),
    [
        ("image_rows", np.array([0, 0]), "distinct"),
        ("image_rows", np.array([0, ROWS]), "0 to 119"),
        ("image_rows", np.array([0.5]), "whole"),
        ("text_new_labels", np.full(ROWS, CLASSES), "reach"),
        ("text_new_labels", np.full(ROWS, -2), "reach"),
        ("text_new_labels", np.zeros(3, dtype=int), "3 new labels"),
        ("text_new_labels", np.zeros((ROWS, 2), dtype=int), "unlike"),
        ("text_new_ids", np.zeros(3, dtype=int), "ids"),
        ("text_new_labels", None, "new_labels"),
        ("text_new_ids", None, "no ids"),
    ],
)
def test_a_damaged_archive_is_refused(key: str, value: Any, noun: str, tmp_path: Path) -> None:
    split = _split(ROWS)
    path = _write(tmp_path / "drawn.npz", Applied("label-noise", "shared", 0.4), split)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != key}
    np.savez(path, **arrays, **({} if value is None else {key: value}))
    with pytest.raises(BenchError, match=noun):
        _read(f"label-noise={path}", split)


def test_what_is_about_pairs_is_not_read_from_labels(tmp_path: Path) -> None:
    _npy(tmp_path / "l.npy", NOISY)
    with pytest.raises(BenchError, match=r"rows.*ids"):
        _read(f"unpaired={tmp_path / 'l.npy'}", _split(ROWS))
    with pytest.raises(BenchError, match="0/1 matrix"):
        _read(f"label-noise-multi={tmp_path / 'l.npy'}", _split(ROWS, multi=True))


def test_a_name_holds_the_digest_and_a_changed_or_moved_file_is_another_condition(tmp_path: Path) -> None:
    for folder, values in (("a", NOISY), ("b", np.roll(NOISY, 1))):
        (tmp_path / folder).mkdir()
        _npy(tmp_path / folder / "my labels.npy", values)
    words = [f"label-noise={tmp_path / folder / 'my labels.npy'}" for folder in "ab"]
    first, second = (applied for applied in parse_conditions([*words, words[0]]) if applied)
    assert first.file is not None
    assert first.id != second.id
    assert first.id.startswith("label-noise=my_labels.npy:")
    assert second.id.startswith("label-noise=my_labels.npy:")
    assert condition_of(first.id, first.file.path) == first
    _npy(tmp_path / "a" / "my labels.npy", NOISY[::-1])
    with pytest.raises(DataChanged, match="has changed"):
        first.drawn(_split(ROWS), SCOPE, 0)
    (tmp_path / "a" / "my labels.npy").unlink()
    for gone in (first, condition_of(first.id)):
        assert gone is not None
        with pytest.raises(DataChanged, match="is gone"):
            gone.drawn(_split(ROWS), SCOPE, 0)
    for word in (words[0], f"label-noise={tmp_path}"):
        with pytest.raises(UsageError, match="cannot be read"):
            parse_conditions([word])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe"):
        parse_conditions([f"label-noise={tmp_path / 'pipe'}"])
