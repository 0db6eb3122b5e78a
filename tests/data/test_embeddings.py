"""Embeddings of any origin: from one file or several, never unpickled, and one sentence for what is wrong."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bench.contract import BenchError, DataError, UsageError
from bench.data.given_results import read_embeddings

ROWS = np.arange(12.0).reshape(4, 3) + 1
LABELS = np.array([0, 1, 1, 0])
GOOD = {"image": ROWS, "image_labels": LABELS, "text": ROWS, "text_labels": LABELS}


def archive(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_one_file_holds_every_modality_beside_its_labels(tmp_path: Path) -> None:
    others = {"notes": np.zeros(3), "text_label": np.zeros(4, dtype=int)}
    given = {"text": ROWS + 1, "text_labels": LABELS, "image": ROWS, "image_label": LABELS, **others}
    found = read_embeddings([archive(tmp_path / "a.npz", **given)])
    assert list(found.rows) == ["text", "image"]
    np.testing.assert_array_equal(found.rows["image"], ROWS)
    np.testing.assert_array_equal(found.labels["text"], LABELS)


@pytest.mark.parametrize("key", ["label", "labels"])
def test_one_list_of_labels_is_that_of_all(tmp_path: Path, key: str) -> None:
    others = {"notes": np.zeros(3), "order": np.arange(4), "means": np.ones((2, 3))}
    found = read_embeddings(
        [archive(tmp_path / "a.npz", image=ROWS, text=ROWS + 1, **{key: LABELS[:, None]}, **others)]
    )
    assert [*found.rows] == ["image", "text"]
    for name in found.rows:
        np.testing.assert_array_equal(found.labels[name], LABELS)


def test_files_of_the_field_are_named_with_their_keys(tmp_path: Path) -> None:
    for number in (0, 1):
        savemat(tmp_path / f"out_{number}.mat", {"fea": ROWS + number, "lab": LABELS[None]})
    found = read_embeddings(
        [f"image={tmp_path / 'out_0.mat'}:fea:lab", f"text={tmp_path / 'out_1.mat'}:fea:lab"]
    )
    np.testing.assert_array_equal(found.rows["text"], ROWS + 1)
    np.testing.assert_array_equal(found.labels["image"], LABELS)


def test_labels_may_be_whole_floats_a_column_or_a_matrix(tmp_path: Path) -> None:
    labels = {"image_labels": LABELS[:, None].astype(float), "text_labels": np.eye(2)[LABELS]}
    found = read_embeddings([archive(tmp_path / "a.npz", **(GOOD | labels))])
    np.testing.assert_array_equal(found.labels["image"], LABELS)
    np.testing.assert_array_equal(found.labels["text"], np.eye(2)[LABELS])


@pytest.mark.parametrize(
    ("change", "noun"),
    [
        ({"text_labels": LABELS[:3]}, "(3, d)"),
        ({"text_labels": LABELS + 0.5}, "whole numbers"),
        ({"text_labels": np.array([0, 1, np.inf, 0])}, "whole numbers"),
        ({"text_ids": np.array([0, 1, np.inf, 0])}, "whole numbers"),
        ({"text_ids": np.array([0, 1, 2, 1e30])}, "whole numbers"),
        ({"text_labels": np.full((4, 2), 3)}, "0 or 1"),
        ({"text": ROWS[0]}, "(4, d)"),
        ({"text": np.array([["a"] * 3] * 4)}, "(4, d)"),
        ({"text": np.array([[Fraction(1, 2)] * 3] * 4)}, "Python objects"),
        ({"text": None, "text_labels": None}, "two"),
    ],
)
def test_an_array_that_does_not_do_is_named(tmp_path: Path, change: dict[str, Any], noun: str) -> None:
    given = {key: value for key, value in (GOOD | change).items() if value is not None}
    path = archive(tmp_path / "a.npz", **given)
    with pytest.raises(DataError) as caught:
        read_embeddings([path])
    assert noun in str(caught.value)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "kind", "noun"),
    [
        (["image=a.npz"], UsageError, "MODALITY=FILE:KEY"),
        (["image=a.npz:image:"], UsageError, "FILE"),
        (["image=a.npz:image:image_labels"], UsageError, "two"),
        (["a.npz", "image=a.npz:image:image_labels"], UsageError, "'image'"),
        (["image=a.npz:imag:image_labels"], DataError, "'imag'"),
        (["absent.npz"], DataError, "absent.npz"),
    ],
)
def test_words_that_lead_nowhere_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], kind: type[BenchError], noun: str
) -> None:
    archive(tmp_path / "a.npz", **GOOD)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as caught:
        read_embeddings(words)
    assert noun in str(caught.value)
    assert "\n" not in str(caught.value)
