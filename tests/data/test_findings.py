"""What makes numbers mean something else is counted and named, and nothing is found in sound data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.contract import Array, Modality, Split, UsageError
from bench.data.findings import findings, without
from tests.wording import mentions

Data = dict[str, dict[str, tuple[Array, Array]]]
PARTS = {"train": 60, "validation": 20, "test": 40}


def _data(seed: int = 0) -> Data:
    rng = np.random.default_rng(seed)
    return {
        part: {name: (rng.normal(size=(n, w)), np.arange(n) % 4) for name, w in (("image", 12), ("text", 8))}
        for part, n in PARTS.items()
    }


def _splits(data: Data) -> dict[str, Split]:
    return {
        part: Split({name: Modality(*arrays) for name, arrays in modalities.items()}, 4, "natural")
        for part, modalities in data.items()
    }


def test_nothing_is_found_in_sound_data() -> None:
    assert findings(_splits(_data())) == []


def _labels(change: Callable[[Array], Array], *parts: str) -> Callable[[Data], None]:
    """Return what changes the labels of some parts."""

    def changed(data: Data) -> None:
        for part in parts:
            data[part] = {name: (features, change(labels)) for name, (features, labels) in data[part].items()}

    return changed


def _identical(data: Data) -> None:
    for part in data.values():
        part["text"] = part["image"]


def _overlap(data: Data) -> None:
    data["test"] = {name: (x[:40], labels[:40]) for name, (x, labels) in data["train"].items()}


def _repeated(data: Data) -> None:
    data["train"]["image"][0][5] = data["train"]["image"][0][6]


def _of_text(change: Callable[[Array, Array], Array]) -> Callable[[Data], None]:
    """Return what changes the features of the texts of all parts, given their labels."""

    def changed(data: Data) -> None:
        for part in data.values():
            part["text"] = (change(*part["text"]), part["text"][1])

    return changed


def _set(part: str, name: str, at: Any, value: Any) -> Callable[[Data], None]:
    return lambda data: data[part][name][0].__setitem__(at, value)


CHANGES: list[tuple[Callable[[Data], Any], str, str]] = [
    (_overlap, "overlap", "40 test rows stand in train"),
    (_identical, "identical", "image and text"),
    (_of_text(lambda x, y: np.hstack([x, 3 * np.eye(4)[y] + 1])), "readable", "text"),
    (_of_text(lambda x, y: np.hstack([x, y[:, None]])), "readable", "text"),
    (_labels(lambda y: y % 3, "train"), "unseen", "class 3"),
    (_labels(lambda y: y % 3, *PARTS), "dead", "class 3"),
    (_labels(lambda y: np.where(np.arange(60) % 3, -1, y), "train"), "unlabelled", "40 of 60"),
    (_repeated, "repeated", "1 train rows of image"),
    (_set("train", "image", np.s_[:, 3], 0.1), "constant", "1 of 12 columns of image"),
    (_set("test", "text", 7, 0), "zero", "1 test rows of text"),
    (_set("train", "image", np.s_[:, :6], 1000), "scales", "image"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "words"), CHANGES)
def test_it_is_found_and_named(change: Callable[[Data], Any], kind: str, words: str) -> None:
    data = _data()
    change(data)
    found = {finding.kind: finding for finding in findings(_splits(data))}
    assert words in str(found[kind])
    assert not {"unseen", "dead"} & found.keys() - {kind}


def test_rows_that_stand_in_test_can_be_left_out_of_train_with_their_pairs() -> None:
    data = _data()
    data["train"]["text"][0][:5] = data["test"]["text"][0][:5]
    left = without(_splits(data), "overlap")
    assert len(left["train"]["image"]) == len(left["train"]["text"]) == 55
    assert findings(left) == []
    with pytest.raises(UsageError, match="overlap"):
        without(left, "scales")


def test_rows_of_zeros_in_several_parts_are_no_overlap() -> None:
    data = _data()
    for part in PARTS:
        data[part]["text"][0][:5] = 0
    splits = _splits(data)
    assert {finding.kind for finding in findings(splits)} == {"zero", "repeated"}
    assert len(without(splits, "overlap")["train"]["text"]) == len(splits["train"]["text"])


def test_queries_without_a_relevant_item_of_the_gallery_are_counted() -> None:
    splits = _splits(_data())
    splits["gallery"] = splits["train"].take({name: np.arange(3) for name in ("image", "text")})
    kinds = [str(finding) for finding in findings(splits)]
    assert any(mentions(sentence, "10 test queries of image ... text") for sentence in kinds)
    assert any(mentions(sentence, "3 gallery rows ... train") for sentence in kinds)
