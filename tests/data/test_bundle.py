"""A feature bundle: a user's dataset as one file, checked key by key."""

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


def relabelled(change: Any, **changes: Any) -> Arrays:
    return {key: change(value) for key, value in arrays().items() if key.endswith("_labels")} | changes


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
def test_the_card_of_a_bundle_is_had_without_reading_its_features(tmp_path: Path, values: Arrays) -> None:
    path = save(tmp_path / "mine.npz", values)
    assert card_of(str(path)) == load_dataset(path, profile="paper").card


def test_without_validation_keys_a_stratified_share_is_cut_off_with_the_same_rows(tmp_path: Path) -> None:
    data = load_dataset(save(tmp_path / "mine.npz", without_validation()))
    assert (len(data.train["image"]), len(data.validation["image"])) == (34, 6)
    np.testing.assert_array_equal(data.validation["image"].labels, data.validation["text"].labels)
    assert set(data.validation["image"].labels) == set(range(4))


@pytest.mark.parametrize(
    "changes",
    [
        {"train_text_labels": np.arange(40)[::-1] % 4},
        {"train_text": np.ones((20, 4)), "train_text_labels": np.arange(20) % 4},
    ],
)
def test_unequal_labels_or_counts_mean_no_pairs(tmp_path: Path, changes: Arrays) -> None:
    data = load_dataset(save(tmp_path / "mine.npz", arrays(**changes)))
    assert (data.train.pairing, data.test.pairing) == ("none", "natural")
    assert not data.card.paired.value


def test_multi_label_targets_are_supported(tmp_path: Path) -> None:
    def several(labels: Any) -> Any:
        matrix = np.eye(4)[labels]
        matrix[:, 0] = 1
        return matrix.astype(bool)

    data = load_dataset(save(tmp_path / "mine.npz", arrays(**relabelled(several))))
    assert data.train.multi_label
    assert data.card.multi_label
    assert data.n_classes == 4
    assert data.train["image"].labels.dtype == np.uint8
    assert data.train.pairing == "natural"


def test_row_limits_apply_to_bundles_and_pairs_survive_them(tmp_path: Path) -> None:
    changes: Arrays = {}
    for name, width in (("image", 6), ("text", 4)):
        changes[f"train_{name}"] = np.arange(4000.0)[:, None] * np.ones(width)
        changes[f"train_{name}_labels"] = np.arange(4000) % 3
    path = save(tmp_path / "big.npz", arrays(**changes))
    train = load_dataset(path).train
    assert len(train["image"]) == 2500
    np.testing.assert_array_equal(train["image"].features[:, 0], train["text"].features[:, 0])
    assert len(load_dataset(path, profile="paper").train["image"]) == 4000


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (arrays(test_text_labels=None), "'test_text_labels' is missing"),
        (arrays(test_text=None), r"\['image', 'text'\].* \['image'\]"),
        ({"test_a": np.ones((2, 2))}, "no train features"),
        ({"train_a": np.ones((2, 2)), "train_a_labels": np.arange(2)}, "no test features"),
        ({key: value for key, value in arrays().items() if "text" not in key}, "two"),
        (arrays(val_image=np.ones((2, 2))), "'val_image'"),
        (arrays(**{"train_b c": np.ones((2, 2))}), "modality"),
        (arrays(train_image=np.ones((39, 6))), "39 rows, but 40 labels"),
        (arrays(test_image=np.ones((12, 7))), "widths"),
        (arrays(test_image=np.full((12, 6), np.nan)), "row 0, column 0 is nan"),
        (arrays(test_image=np.ones((0, 6))), "'test_image'.*empty"),
        (arrays(train_image_labels=np.arange(40) % 4 + 0.5), "whole numbers"),
        (arrays(train_image_labels=np.arange(40) % 4 - 1), "from -1"),
        (arrays(train_image_labels=np.ones((40, 4))), "class numbers"),
        (arrays(train_image=np.array([[object()]])), "pickle"),
        (
            arrays(
                **relabelled(lambda labels: np.eye(4)[labels], test_text_labels=np.eye(5)[np.arange(12) % 5])
            ),
            r"\[4, 5\] columns",
        ),
    ],
)
def test_a_bad_bundle_is_one_clear_sentence(tmp_path: Path, values: Arrays, words: str) -> None:
    path = save(tmp_path / "bad.npz", values)
    with pytest.raises(DataError, match=words) as caught:
        load_dataset(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(("content", "words"), [(b"<html>", "web page"), (b"\x89HDF\r\n\x1a\n", "damaged")])
def test_a_file_of_another_kind_is_no_bundle(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_dataset(tmp_path / "bad.npz")


def test_a_path_that_leads_nowhere_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file"):
        load_dataset(tmp_path / "none.npz")
