"""What makes numbers mean something else is counted and named, and nothing is found in sound data."""

from __future__ import annotations

import numpy as np
import pytest

from bench.contract import Array, Modality, Split, UsageError
from bench.data.findings import findings, without

PARTS = {"train": 60, "validation": 20, "test": 40}


def _data(seed: int = 0) -> dict[str, dict[str, tuple[Array, Array]]]:
    rng = np.random.default_rng(seed)
    return {
        part: {name: (rng.normal(size=(n, w)), np.arange(n) % 4) for name, w in (("image", 12), ("text", 8))}
        for part, n in PARTS.items()
    }


def _splits(data: dict[str, dict[str, tuple[Array, Array]]]) -> dict[str, Split]:
    return {
        part: Split({name: Modality(*arrays) for name, arrays in modalities.items()}, 4, "natural")
        for part, modalities in data.items()
    }


def test_nothing_is_found_in_sound_data() -> None:
    assert findings(_splits(_data())) == []


def _overlap(data: dict[str, dict[str, tuple[Array, Array]]]) -> None:
    for name, (features, labels) in data["train"].items():
        data["test"][name] = (features[:40], labels[:40])


def _identical(data: dict[str, dict[str, tuple[Array, Array]]]) -> None:
    for part in data:
        data[part]["text"] = data[part]["image"]


def _readable(data: dict[str, dict[str, tuple[Array, Array]]]) -> None:
    for part in data:
        labels = data[part]["text"][1]
        data[part]["text"] = (np.hstack([data[part]["text"][0], 3 * np.eye(4)[labels] + 1]), labels)


def _numbered(data: dict[str, dict[str, tuple[Array, Array]]]) -> None:
    for part in data:
        data[part]["text"][0][:, 2] = data[part]["text"][1]


def _unseen(data: dict[str, dict[str, tuple[Array, Array]]]) -> None:
    for name, (features, labels) in data["train"].items():
        data["train"][name] = (features, labels % 3)


def _dead(data: dict[str, dict[str, tuple[Array, Array]]]) -> None:
    for part in data:
        data[part] = {name: (features, labels % 3) for name, (features, labels) in data[part].items()}


def _unlabelled(data: dict[str, dict[str, tuple[Array, Array]]]) -> None:
    data["train"] = {
        name: (features, np.where(np.arange(60) % 3 == 0, labels, -1))
        for name, (features, labels) in data["train"].items()
    }


def _repeated(data: dict[str, dict[str, tuple[Array, Array]]]) -> None:
    data["train"]["image"][0][5] = data["train"]["image"][0][6]


def _constant(data: dict[str, dict[str, tuple[Array, Array]]]) -> None:
    data["train"]["image"][0][:, 3] = 0.1


def _zero(data: dict[str, dict[str, tuple[Array, Array]]]) -> None:
    data["test"]["text"][0][7] = 0


def _scales(data: dict[str, dict[str, tuple[Array, Array]]]) -> None:
    data["train"]["image"][0][:] *= 1000


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (_overlap, "overlap", "40 test rows stand in train"),
        (_identical, "identical", "image and text"),
        (_readable, "readable", "text"),
        (_numbered, "readable", "text"),
        (_unseen, "unseen", "class 3"),
        (_dead, "dead", "class 3"),
        (_unlabelled, "unlabelled", "40 of 60"),
        (_repeated, "repeated", "1 train rows of image"),
        (_constant, "constant", "1 of 12 columns of image"),
        (_zero, "zero", "1 test rows of text"),
        (_scales, "scales", "image"),
    ],
)
def test_it_is_found_and_named(change: object, kind: str, words: str) -> None:
    data = _data()
    change(data)  # type: ignore[operator]
    found = {finding.kind: finding for finding in findings(_splits(data))}
    assert words in str(found[kind])


def test_rows_that_stand_in_test_can_be_left_out_of_train_with_their_pairs() -> None:
    data = _data()
    data["train"]["text"][0][:5] = data["test"]["text"][0][:5]
    left = without(_splits(data), "overlap")
    assert len(left["train"]["image"]) == len(left["train"]["text"]) == 55
    assert findings(left) == []
    with pytest.raises(UsageError, match="overlap"):
        without(left, "scales")


def test_queries_without_a_relevant_item_of_the_gallery_are_counted() -> None:
    splits = _splits(_data())
    splits["gallery"] = splits["train"].take({name: np.arange(3) for name in ("image", "text")})
    kinds = [str(finding) for finding in findings(splits)]
    assert any("10 test queries of image have no relevant text item" in sentence for sentence in kinds)
    assert any("3 gallery rows stand in train" in sentence for sentence in kinds)
