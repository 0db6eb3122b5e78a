"""Embeddings of any origin: from one file or several, never unpickled, and one sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bench.contract import BenchError, DataError, UsageError
from bench.data.embeddings import read_embeddings

ROWS = np.arange(12.0).reshape(4, 3) + 1
LABELS = np.array([0, 1, 1, 0])


def archive(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_one_file_holds_every_modality_beside_its_labels(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.npz",
        text=ROWS + 1,
        text_labels=LABELS,
        image=ROWS,
        image_label=LABELS,
        notes=np.zeros(3),
        text_label=np.zeros(4, dtype=int),
    )
    found = read_embeddings([str(path)])
    assert list(found) == ["text", "image"]
    np.testing.assert_array_equal(found["image"].rows, ROWS)
    np.testing.assert_array_equal(found["text"].labels, LABELS)


def test_files_of_the_field_are_named_with_their_keys(tmp_path: Path) -> None:
    for number in (0, 1):
        savemat(tmp_path / f"out_{number}.mat", {"fea": ROWS + number, "lab": LABELS[None]})
    found = read_embeddings(
        [f"image={tmp_path / 'out_0.mat'}:fea:lab", f"text={tmp_path / 'out_1.mat'}:fea:lab"]
    )
    np.testing.assert_array_equal(found["text"].rows, ROWS + 1)
    np.testing.assert_array_equal(found["image"].labels, LABELS)


def test_labels_may_be_whole_floats_a_column_or_a_matrix(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.npz",
        image=ROWS,
        image_labels=LABELS[:, None].astype(float),
        text=ROWS,
        text_labels=np.eye(2)[LABELS],
    )
    found = read_embeddings([str(path)])
    np.testing.assert_array_equal(found["image"].labels, LABELS)
    np.testing.assert_array_equal(found["text"].labels, np.eye(2)[LABELS])


GOOD = {"image": ROWS, "image_labels": LABELS, "text": ROWS, "text_labels": LABELS}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"text_labels": LABELS[:3]}, "4 rows, but 3 labels in 'text_labels'"),
        ({"text_labels": LABELS + 0.5}, "labels must be whole numbers"),
        ({"text_labels": np.full((4, 2), 3)}, "must be 0 or 1 only"),
        ({"text": ROWS[0]}, "embeddings must be numbers (n, d)"),
        ({"text": np.array([["a"] * 3] * 4)}, "embeddings must be numbers (n, d)"),
        ({"text": ROWS.astype(object)}, "never loaded"),
        ({"text": None, "text_labels": None}, "fewer than two have labels beside them"),
    ],
)
def test_an_array_that_does_not_do_is_named(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    arrays = {key: value for key, value in (GOOD | change).items() if value is not None}
    path = archive(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError) as caught:
        read_embeddings([str(path)])
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "kind", "sentence"),
    [
        (["image=a.npz"], UsageError, "of the form FILE, or MODALITY=FILE:KEY"),
        (["image=a.npz:image:"], UsageError, "of the form FILE"),
        (["image=a.npz:image:image_labels"], UsageError, "retrieval across modalities needs two"),
        (["a.npz", "image=a.npz:image:image_labels"], UsageError, "'image' are given twice"),
        (["image=a.npz:imag:image_labels"], DataError, "key 'imag' is missing"),
        (["absent.npz"], DataError, "absent.npz: the file is not there"),
    ],
)
def test_words_that_lead_nowhere_are_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    kind: type[BenchError],
    sentence: str,
) -> None:
    archive(tmp_path / "a.npz", **GOOD)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as caught:
        read_embeddings(words)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
