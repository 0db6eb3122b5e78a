"""A feature bundle: a user's own dataset as one file, checked key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract import DataError, UsageError
from bench.data import bundle_modalities, card_of, fingerprint_of, load_dataset

Arrays = dict[str, Any]


def arrays(**changes: Any) -> Arrays:
    """Return a good bundle's arrays, with changes; None leaves a key out."""
    generator = np.random.default_rng(0)
    values: Arrays = {}
    for part, rows in (("train", 40), ("validation", 8), ("test", 12)):
        for name, width in (("image", 6), ("text", 4)):
            values[f"{part}_{name}"] = generator.standard_normal((rows, width))
            values[f"{part}_{name}_labels"] = np.arange(rows) % 4
    values.update(changes)
    return {key: value for key, value in values.items() if value is not None}


def without_validation(**changes: Any) -> Arrays:
    return {key: value for key, value in arrays(**changes).items() if not key.startswith("validation")}


def save(path: Path, values: Arrays) -> Path:
    np.savez(path, **values)
    return path


def test_a_bundle_is_a_dataset(tmp_path: Path) -> None:
    values = arrays()
    data = load_dataset(save(tmp_path / "mine.npz", values))
    assert (data.name, data.kind, data.n_classes, data.modalities) == ("mine", "real", 4, ("image", "text"))
    np.testing.assert_array_equal(data.test["text"].features, values["test_text"].astype(np.float32))
    np.testing.assert_array_equal(data.train["image"].labels, values["train_image_labels"])
    assert data.train.pairing == data.test.pairing == "natural"
    assert fingerprint_of(tmp_path / "mine.npz") == ("real", data.fingerprint)
    assert bundle_modalities(tmp_path / "mine.npz") == ("image", "text")


@pytest.mark.parametrize("values", [arrays(), without_validation()], ids=["three parts", "two parts"])
def test_the_card_of_a_bundle_is_told_without_reading_its_features(tmp_path: Path, values: Arrays) -> None:
    path = save(tmp_path / "mine.npz", values)
    assert card_of(str(path)) == load_dataset(path, profile="paper").card


def test_without_validation_keys_a_stratified_share_is_cut_off_with_the_same_rows(tmp_path: Path) -> None:
    data = load_dataset(save(tmp_path / "mine.npz", without_validation()))
    assert (len(data.train["image"]), len(data.validation["image"])) == (34, 6)
    np.testing.assert_array_equal(data.validation["image"].labels, data.validation["text"].labels)
    assert set(data.validation["image"].labels) == set(range(4))


def test_unequal_labels_or_counts_mean_no_pairs(tmp_path: Path) -> None:
    for changes in (
        {"train_text_labels": np.arange(40)[::-1] % 4},
        {"train_text": np.ones((20, 4)), "train_text_labels": np.arange(20) % 4},
    ):
        data = load_dataset(save(tmp_path / "mine.npz", arrays(**changes)))
        assert data.train.pairing == "none"
        assert data.test.pairing == "natural"
        assert not data.card.paired.value


def test_multi_label_targets_are_supported(tmp_path: Path) -> None:
    values = without_validation()
    for key in [key for key in values if key.endswith("_labels")]:
        matrix = np.eye(4)[values[key]]
        matrix[:, 0] = 1
        values[key] = matrix.astype(bool)
    data = load_dataset(save(tmp_path / "mine.npz", values))
    assert data.train.multi_label
    assert data.card.multi_label
    assert data.n_classes == 4
    assert data.train["image"].labels.dtype == np.uint8
    assert data.train.pairing == "natural"


def test_row_limits_apply_to_bundles_and_pairs_survive_them(tmp_path: Path) -> None:
    labels = np.arange(4000) % 3
    changes: Arrays = {}
    for name in ("image", "text"):
        changes[f"train_{name}"] = np.arange(4000.0)[:, None] * np.ones(6 if name == "image" else 4)
        changes[f"train_{name}_labels"] = labels
    path = save(tmp_path / "big.npz", arrays(**changes))
    train = load_dataset(path).train
    assert len(train["image"]) == 2500
    np.testing.assert_array_equal(train["image"].features[:, 0], train["text"].features[:, 0])
    assert len(load_dataset(path, profile="paper").train["image"]) == 4000


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (arrays(test_text_labels=None), "'test_text_labels' is missing"),
        (arrays(test_text=None), r"train has the modalities \['image', 'text'\], test has \['image'\]"),
        ({"test_a": np.ones((2, 2))}, "no train features"),
        ({"train_a": np.ones((2, 2)), "train_a_labels": np.arange(2)}, "no test features"),
        (arrays(val_image=np.ones((2, 2))), "'val_image': unknown; parts are called"),
        (arrays(**{"train_b c": np.ones((2, 2))}), "is no name for a modality"),
        (arrays(train_image=np.ones((39, 6))), "'train_image': 39 rows, but 40 labels"),
        (arrays(test_image=np.ones((12, 7))), "'image' have different widths"),
        (arrays(test_image=np.full((12, 6), np.nan)), "'test_image': row 0, column 0 is nan"),
        (arrays(test_image=np.ones((0, 6))), "'test_image': the matrix is empty"),
        (
            arrays(train_image_labels=np.arange(40) % 4 + 0.0),
            "must be integers, found values of type float64",
        ),
        (arrays(train_image_labels=np.arange(40) % 4 - 1), "labels reach from -1"),
        (
            arrays(train_image_labels=np.where(np.arange(40) == 3, 9, 0)),
            "no row is of class 4; number the classes",
        ),
        (arrays(train_image_labels=np.eye(4)[np.arange(40) % 4]), "must all be class numbers"),
        (arrays(train_image=np.array([[object()]])), "a pickle"),
    ],
)
def test_a_bad_bundle_is_one_clear_sentence(tmp_path: Path, values: Arrays, words: str) -> None:
    path = save(tmp_path / "bad.npz", values)
    with pytest.raises(DataError, match=words) as caught:
        load_dataset(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_status == 2


def test_labels_counted_from_one_are_refused(tmp_path: Path) -> None:
    changes = {key: value + 1 for key, value in arrays().items() if key.endswith("_labels")}
    with pytest.raises(DataError, match="no row is of class 0; are they counted from 1"):
        load_dataset(save(tmp_path / "bad.npz", arrays(**changes)))


def test_label_matrices_must_agree_on_the_number_of_classes(tmp_path: Path) -> None:
    changes = {key: np.eye(4)[value] for key, value in arrays().items() if key.endswith("_labels")}
    changes["test_text_labels"] = np.eye(5)[np.arange(12) % 5]
    with pytest.raises(DataError, match=r"have \[4, 5\] columns"):
        load_dataset(save(tmp_path / "bad.npz", arrays(**changes)))


def test_one_modality_is_not_enough(tmp_path: Path) -> None:
    values = {key: value for key, value in arrays().items() if "text" not in key}
    with pytest.raises(DataError, match="needs two"):
        load_dataset(save(tmp_path / "bad.npz", values))


def test_a_file_of_another_kind_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"<html>")
    with pytest.raises(DataError, match="a web page"):
        load_dataset(tmp_path / "bad.npz")
    (tmp_path / "bad.npz").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(DataError, match=r"must be an \.npz file"):
        load_dataset(tmp_path / "bad.npz")


def test_a_path_that_leads_nowhere_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no feature bundle"):
        load_dataset(tmp_path / "none.npz")
