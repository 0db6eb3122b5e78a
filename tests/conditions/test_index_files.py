"""Noise index files of released code: made in their layouts, read as wrong pairs, and others refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.conditions import parse_conditions
from bench.conditions.drawn import write_drawn
from bench.contract import Array, BenchError, Modality, Split
from tests.conditions.test_conditions import SCOPE

PICTURES, CAPTIONS, CLASSES = 24, 5, 4
OF_CAPTION = np.arange(PICTURES * CAPTIONS) // CAPTIONS
"""The picture of each caption, as in SCAN's data."""


def _split(captions: int = CAPTIONS, beside: bool = False, audio: bool = False) -> Split:
    """Return pictures, each with a number of captions in turn, and perhaps one recording.

    Args:
        captions: of a picture.
        beside: whether a picture has a row beside each of its captions.
        audio: whether there are recordings.
    """
    ids = np.arange(PICTURES) + 100
    counts = {"image": captions if beside else 1, "text": captions} | ({"audio": 1} if audio else {})
    parts = {}
    for name, count in counts.items():
        mine = np.repeat(ids, count)
        parts[name] = Modality(np.arange(len(mine) * 2.0).reshape(-1, 2), (mine - 100) % CLASSES, mine)
    return Split(parts, CLASSES)


def _shuffled(right: Array, share: float, seed: int = 0) -> Array:
    """Return indices of which a share is permuted at random, where some may stay."""
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(right))[: int(share * len(right))]
    noisy = right.copy()
    noisy[chosen] = random.permutation(right[chosen])
    return noisy


PER_PICTURE = _shuffled(np.arange(PICTURES), 0.5)
PER_CAPTION = _shuffled(OF_CAPTION, 0.6)


def _read(word: str, split: Split) -> tuple[Split, Any]:
    (applied,) = parse_conditions([word])
    assert applied is not None
    train, _, effective = applied.to(split, split, SCOPE, 0)
    for name, one in train.items():
        assert np.array_equal(one.features, split[name].features)
        assert np.array_equal(one.labels, split[name].labels)
    return train, effective


def _pictures_of(train: Split, name: str = "text") -> Array:
    """Return the numbers of the pictures that rows are paired with; each row has one."""
    rows, partners = train.pairs(name, "image")
    numbers = train["image"].features[partners][:, 0] / 2
    found: dict[int, set[int]] = {}
    for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):
        found.setdefault(row, set()).add(int(number))
    assert all(len(one) == 1 for one in found.values())
    return np.array([one.pop() for _, one in sorted(found.items())])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (PER_PICTURE, PER_PICTURE[OF_CAPTION]),  # DECL, RCL
        (PER_CAPTION, PER_CAPTION),  # NCR
        (PER_PICTURE[OF_CAPTION], PER_PICTURE[OF_CAPTION]),  # L2RM
        (np.arange(PICTURES), OF_CAPTION),
    ],
    ids=["by picture", "by caption", "by caption, together", "right pairs"],
)
def test_a_row_gets_the_item_of_its_index(values: Array, expected: Array, tmp_path: Path) -> None:
    np.save(tmp_path / "noise_inx_0.5.npy", values)
    train, effective = _read(f"wrong-pairs={tmp_path / 'noise_inx_0.5.npy'}", _split())
    assert np.array_equal(_pictures_of(train), expected)
    assert effective == pytest.approx(float((expected != OF_CAPTION).mean()))
    assert effective < 0.6  # some of the chosen pairs stay right


@pytest.mark.parametrize("values", [PER_PICTURE, PER_CAPTION])
def test_a_picture_beside_each_of_its_captions_is_one_item(values: Array, tmp_path: Path) -> None:
    np.save(tmp_path / "f30k_0.6.npy", values)
    word = f"wrong-pairs={tmp_path / 'f30k_0.6.npy'}"
    once, beside = _read(word, _split()), _read(word, _split(beside=True))
    assert np.array_equal(once[0]["text"].ids, beside[0]["text"].ids)  # type: ignore[arg-type]
    assert once[1] == beside[1] > 0


def test_a_wrong_partner_of_the_same_class_is_a_wrong_pair(tmp_path: Path) -> None:
    values = np.arange(PICTURES)
    values[[0, CLASSES]] = values[[CLASSES, 0]]
    np.save(tmp_path / "n.npy", values)
    train, effective = _read(f"wrong-pairs={tmp_path / 'n.npy'}", _split())
    rows, partners = train.pairs("text", "image")
    assert np.array_equal(train["text"].labels[rows], train["image"].labels[partners])
    assert effective == pytest.approx(2 / PICTURES)


def test_an_array_is_named_after_the_modality_whose_items_it_lists(tmp_path: Path) -> None:
    np.savez(tmp_path / "n.npz", text=PER_PICTURE, seed=np.array(1))
    train, effective = _read(f"wrong-pairs={tmp_path / 'n.npz'}", _split(captions=1))
    rows, captions = train.pairs("image", "text")
    assert np.array_equal(captions[np.argsort(rows)], PER_PICTURE)  # picture i with caption file[i]
    assert effective == pytest.approx(float((np.arange(PICTURES) != PER_PICTURE).mean()))


def test_all_other_modalities_move_together(tmp_path: Path) -> None:
    np.save(tmp_path / "n.npy", PER_PICTURE)
    train, _ = _read(f"wrong-pairs={tmp_path / 'n.npy'}", _split(audio=True))
    assert np.array_equal(_pictures_of(train, "audio"), PER_PICTURE)
    assert np.array_equal(_pictures_of(train), PER_PICTURE[OF_CAPTION])


def test_what_was_read_can_be_written_out_and_read_again(tmp_path: Path) -> None:
    split = _split(captions=1)
    for name in ("image", "text"):
        np.save(tmp_path / f"{name}.npy", PER_PICTURE)
        (applied,) = parse_conditions([f"wrong-pairs={tmp_path / name}.npy"])
        assert applied is not None
        edited = applied.drawn(split, SCOPE, 0)
        write_drawn(tmp_path / "again.csv", split, edited, {})
        train, effective = _read(f"wrong-pairs={tmp_path / 'again.csv'}", split)
        assert [one.ids.tolist() for one in train.values() if one.ids is not None] == [
            edit.ids.tolist() for edit in edited.edits.values() if edit.ids is not None
        ]
        assert effective == edited.effective != 0


REPEATED = np.where(np.arange(PICTURES) == 3, 4, np.arange(PICTURES))

REFUSED: Mapping[str, tuple[Any, str]] = {
    "too few": (PER_PICTURE[1:], "23 indices.* 24 items of image or the 120 training rows of text"),
    "none": (PER_PICTURE[:0], "0 indices"),
    "from 1": (PER_PICTURE + 1, "1 to 24, expected 0 to 23; .*subtract 1"),
    "too far": (np.where(OF_CAPTION == 23, 24, OF_CAPTION), "0 to 24"),
    "below 0": (PER_PICTURE - 1, "-1 to 22"),
    "one twice": (REPEATED, "2 items .* such as 3, 0 times instead of 1"),
    "of other captions": (np.arange(120) % 23, "instead of 5"),
    "fractions": (PER_PICTURE + 0.5, "whole numbers"),
    "words": (PER_PICTURE.astype(str), "whole numbers"),
    "two axes": (PER_PICTURE.reshape(4, 6), "whole numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_reordering_of_the_right_pairs_is_refused(case: str, tmp_path: Path) -> None:
    values, words = REFUSED[case]
    np.save(tmp_path / "n.npy", values)
    with pytest.raises(BenchError, match=words) as caught:
        _read(f"wrong-pairs={tmp_path / 'n.npy'}", _split())
    assert str(tmp_path / "n.npy") in str(caught.value)


def test_what_a_layout_cannot_say_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "items.npy", PER_PICTURE)
    np.save(tmp_path / "rows.npy", PER_CAPTION)
    np.save(tmp_path / "twelve.npy", PER_CAPTION % 12)
    np.savez(tmp_path / "two.npz", image=PER_PICTURE, text=PER_PICTURE)
    np.savez(tmp_path / "unnamed.npz", a=PER_PICTURE, b=PER_PICTURE)
    alone = Split({name: Modality(one.features, one.labels) for name, one in _split().items()}, CLASSES)
    half = Split({"image": _split()["image"].take(np.arange(12)), "text": _split()["text"]}, CLASSES)
    assert _read(f"wrong-pairs/by-row={tmp_path / 'rows.npy'}", _split())[1] > 0
    for word, split, noun in (
        ("wrong-pairs/by-row=items.npy", _split(), "120 training rows of text"),
        ("wrong-pairs=rows.npy", _split(audio=True), "24 items of image"),
        ("wrong-pairs=two.npz", _split(), "named after a modality"),
        ("wrong-pairs=unnamed.npz", _split(), "named after a modality"),
        ("wrong-pairs=items.npy", alone, "there are none"),
        ("wrong-pairs=rows.npy", half, "expected 0 to 11"),
        ("wrong-pairs=twelve.npy", half, "60 of the rows .* have no partner"),
        ("unpaired=items.npy", _split(), "neither rows nor ids"),
    ):
        name, _, file = word.partition("=")
        with pytest.raises(BenchError, match=noun):
            _read(f"{name}={tmp_path / file}", split)
