"""Rows keep class, partner and part in every combination of layouts, or the file is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bench.contract import Array, DataError, Split
from bench.data.bundle import Bundle, read_bundle

CLASSES = 3
START = {"image": 0, "text": 1000}
"""The first feature of a row is its number, counted from here."""
FORMS = (
    *(lambda y: y, lambda y: y + 1, lambda y: y[:, None], lambda y: y[None]),
    *(lambda y: np.eye(CLASSES)[y], lambda y: np.eye(CLASSES)[y].T, lambda y: np.eye(CLASSES)[y] * 2 - 1),
)


def part_of(numbers: Array) -> Array:
    return np.where(numbers < 24, "train", "test")


def drawn(draws: np.random.Generator) -> dict[str, Any]:
    """Return arrays by part, or of all rows with a list of parts."""
    form, times = FORMS[draws.integers(len(FORMS))], draws.choice([1, 1, 5])
    with_ids, whole = draws.random(2) < 0.5
    labels = draws.choice(["labels", "each", *(["image_labels"] if with_ids else [])])
    widths = {name: int(draws.choice([3, 4, 24])) for name in START}
    turned = {name: draws.random() < 0.2 for name in START}
    found: dict[str, Any] = {}
    for part in ("",) if whole else ("train_", "test_"):
        numbers = {"": np.arange(36), "train_": np.arange(24), "test_": np.arange(24, 36)}[part]
        rows = {"image": numbers, "text": np.repeat(numbers, times)}
        if with_ids and draws.random() < 0.5:
            rows["text"] = draws.permutation(rows["text"])[draws.integers(3) :]
        for name, one in rows.items():
            matrix = draws.normal(size=(len(one), widths[name]))
            matrix[:, 0] = START[name] + one
            found[f"{part}{name}"] = matrix.T if turned[name] else matrix
            found |= {f"{part}{name}_ids": one} if with_ids else {}
            found |= {f"{part}{name}_labels": form(one % CLASSES)} if labels == "each" else {}
        found |= {} if labels == "each" else {f"{part}{labels}": form(rows["image"] % CLASSES)}
        found |= {"split": part_of(numbers).astype(object)} if whole else {}
    return found


def numbers_in(split: Split, name: str) -> Array:
    return np.round(split[name].features[:, 0]).astype(int) - START[name]


def require_whole(bundle: Bundle) -> None:
    classes: set[tuple[int, int]] = set()
    for part, split in bundle.splits.items():
        rows = {name: numbers_in(split, name) for name in START}
        for name, numbers in rows.items():
            assert {*part_of(numbers)} == {"train" if part == "validation" else part}
            classes |= {*zip((numbers % CLASSES).tolist(), split[name].labels.tolist(), strict=True)}
        a, b = split.pairs("image", "text")
        np.testing.assert_array_equal(rows["image"][a], rows["text"][b])
    assert len(classes) == CLASSES


@pytest.mark.parametrize("name", ["x.npz", "x.mat", "x.pkl"])
def test_no_row_gets_the_class_the_partner_or_the_part_of_another(tmp_path: Path, name: str) -> None:
    draws, read = np.random.default_rng([*name.encode()]), 0
    for _ in range(40):
        values = drawn(draws)
        if name == "x.npz":
            np.savez(tmp_path / name, **values)
        elif name == "x.mat":
            savemat(tmp_path / name, values)
        else:
            (tmp_path / name).write_bytes(pickle.dumps(values))
        try:
            bundle = read_bundle(tmp_path / name)
        except DataError:
            continue
        require_whole(bundle)
        read += 1
    assert read > 15
