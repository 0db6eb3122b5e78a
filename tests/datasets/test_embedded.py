"""The embedded emoji set: real, paired, and split so that variants never straddle the split."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from bench.data import load_dataset
from datasets.emoji import FILE, LEAST_TEST, LEAST_TRAIN, Emoji, EmojiFine


@pytest.fixture(scope="module")
def raw() -> dict[str, np.ndarray]:
    with np.load(Emoji.embedded[FILE], allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def test_the_committed_files_are_those_that_notice_describes() -> None:
    notice = (Path(__file__).parents[2] / "NOTICE").read_text(encoding="utf-8")
    files = [path for path in Emoji.embedded[FILE].parent.iterdir() if path.suffix == ".npz"]
    assert len(files) >= 3
    for path in files:
        assert f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" in notice


def test_emoji_has_its_test_rows_in_the_file_s_order_and_all_others_to_learn_from(
    raw: dict[str, np.ndarray],
) -> None:
    data = load_dataset(Emoji, profile="paper")
    assert (data.kind, data.modalities, data.n_classes) == ("real", ("image", "text"), 9)
    assert [len(split["image"]) for split in (data.train, data.validation, data.test)] == [1301, 230, 364]
    np.testing.assert_array_equal(data.test["image"].features, raw["img"][raw["test"]].astype(np.float32))
    np.testing.assert_array_equal(data.test["text"].labels, raw["lab"][raw["test"]])
    for split in (data.train, data.validation, data.test):
        assert split.pairing == "natural"
        np.testing.assert_array_equal(split["image"].labels, split["text"].labels)
    learned = np.concatenate([data.train["text"].features, data.validation["text"].features])
    assert {row.tobytes() for row in learned} == {
        row.tobytes() for row in raw["txt"][~raw["test"]].astype("f4")
    }


def test_emoji_fine_keeps_the_subcategories_with_enough_rows(raw: dict[str, np.ndarray]) -> None:
    data = load_dataset(EmojiFine, profile="paper")
    names = [
        name
        for name in np.unique(raw["subcategory"])
        if ((raw["subcategory"] == name) & ~raw["test"]).sum() >= LEAST_TRAIN
        and ((raw["subcategory"] == name) & raw["test"]).sum() >= LEAST_TEST
    ]
    assert data.n_classes == len(names) == 48
    kept = raw["test"] & np.isin(raw["subcategory"], names)
    np.testing.assert_array_equal(np.array(names)[data.test["image"].labels], raw["subcategory"][kept])
    for split in (data.train, data.validation, data.test):
        assert set(split["image"].labels) == set(range(48))


@pytest.mark.parametrize("loader", [Emoji, EmojiFine])
def test_the_items_of_a_gallery_belong_to_the_test_rows(
    loader: type[Emoji], raw: dict[str, np.ndarray]
) -> None:
    data = load_dataset(loader)
    texts, pictures = data.items.shown["text"], data.items.shown["image"]
    features = data.test["text"].features
    assert len(texts) == len(pictures) == len(features)
    row = int(np.flatnonzero(raw["text"] == texts[7])[0])
    np.testing.assert_array_equal(features[7], raw["txt"][row].astype(np.float32))
    np.testing.assert_array_equal(pictures[7], raw["pixels32"][row])


def test_the_classes_of_emoji_are_called_as_unicode_calls_them(raw: dict[str, np.ndarray]) -> None:
    coarse, fine = load_dataset(Emoji), load_dataset(EmojiFine)
    assert coarse.items.classes[int(raw["lab"][0])] == raw["categories"][raw["lab"][0]] == "Symbols"
    row = int(np.flatnonzero(raw["text"] == fine.items.shown["text"][7])[0])
    assert fine.items.classes[fine.test["text"].labels[7]] == raw["subcategory"][row]
