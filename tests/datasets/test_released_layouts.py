"""Each benchmark's released file, written small in every container it may come in, is read as described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract import DataError, Dataset, DatasetCard, DatasetLoader, Fact, Modality
from bench.data import load_dataset
from datasets.inria_websearch import InriaWebsearch
from datasets.nus_wide import NusWide
from datasets.nus_wide_42941 import NusWide42941
from datasets.wikipedia import Wikipedia
from datasets.xmedia import XMedia
from datasets.xmedianet import XMediaNet
from tests.data.released import write_hdf5, write_mat5, write_mat73
from tests.wording import mentions

Arrays = dict[str, Any]
Write = Callable[..., Path]
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


def wiki(test: int = 10, **changes: Any) -> Arrays:
    values: Arrays = {}
    for index, (part, rows) in enumerate((("train", 20), ("test", test))):
        values[f"{part}_imgs_deep"] = features(rows, 5, 2 * index)
        values[f"{part}_texts_doc"] = features(rows, 3, 2 * index + 1)
        values[f"{part}_imgs_labels"] = np.arange(rows)[None] % 4
    values["train_texts_labels"] = values["train_imgs_labels"]
    values.update(changes)
    return {key: value for key, value in values.items() if value is not None}


def load(loader: type[DatasetLoader], folder: Path, profile: str = "paper") -> Dataset:
    data = load_dataset(loader, folder, profile=profile)
    assert data.kind == "real"
    return data


def assert_features(found: Modality, values: np.ndarray) -> None:
    np.testing.assert_array_equal(found.features, values.astype(np.float32))


@pytest.mark.parametrize("write", MATLAB)
def test_wikipedia_validates_on_the_first_rows_of_the_test_block(tmp_path: Path, write: Write) -> None:
    values = wiki()
    write(tmp_path / "wiki.mat", values)
    data = load(WIKI, tmp_path)
    assert_features(data.validation["image"], values["test_imgs_deep"][:4])
    assert_features(data.test["image"], values["test_imgs_deep"][4:])
    np.testing.assert_array_equal(data.test["text"].labels, values["test_imgs_labels"][0, 4:])
    assert data.train.pairing == data.validation.pairing == data.test.pairing == "natural"


def test_wikipedia_uses_the_text_labels_of_the_test_block_where_they_are(tmp_path: Path) -> None:
    write_mat5(tmp_path / "wiki.mat", wiki(test_texts_labels=np.arange(10)[None] % 4))
    load(WIKI, tmp_path)
    write_mat5(tmp_path / "wiki.mat", wiki(test_texts_labels=np.arange(1, 11)[None] % 4))
    with pytest.raises(DataError, match=r"row 0 .*class 0 .*image .*\b1 .*text"):
        load(WIKI, tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_texts_doc": None}, "'train_texts_doc' is missing"),
        ({"train_imgs_labels": 1 + np.arange(20)[None] % 4}, "counted from 1"),
        ({"test": 4}, "4 image rows"),
        ({"test": 9}, "20/4/5 rows .*expected 20/4/6"),
    ],
)
def test_a_bad_wikipedia_file_is_one_clear_sentence(tmp_path: Path, changes: Arrays, words: str) -> None:
    write_mat5(tmp_path / "wiki.mat", wiki(**changes))
    with pytest.raises(DataError, match=words) as caught:
        load(WIKI, tmp_path)
    assert str(tmp_path / "wiki.mat") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("write", MATLAB)
def test_inria_websearch_has_its_three_splits(tmp_path: Path, write: Write) -> None:
    loader = small(InriaWebsearch, {"*": (12, 4, 6)}, {"image": 5, "text": 3}, 4)
    values: Arrays = {}
    for prefix, rows in (("tr", 12), ("val", 4), ("te", 6)):
        for name, width in (("img", 5), ("txt", 3)):
            values[f"{prefix}_{name}"] = features(rows, width, rows)
            values[f"{prefix}_{name}_lab"] = np.arange(rows)[:, None] % 4
    write(tmp_path / "INRIA-Websearch.mat", values)
    data = load(loader, tmp_path)
    assert_features(data.validation["text"], values["val_txt"])
    np.testing.assert_array_equal(data.test["image"].labels, values["te_img_lab"][:, 0])
    assert data.test.pairing == "natural"


NUS_FILE = "nus_wide_deep_doc2vec-corr-ae.h5py"


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
    values["valid_imgs_labels"] = start + np.array([0, 1, 2, 0])  # without the last class nothing shifts
    write_hdf5(tmp_path / NUS_FILE, values)
    data = load(loader, tmp_path)
    assert [len(split["text"]) for split in (data.train, data.validation, data.test)] == [12, 4, 10]
    assert_features(data.train["image"], values["train_imgs_deep"])
    np.testing.assert_array_equal(data.test["text"].labels, np.arange(10) % 4)
    np.testing.assert_array_equal(data.validation["image"].labels, [0, 1, 2, 0])
    assert any(mentions(note, "image ... 12/4/10 rows ... 7/7/7") for note in data.card.notes)


@pytest.mark.parametrize("text", ["text", "texts"])
@pytest.mark.parametrize(("parts", "cut"), [(("train", "test"), 4), (("train", "valid", "test"), 0)])
def test_the_larger_nus_wide_is_read_with_or_without_a_validation_block(
    tmp_path: Path, text: str, parts: tuple[str, ...], cut: int
) -> None:
    loader = small(NusWide42941, {"*": (12, 4, 6)}, {"image": 5, "text": 3}, 4)
    values = nus(1, text, parts)
    values["test_texts_labels"] = values["test_imgs_labels"]
    write_hdf5(tmp_path / "nus_wide_deep_doc2vec_data_42941.h5py", values)
    data = load(loader, tmp_path)
    assert_features(data.test["text"], values[f"test_{text}"][cut:])
    assert len(data.validation["image"]) == 4


XMEDIA_ROWS = {"*": (16, 5, 5), "audio": (8, 3, 3), "3d": (6, 2, 2), "video": (9, 4, 4)}
XMEDIA_KEYS = {
    "image": ("I_tr_CNN", "I_te_CNN", "ImgCat", 6),
    "text": ("T_tr_BOW", "T_te_BOW", "TxtCat", 7),
    "audio": ("A_tr", "A_te", "AudCat", 3),
    "3d": ("d3_tr", "d3_te", "3dCat", 5),
    "video": ("V_tr_CNN", "V_te_CNN", "VidCat", 6),
}
XMEDIA = small(XMedia, XMEDIA_ROWS, {name: keys[-1] for name, keys in XMEDIA_KEYS.items()}, 4)


def xmedia() -> Arrays:
    values: Arrays = {}
    for index, (name, (train, test, cat, width)) in enumerate(XMEDIA_KEYS.items()):
        rows = XMEDIA_ROWS.get(name, XMEDIA_ROWS["*"])
        block = rows[1] + rows[2] + 1
        values[train] = features(rows[0], width, index)
        values[test] = features(block, width, index + 10)
        values[f"tr{cat}"] = 1.0 + np.arange(rows[0])[:, None] % 4
        values[f"te{cat}"] = 1.0 + np.arange(block)[:, None] % 4
    return values


@pytest.mark.parametrize("write", MATLAB)
def test_xmedia_tests_on_the_first_rows_and_validates_on_the_rest(tmp_path: Path, write: Write) -> None:
    values = xmedia()
    write(tmp_path / "XMediaFeatures.mat", values)
    data = load(XMEDIA, tmp_path)
    assert (data.modalities, data.train.pairing, data.split) == (tuple(XMEDIA_KEYS), "none", "test-first")
    assert [len(data.test[name]) for name in XMEDIA_KEYS] == [5, 5, 3, 2, 4]
    assert_features(data.test["3d"], values["d3_te"][:2])
    assert_features(data.validation["video"], values["V_te_CNN"][4:])
    np.testing.assert_array_equal(data.train["audio"].labels, values["trAudCat"][:, 0].astype(int) - 1)


def test_xmedia_labels_that_count_from_zero_are_refused(tmp_path: Path) -> None:
    values = xmedia()
    values["trVidCat"] -= 1
    write_mat5(tmp_path / "XMediaFeatures.mat", values)
    with pytest.raises(DataError, match=r"'trVidCat'.*expected 1 to 4"):
        load(XMEDIA, tmp_path)


NET_FILE = "XMediaNet5View_Doc2Vec.mat"
NET_WIDTHS = {"image": 6, "text": 3, "video": 5, "audio": 4, "3d": 7}
NET_ROWS = {"*": (20, 8, 8), "video": (12, 6, 6), "audio": (12, 6, 6), "3d": (8, 4, 4)}
XMEDIANET = small(XMediaNet, NET_ROWS, NET_WIDTHS, 4)


def xmedianet(*order: str) -> Arrays:
    values: Arrays = {}
    for part, prefix in enumerate(("train", "valid", "test")):
        rows = [NET_ROWS.get(name, NET_ROWS["*"])[part] for name in order]
        values[prefix] = [features(n, NET_WIDTHS[name], n) for n, name in zip(rows, order, strict=True)]
        values[f"{prefix}_labels"] = [np.arange(n)[None] % 4 for n in rows]
    return values


@pytest.mark.parametrize("write", MATLAB)
@pytest.mark.parametrize("order", [tuple(NET_WIDTHS), ("image", "text", "3d", "video", "audio")])
def test_xmedianet_s_cells_are_modalities_and_the_smallest_is_3d(
    tmp_path: Path, write: Write, order: tuple[str, ...]
) -> None:
    write(tmp_path / NET_FILE, xmedianet(*order))
    data = load(XMEDIANET, tmp_path)
    assert (data.modalities, data.train.pairing) == (tuple(NET_WIDTHS), "none")
    for name, width in NET_WIDTHS.items():
        assert data.train[name].dimension == width
        assert len(data.test[name]) == NET_ROWS.get(name, NET_ROWS["*"])[2]


def test_xmedianet_needs_five_cells_and_names_the_bad_one(tmp_path: Path) -> None:
    values = xmedianet(*NET_WIDTHS)
    write_mat5(tmp_path / NET_FILE, {**values, "valid": values["valid"][:4]})
    with pytest.raises(DataError, match="'valid': 4 cells, expected 5"):
        load(XMEDIANET, tmp_path)
    values["test"][3][0, 0] = np.inf
    write_mat5(tmp_path / NET_FILE, values)
    with pytest.raises(DataError, match=r"'test', cell 3.*row 0, column 0.*inf"):
        load(XMEDIANET, tmp_path)


def test_the_quick_profile_caps_rows_of_real_data_and_keeps_its_width(tmp_path: Path) -> None:
    loader = small(NusWide, {"*": (7, 7, 7)}, {"image": 300, "text": 3}, 4)
    values = nus(0)
    for part, rows in (("train", 3200), ("valid", 4), ("test", 10)):
        values[f"{part}_imgs_deep"] = features(rows, 300, 0)
    values["train_texts"], values["train_imgs_labels"] = features(3200, 3, 0), np.arange(3200) % 4
    write_hdf5(tmp_path / NUS_FILE, values)
    data = load(loader, tmp_path, "quick")
    assert data.train["image"].features.shape == (2500, 300)
    np.testing.assert_array_equal(np.bincount(data.train["text"].labels), [625] * 4)
    assert data.train.pairing == "natural"
