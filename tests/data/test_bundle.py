"""A feature bundle: a user's dataset as one file, checked key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.data import card_of, fingerprint_of, load_dataset

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


def test_the_card_of_a_bundle_is_that_of_its_dataset(tmp_path: Path) -> None:
    path = save(tmp_path / "mine.npz", without_validation())
    assert card_of(str(path)) == load_dataset(path, profile="paper").card


def test_without_validation_keys_a_stratified_share_is_cut_off_with_the_same_rows(tmp_path: Path) -> None:
    data = load_dataset(save(tmp_path / "mine.npz", without_validation()))
    assert (len(data.train["image"]), len(data.validation["image"])) == (34, 6)
    np.testing.assert_array_equal(data.validation["image"].labels, data.validation["text"].labels)
    assert set(data.validation["image"].labels) == set(range(4))


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
