"""Each benchmark's released file, written small in every container it may come in, is read as described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract import DataError, Dataset, DatasetCard, DatasetLoader, Fact
from bench.data import load_from
from datasets.inria_websearch import InriaWebsearch
from datasets.nus_wide import NusWide
from datasets.nus_wide_42941 import NusWide42941
from datasets.wikipedia import Wikipedia
from datasets.xmedia import XMedia
from datasets.xmedianet import XMediaNet
from tests.data.released import write_hdf5, write_mat5, write_mat73

Arrays = dict[str, Any]
MATLAB = [write_mat5, write_mat73]


def small(
    loader: type[DatasetLoader], rows: dict[str, tuple[int, int, int]], widths: dict[str, int], classes: int
) -> type[DatasetLoader]:
    """Return the loader with a card of the same layout and sureness, but small."""
    card: DatasetCard = loader.card
    modalities = tuple(
        replace(
            modality,
            rows=Fact(rows.get(modality.name, rows["*"]), modality.rows.status),
            dimension=Fact(widths[modality.name], modality.dimension.status),
        )
        for modality in card.modalities
    )
    changed = replace(card, modalities=modalities, n_classes=Fact(classes, card.n_classes.status))
    return type("Small", (loader,), {"card": changed})


def features(rows: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width))


WIKI = small(Wikipedia, {"*": (20, 4, 6)}, {"image": 5, "text": 3}, 4)


def wiki(**changes: Any) -> Arrays:
    values: Arrays = {
        "train_imgs_deep": features(20, 5, 0),
        "train_texts_doc": features(20, 3, 1),
        "train_imgs_labels": np.arange(20)[None] % 4,
        "train_texts_labels": np.arange(20)[None] % 4,
        "test_imgs_deep": features(10, 5, 2),
        "test_texts_doc": features(10, 3, 3),
        "test_imgs_labels": np.arange(10)[None] % 4,
    }
    values.update(changes)
    return {key: value for key, value in values.items() if value is not None}


def load(loader: type[DatasetLoader], folder: Path, profile: str = "paper") -> Dataset:
    data = load_from(loader, folder, profile)
    assert data.kind == "real"
    return data


@pytest.mark.parametrize("write", MATLAB)
def test_wikipedia_validates_on_the_first_rows_of_the_test_block(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    values = wiki()
    write(tmp_path / "wiki.mat", values)
    data = load(WIKI, tmp_path)
    block = values["test_imgs_deep"].astype(np.float32)
    np.testing.assert_array_equal(data.validation["image"].features, block[:4])
    np.testing.assert_array_equal(data.test["image"].features, block[4:])
    np.testing.assert_array_equal(data.test["text"].labels, values["test_imgs_labels"][0, 4:])
    assert data.train.pairing == data.validation.pairing == data.test.pairing == "natural"


def test_wikipedia_uses_the_text_labels_of_the_test_block_where_they_are(tmp_path: Path) -> None:
    write_mat5(tmp_path / "wiki.mat", wiki(test_texts_labels=np.arange(10)[None] % 4))
    load(WIKI, tmp_path)
    write_mat5(tmp_path / "wiki.mat", wiki(test_texts_labels=np.arange(1, 11)[None] % 4))
    with pytest.raises(DataError, match="row 0 is class 0 as image but 1 as text; the rows are not pairs"):
        load(WIKI, tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_texts_doc": None}, "'train_texts_doc' is missing"),
        ({"train_imgs_deep": features(20, 6, 0)}, "'train_imgs_deep': rows are 6 wide, expected 5"),
        ({"train_imgs_deep": features(5, 20, 0)}, "seems to be transposed"),
        ({"train_imgs_deep": features(19, 5, 0)}, "'train_imgs_deep': 19 rows, but 20 labels"),
        ({"train_imgs_labels": 1 + np.arange(20)[None] % 4}, "'train_imgs_labels'.*counted from 1"),
        ({"train_imgs_labels": np.full((1, 20), 9)}, "labels reach from 9 to 9, expected 0 to 3"),
        ({"train_imgs_labels": np.arange(20)[None] % 4 + 0.5}, "whole numbers, found 0.5"),
        ({"test_texts_doc": np.full((10, 3), np.nan)}, "'test_texts_doc': row 0, column 0 is nan"),
        (
            {
                "test_imgs_deep": features(4, 5, 2),
                "test_texts_doc": features(4, 3, 2),
                "test_imgs_labels": np.arange(4)[None],
            },
            "4 image rows; it must",
        ),
        (
            {
                "test_imgs_deep": features(9, 5, 2),
                "test_texts_doc": features(9, 3, 2),
                "test_imgs_labels": np.arange(9)[None] % 4,
            },
            "image has 20/4/5 rows .train/validation/test., expected 20/4/6",
        ),
    ],
)
@pytest.mark.parametrize("write", MATLAB)
def test_a_bad_wikipedia_file_is_one_clear_sentence(
    tmp_path: Path, write: Callable[..., Path], changes: Arrays, words: str
) -> None:
    write(tmp_path / "wiki.mat", wiki(**changes))
    with pytest.raises(DataError, match=words) as caught:
        load(WIKI, tmp_path)
    assert str(tmp_path / "wiki.mat") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("write", MATLAB)
def test_inria_websearch_has_its_own_three_splits(tmp_path: Path, write: Callable[..., Path]) -> None:
    loader = small(InriaWebsearch, {"*": (12, 4, 6)}, {"image": 5, "text": 3}, 4)
    values: Arrays = {}
    for prefix, rows in (("tr", 12), ("val", 4), ("te", 6)):
        for name, width in (("img", 5), ("txt", 3)):
            values[f"{prefix}_{name}"] = features(rows, width, rows)
            values[f"{prefix}_{name}_lab"] = np.arange(rows)[:, None] % 4
    write(tmp_path / "INRIA-Websearch.mat", values)
    data = load(loader, tmp_path)
    np.testing.assert_array_equal(data.validation["text"].features, values["val_txt"].astype(np.float32))
    np.testing.assert_array_equal(data.test["image"].labels, values["te_img_lab"][:, 0])
    assert data.test.pairing == "natural"


def nus(start: int, text: str = "texts", parts: tuple[str, ...] = ("train", "valid", "test")) -> Arrays:
    values: Arrays = {}
    for part in parts:
        rows = {"train": 12, "valid": 4, "test": 10}[part]
        values[f"{part}_imgs_deep"] = features(rows, 5, rows)
        values[f"{part}_{text}"] = features(rows, 3, rows + 1)
        values[f"{part}_imgs_labels"] = np.arange(rows) % 4 + start
    return values


@pytest.mark.parametrize("start", [0, 1])
def test_nus_wide_reads_whatever_sizes_its_three_splits_have(tmp_path: Path, start: int) -> None:
    loader = small(NusWide, {"*": (7, 7, 7)}, {"image": 5, "text": 3}, 4)
    values = nus(start)
    write_hdf5(tmp_path / "nus_wide_deep_doc2vec-corr-ae.h5py", values)
    data = load(loader, tmp_path)
    assert [len(split["text"]) for split in (data.train, data.validation, data.test)] == [12, 4, 10]
    np.testing.assert_array_equal(data.train["image"].features, values["train_imgs_deep"].astype(np.float32))
    np.testing.assert_array_equal(data.test["text"].labels, np.arange(10) % 4)
    assert "image has 12/4/10 rows; the card supposes 7/7/7" in data.card.notes


def test_a_part_without_the_last_class_does_not_shift_its_labels(tmp_path: Path) -> None:
    loader = small(NusWide, {"*": (12, 4, 10)}, {"image": 5, "text": 3}, 4)
    values = nus(1)
    values["valid_imgs_labels"] = np.array([1, 2, 3, 1])
    write_hdf5(tmp_path / "nus_wide_deep_doc2vec-corr-ae.h5py", values)
    np.testing.assert_array_equal(load(loader, tmp_path).validation["image"].labels, [0, 1, 2, 0])


@pytest.mark.parametrize("text", ["text", "texts"])
@pytest.mark.parametrize("parts", [("train", "test"), ("train", "valid", "test")])
def test_the_larger_nus_wide_is_read_with_or_without_a_validation_block(
    tmp_path: Path, text: str, parts: tuple[str, ...]
) -> None:
    loader = small(NusWide42941, {"*": (12, 4, 6)}, {"image": 5, "text": 3}, 4)
    values = nus(1, text, parts)
    values["test_texts_labels"] = values["test_imgs_labels"]
    write_hdf5(tmp_path / "nus_wide_deep_doc2vec_data_42941.h5py", values)
    data = load(loader, tmp_path)
    cut = 0 if "valid" in parts else 4
    np.testing.assert_array_equal(data.test["text"].features, values[f"test_{text}"].astype(np.float32)[cut:])
    assert len(data.validation["image"]) == 4


XMEDIA_ROWS = {"*": (16, 5, 5), "audio": (8, 3, 3), "3d": (6, 2, 2), "video": (9, 4, 4)}
XMEDIA_WIDTHS = {"image": 6, "text": 7, "audio": 3, "3d": 5, "video": 6}


def xmedia() -> Arrays:
    values: Arrays = {}
    for index, (name, train, test, cat) in enumerate(
        [
            ("image", "I_tr_CNN", "I_te_CNN", "ImgCat"),
            ("text", "T_tr_BOW", "T_te_BOW", "TxtCat"),
            ("audio", "A_tr", "A_te", "AudCat"),
            ("3d", "d3_tr", "d3_te", "3dCat"),
            ("video", "V_tr_CNN", "V_te_CNN", "VidCat"),
        ]
    ):
        rows = XMEDIA_ROWS.get(name, XMEDIA_ROWS["*"])
        block = rows[1] + rows[2] + 1
        values[train] = features(rows[0], XMEDIA_WIDTHS[name], index)
        values[test] = features(block, XMEDIA_WIDTHS[name], index + 10)
        values[f"tr{cat}"] = 1.0 + np.arange(rows[0])[:, None] % 4
        values[f"te{cat}"] = 1.0 + np.arange(block)[:, None] % 4
    return values


@pytest.mark.parametrize("write", MATLAB)
def test_xmedia_tests_on_the_first_rows_and_validates_on_the_rest(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    values = xmedia()
    write(tmp_path / "XMediaFeatures.mat", values)
    data = load(small(XMedia, XMEDIA_ROWS, XMEDIA_WIDTHS, 4), tmp_path)
    assert data.modalities == ("image", "text", "audio", "3d", "video")
    assert data.train.pairing == "none"
    assert data.split == "test-first"
    assert {name: len(data.test[name]) for name in data.test} == {
        "image": 5, "text": 5, "audio": 3, "3d": 2, "video": 4
    }  # fmt: skip
    np.testing.assert_array_equal(data.test["3d"].features, values["d3_te"][:2].astype(np.float32))
    np.testing.assert_array_equal(
        data.validation["video"].features, values["V_te_CNN"][4:].astype(np.float32)
    )
    np.testing.assert_array_equal(data.train["audio"].labels, values["trAudCat"][:, 0].astype(int) - 1)


def test_xmedia_labels_that_count_from_zero_are_refused(tmp_path: Path) -> None:
    values = xmedia()
    values["trVidCat"] -= 1
    write_mat5(tmp_path / "XMediaFeatures.mat", values)
    with pytest.raises(DataError, match=r"'trVidCat': labels reach from 0 to 3, expected 1 to 4"):
        load(small(XMedia, XMEDIA_ROWS, XMEDIA_WIDTHS, 4), tmp_path)


NET_WIDTHS = {"image": 6, "text": 3, "video": 5, "audio": 4, "3d": 7}
NET_ROWS = {"*": (20, 8, 8), "video": (12, 6, 6), "audio": (12, 6, 6), "3d": (8, 4, 4)}


def xmedianet(order: tuple[str, ...]) -> Arrays:
    values: Arrays = {}
    for part, prefix in enumerate(("train", "valid", "test")):
        rows = [NET_ROWS.get(name, NET_ROWS["*"])[part] for name in order]
        values[prefix] = [features(n, NET_WIDTHS[name], n) for n, name in zip(rows, order, strict=True)]
        values[f"{prefix}_labels"] = [np.arange(n)[None] % 4 for n in rows]
    return values


@pytest.mark.parametrize("write", MATLAB)
@pytest.mark.parametrize(
    "order", [("image", "text", "video", "audio", "3d"), ("image", "text", "3d", "video", "audio")]
)
def test_xmedianet_s_cells_are_modalities_and_the_smallest_is_3d(
    tmp_path: Path, write: Callable[..., Path], order: tuple[str, ...]
) -> None:
    write(tmp_path / "XMediaNet5View_Doc2Vec.mat", xmedianet(order))
    data = load(small(XMediaNet, NET_ROWS, NET_WIDTHS, 4), tmp_path)
    assert data.modalities == ("image", "text", "video", "audio", "3d")
    assert {name: data.train[name].dimension for name in data.train} == NET_WIDTHS
    assert {name: len(data.test[name]) for name in data.test} == {
        name: NET_ROWS.get(name, NET_ROWS["*"])[2] for name in order
    }
    assert data.train.pairing == "none"


def test_xmedianet_needs_five_cells_and_names_the_bad_one(tmp_path: Path) -> None:
    loader = small(XMediaNet, NET_ROWS, NET_WIDTHS, 4)
    values = xmedianet(tuple(NET_WIDTHS))
    short = {**values, "valid": values["valid"][:4]}
    write_mat5(tmp_path / "XMediaNet5View_Doc2Vec.mat", short)
    with pytest.raises(DataError, match="'valid': 4 cells, expected 5, one per modality"):
        load(loader, tmp_path)
    values["test"][3][0, 0] = np.inf
    write_mat5(tmp_path / "XMediaNet5View_Doc2Vec.mat", values)
    with pytest.raises(DataError, match="'test', cell 3: row 0, column 0 is inf"):
        load(loader, tmp_path)


def test_the_quick_profile_caps_rows_of_real_data_and_keeps_its_width(tmp_path: Path) -> None:
    loader = small(NusWide, {"*": (7, 7, 7)}, {"image": 5, "text": 3}, 4)
    values = nus(0)
    for key, width in (("train_imgs_deep", 300), ("train_texts", 3)):
        values[key] = features(3200, width, 0)
    values["train_imgs_labels"] = np.arange(3200) % 4
    values["valid_imgs_deep"], values["test_imgs_deep"] = features(4, 300, 0), features(10, 300, 0)
    write_hdf5(tmp_path / "nus_wide_deep_doc2vec-corr-ae.h5py", values)
    card = loader.card
    wide = replace(card.modalities[0], dimension=Fact(300, "confirmed"))
    loader.card = replace(card, modalities=(wide, card.modalities[1]))
    data = load(loader, tmp_path, "quick")
    assert data.train["image"].features.shape == (2500, 300)
    np.testing.assert_array_equal(np.bincount(data.train["text"].labels), [625] * 4)
    assert data.train.pairing == "natural"
