"""Every bad array is one sentence that names file, key, what was found and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract import DataError, DatasetCard, Fact, Modality, ModalityCard, Split
from bench.data import (
    class_numbers,
    cut_block,
    feature_matrix,
    first_class,
    label_matrix,
    open_arrays,
    read_modality,
)
from bench.data.checks import check_splits, require_equal_labels
from tests.data.released import write_mat5
from tests.wording import mentions

WHERE = "wiki.mat, key 'X'"


def card(status: Any = "confirmed") -> DatasetCard:
    return DatasetCard(
        "tiny",
        "Tiny",
        tuple(
            ModalityCard(name, Fact("f", status), Fact(3, status), Fact((4, 2, 2), status), "dense")
            for name in ("image", "text")
        ),
        Fact(2, "confirmed"),
        "none",
        "none",
    )


def splits(rows: tuple[int, int, int] = (4, 2, 2), width: int = 3) -> dict[str, Split]:
    def part(n: int) -> Split:
        modality = Modality(np.ones((n, width), np.float32), np.arange(n) % 2)
        return Split({"image": modality, "text": modality}, 2, "natural")

    return dict(zip(("train", "validation", "test"), map(part, rows), strict=True))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8, np.int64, bool, ">f4"])
def test_features_become_contiguous_float32(dtype: Any) -> None:
    matrix = feature_matrix(np.asfortranarray(np.ones((3, 2)).astype(dtype)), WHERE)
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix, 1)


FAR_DOWN = np.ones((10_000, 2))
FAR_DOWN[9_999, 1] = np.nan


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[1, np.nan]]), "row 0, column 1 is nan"),
        (np.array([[1.0, 2], [np.inf, 0]]), "row 1, column 0 is inf"),
        (np.array([[1e300]]), "row 0, column 0 is 1e\\+300"),
        (FAR_DOWN, "row 9999, column 1"),
        (np.ones(4), r"matrix \(n, d\), found shape \(4,\)"),
        (np.ones((0, 4)), "empty"),
        (np.ones((4, 0)), "empty"),
        (np.array([["a"]]), "real numbers"),
        (np.ones((2, 2), complex), "real numbers"),
    ],
)
def test_bad_features_are_refused(values: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        feature_matrix(values, WHERE)
    assert WHERE in str(caught.value)


@pytest.mark.parametrize("shape", [(6,), (6, 1), (1, 6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_class_numbers_come_in_any_single_line(shape: tuple[int, ...], dtype: Any) -> None:
    numbers = class_numbers(np.array([1, 2, 3, 1, 2, 3], dtype=dtype).reshape(shape), WHERE, 3, first=1)
    np.testing.assert_array_equal(numbers, [0, 1, 2, 0, 1, 2])
    assert numbers.dtype == np.int64


@pytest.mark.parametrize(
    ("values", "first", "words"),
    [
        ([1, 2, 3], 0, "1 to 3.*0 to 2.*from 1"),
        ([0, 1, 2], 1, "0 to 2.*1 to 3.*from 0"),
        ([0, 7], 0, "0 to 7.*0 to 2$"),
        ([-1, 1], 0, "-1 to 1.*0 to 2"),
        ([0.5, 1], 0, "whole numbers, found 0.5"),
        ([np.nan, 1], 0, "whole numbers, found nan"),
        (["cat"], 0, "must be integers"),
        ([], 0, "there are no labels"),
        ([[0, 1], [1, 0]], 0, "one number per row"),
    ],
)
def test_bad_labels_are_refused(values: Any, first: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        class_numbers(np.array(values), WHERE, 3, first)
    with pytest.raises(DataError, match="integers"):  # where the format promises some
        class_numbers(np.array([0.0, 1.0]), WHERE, 3, whole_floats=False)


@pytest.mark.parametrize("start", [0, 1])
def test_where_the_first_class_is_unknown_all_lists_of_the_file_decide_together(
    tmp_path: Path, start: int
) -> None:
    values = {"a": np.arange(3) + start, "b": np.array([1 + start, start]), "c": np.array(["x"])}
    with open_arrays(write_mat5(tmp_path / "x.mat", values)) as source:
        assert first_class(source, ["a", "b", "c"], 3) == start
        assert first_class(source, ["c"], 3) == 0


@pytest.mark.parametrize(
    ("values", "noun"), [([[0, 2]], "0 or 1"), ([[0.5, 1]], "0 or 1"), ([0, 1], "matrix")]
)
def test_bad_label_matrices_are_refused(values: Any, noun: str) -> None:
    with pytest.raises(DataError, match=noun):
        label_matrix(np.array(values), WHERE)


def test_a_multi_label_row_may_belong_to_no_class() -> None:
    np.testing.assert_array_equal(label_matrix(np.array([[1.0, 0], [0, 0]]), WHERE), [[1, 0], [0, 0]])


def test_reading_a_modality_checks_width_orientation_and_row_counts(tmp_path: Path) -> None:
    path = write_mat5(
        tmp_path / "x.mat",
        {
            "X": np.ones((5, 3)),
            "turned": np.ones((3, 5)),
            "wide": np.ones((5, 4)),
            "y": np.array([0, 1, 0, 1, 0]),
            "short": np.array([0, 1]),
        },
    )
    with open_arrays(path) as source:
        assert read_modality(source, card(), "image", "X", "y").features.shape == (5, 3)
        with pytest.raises(DataError, match="transposed"):
            read_modality(source, card(), "image", "turned", "y")
        with pytest.raises(DataError, match=r"\b4 wide.*\b3$"):
            read_modality(source, card(), "image", "wide", "y")
        with pytest.raises(DataError, match=r"'X'.*\b5 rows.*\b2 labels.*'short'"):
            read_modality(source, card(), "image", "X", "short")
        assert read_modality(source, card("inferred"), "image", "wide", "y").dimension == 4


def test_what_differs_from_a_confirmed_fact_is_an_error_and_from_a_supposed_one_a_note() -> None:
    assert check_splits(card(), splits(), "f") == ()
    with pytest.raises(DataError, match=r"image.*6/2/2 rows.*4/2/2.*feature bundle"):
        check_splits(card(), splits((6, 2, 2)), "f")
    notes = check_splits(card("doubtful"), splits((6, 2, 2), width=5), "f")
    assert len(notes) == 4
    assert any(mentions(note, "image ... 5 wide ... 3") for note in notes)
    assert any(mentions(note, "text ... 6/2/2 rows ... 4/2/2") for note in notes)


def test_splits_that_do_not_fit_together_are_refused() -> None:
    found = splits()
    with pytest.raises(DataError, match="train, validation, test"):
        check_splits(card(), {"train": found["train"]}, "f")
    with pytest.raises(DataError, match="has the modalities"):
        check_splits(card(), {**found, "test": found["test"].select(("text", "image"))}, "f")
    with pytest.raises(DataError, match="different widths"):
        check_splits(card("inferred"), {**found, "test": splits(width=5)["test"]}, "f")


def test_rows_said_to_be_pairs_must_have_equal_labels() -> None:
    features = np.ones((2, 1), np.float32)
    split = Split(
        {"image": Modality(features, np.array([0, 1])), "text": Modality(features, np.array([0, 0]))},
        2,
        "natural",
    )
    with pytest.raises(DataError, match=r"row 1 .*class 1 .*image .*\b0 .*text"):
        require_equal_labels(split, "f")


def test_a_block_is_cut_where_the_publisher_cuts_it() -> None:
    block = {"image": Modality(np.arange(5, dtype=np.float32)[:, None], np.arange(5))}
    first, rest = cut_block(block, {"image": 2}, Path("f"))
    np.testing.assert_array_equal(first["image"].labels, [0, 1])
    np.testing.assert_array_equal(rest["image"].features[:, 0], [2, 3, 4])
    with pytest.raises(DataError, match=r"\b5 image rows.*more than 5"):
        cut_block(block, {"image": 5}, Path("f"))
