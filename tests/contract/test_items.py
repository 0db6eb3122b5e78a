"""What a dataset shows of its test rows: texts or small pictures, one for each row, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.contract import Items, PluginError, SealedTestError, sealed_test
from bench.data import load_dataset

PICTURES = np.arange(4 * 2 * 3 * 3, dtype=np.uint8).reshape(4, 2, 3, 3)


def test_items_follow_their_rows_and_modalities() -> None:
    items = Items({"image": PICTURES, "text": ["a", "b", "c", "d"]}, ["x", "y"])
    items.check({"image": 4, "text": 4, "audio": 9}, 2)
    taken = items.take({"image": np.array([3, 0]), "text": np.array([1, 2]), "audio": np.array([8])})
    assert taken.shown["text"] == ["b", "c"]
    np.testing.assert_array_equal(taken.shown["image"], PICTURES[[3, 0]])
    assert list(items.select(("text", "audio")).shown) == ["text"]
    assert taken.classes == ["x", "y"]


@pytest.mark.parametrize(
    ("shown", "classes", "message"),
    [
        ({"image": PICTURES.astype(float)}, (), "float64"),
        ({"image": PICTURES[..., :2]}, (), "pictures"),
        ({"image": np.zeros((1, 33, 8, 3), np.uint8)}, (), "32 pixels"),
        ({"text": ["a", 7]}, (), "texts"),
        ({}, [1], "classes"),
    ],
)
def test_anything_else_is_refused(shown: Any, classes: Any, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        Items(shown, classes)


def test_as_many_items_as_rows_and_names_as_classes() -> None:
    for items, rows, noun in (
        (Items({"image": PICTURES}), {"image": 5}, "'image' for 5"),
        (Items({"image": PICTURES}), {"text": 4}, "'image' for 0"),
        (Items({}, ["a"]), {}, "2 classes"),
    ):
        with pytest.raises(PluginError, match=noun):
            items.check(rows, 2)


def test_items_are_under_the_seal_of_the_test_rows() -> None:
    data = load_dataset("emoji").select(("text",))
    assert list(data.items.shown) == ["text"]
    with pytest.raises(SealedTestError), sealed_test():
        _ = data.items
