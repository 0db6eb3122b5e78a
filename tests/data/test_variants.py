"""Variants of layouts: other names, containers and marks for what other tests bring in one form."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file
from scipy.io import savemat
from scipy.sparse import csc_matrix

from bench.contract import DataError
from bench.data import Choices, load_dataset, open_arrays
from bench.data.bundle import import_files
from tests.data.test_doors import NAMES, table_of
from tests.data.test_layout import Arrays, arrays, labels, loaded, pairs, rows

PARTS = {"train": 24, "test": 12}


def of_all_rows() -> Arrays:
    """Image, text and labels of all 36 rows, of which the last 12 are of test."""
    values = arrays()
    names = {"image": "image", "text": "text", "labels": "image_labels"}
    return {name: np.concatenate([values[f"{part}_{key}"] for part in PARTS]) for name, key in names.items()}


def shared(form: str = "{part}_{name}") -> Arrays:
    values = arrays()
    keys = {"image": "image", "text": "text", "labels": "image_labels"}
    return {
        form.format(part=part, name=name): values[f"{part}_{key}"]
        for part in PARTS
        for name, key in keys.items()
    }


def nested() -> dict[str, Any]:
    return {
        part: {name: shared()[f"{part}_{name}"] for name in ("image", "text", "labels")} for part in PARTS
    }


def samples(listed: bool = False) -> list[dict[str, Any]]:
    values = of_all_rows()
    return [
        {
            "image": values["image"][i].tolist() if listed else values["image"][i],
            "text": values["text"][i].tolist() if listed else values["text"][i],
            "label": str(NAMES[values["labels"][i]]),
            "split": "train" if i < 24 else "test",
        }
        for i in range(36)
    ]


def dump(path: Path, value: Any) -> None:
    path.write_bytes(pickle.dumps(value))


def cells(joined: Callable[[Any], str]) -> pd.DataFrame:
    return pd.DataFrame(
        [{**one, "image": joined(one["image"]), "text": joined(one["text"])} for one in samples(listed=True)]
    )


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in shared().items():
            np.save(path.parent / "x.npy", value)
            archive.write(path.parent / "x.npy", f"folder/{key}.npy")


def text_files(path: Path) -> None:
    path.mkdir()
    for key, value in shared().items():
        np.savetxt(path / f"{key}.txt", value, fmt="%d" if value.ndim == 1 else "%.9g")
    (path / "readme.txt").write_text("Made by hand, in two parts.\nNo more is known, sorry")


FILES: dict[str, Callable[[Path], Any]] = {
    "dict.npy": lambda path: np.save(path, nested(), allow_pickle=True),  # type: ignore[arg-type]
    "dicts.npz": lambda path: np.savez(path, **nested()),
    "rows.pkl": lambda path: dump(path, {"all": samples()}["all"]),
    "default.pkl": lambda path: dump(path, defaultdict(dict, nested())),
    "rows.pt": lambda path: torch.save(
        {
            part: [
                {key: torch.from_numpy(one[key]) for key in ("image", "text")} | {"label": one["label"]}
                for one in samples()
                if one["split"] == part
            ]
            for part in PARTS
        },
        path,
    ),
    "tensors.safetensors": lambda path: save_file(shared("{part}.{name}"), path),
    "rows.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, samples(listed=True)))),
    "rows.json": lambda path: path.write_text(json.dumps(samples(listed=True))),
    "semicolons.csv": lambda path: table_of(arrays()).to_csv(path, index=False, sep=";", decimal=","),
    "tabs.csv": lambda path: table_of(arrays()).to_csv(path, sep="\t", encoding="utf-16"),
    "lists.csv": lambda path: cells(json.dumps).to_csv(path, index=False),
    "blanks.csv": lambda path: cells(lambda row: " ".join(map(str, row))).to_csv(path, index=False),
    "archive.zip.npz": zipped,
    "texts": text_files,
}


@pytest.mark.parametrize("name", FILES)
def test_a_container_is_read_as_the_same_dataset(tmp_path: Path, name: str) -> None:
    FILES[name](tmp_path / name)
    data = load_dataset(tmp_path / name)
    assert (data.n_classes, rows(data), pairs(data), {*data.modalities}) == (3, 24, 24, {"image", "text"})
    np.testing.assert_allclose(data.test["image"].features, arrays()["test_image"], rtol=1e-6)
    known = {*zip(data.test["image"].labels.tolist(), arrays()["test_image_labels"].tolist(), strict=True)}
    assert len(known) == 3


def stated_in_attributes(path: Path, values: Arrays) -> Path:
    with h5py.File(path / "mine.h5", "w") as file:
        for key, value in values.items():
            file[key] = value
        file.attrs["paired"] = False
    return path / "mine.h5"


@pytest.mark.parametrize(
    ("state", "count"),
    [
        ({"unpaired": True}, 0),
        ({"paired": "no"}, 0),
        ({"train_unpaired": True}, 0),
        ({"is_paired": 1}, 24),
        ({"aligned": "true"}, 24),
    ],
)
def test_pairs_are_stated_in_any_words(tmp_path: Path, state: dict[str, Any], count: int) -> None:
    values = labels(lambda y: np.roll(y, 1), keep="train_text") if count else arrays()
    assert pairs(loaded(tmp_path, values | {key: np.array(value) for key, value in state.items()})) == count


def test_pairs_are_stated_by_an_attribute_of_an_hdf5_file(tmp_path: Path) -> None:
    assert pairs(load_dataset(stated_in_attributes(tmp_path, arrays()))) == 0


TRAIN, TEST = np.arange(24), np.arange(24, 36)


@pytest.mark.parametrize(
    "lists",
    [
        {"train_idx": TRAIN, "test_idx": TEST},
        {"indexTrain": TRAIN[None] + 1, "indexTest": TEST[None] + 1},
        {"train_mask": np.arange(36) < 24, "test_mask": np.arange(36) >= 24},
        {"is_train": np.arange(36) < 24},
        {"set": np.where(np.arange(36) < 24, "train", "test")},
    ],
)
def test_lists_cut_arrays_of_all_rows_into_parts(tmp_path: Path, lists: Arrays) -> None:
    data = loaded(tmp_path, of_all_rows() | lists)
    assert (rows(data), pairs(data)) == (24, 24)
    np.testing.assert_array_equal(data.test["text"].features, arrays()["test_text"])


def test_masks_of_train_and_validation_leave_the_others_for_test(tmp_path: Path) -> None:
    numbers = np.arange(36)
    lists = {"train_mask": numbers < 16, "val_mask": (numbers >= 16) & (numbers < 24)}
    data = loaded(tmp_path, of_all_rows() | lists)
    assert (len(data.train["text"]), len(data.validation["text"])) == (16, 8)
    np.testing.assert_array_equal(data.test["text"].features, arrays()["test_text"])


def test_row_numbers_of_a_hashing_file_name_a_gallery(tmp_path: Path) -> None:
    values = of_all_rows()
    mine = {"XAll": values["image"], "YAll": values["text"], "LAll": np.eye(3)[values["labels"]]}
    index = {"indexTrain": TRAIN + 1, "indexTest": TEST, "indexDatabase": TRAIN + 1}
    savemat(tmp_path / "mine.mat", mine | index)
    data = load_dataset(tmp_path / "mine.mat")
    assert data.gallery is not None
    assert (data.modalities, rows(data), len(data.gallery["text"])) == (("image", "text"), 24, 24)
    np.testing.assert_array_equal(data.test["image"].features, values["image"][TEST - 1])
    assert "counted from 1" in " ".join(data.card.notes)


def test_a_database_without_train_rows_is_trained_on_by_the_command_that_the_refusal_names(
    tmp_path: Path,
) -> None:
    values = {"databaseL" if k == "train_labels" else k: v for k, v in shared().items()}
    names = {
        "train_image": "XDatabase",
        "train_text": "YDatabase",
        "test_image": "XTest",
        "test_text": "YTest",
    }
    path = tmp_path / "x.mat"
    savemat(path, {names.get(k, "testL" if k == "test_labels" else k): v for k, v in values.items()})
    with pytest.raises(DataError, match="--split train=database --split gallery=database --split test=test"):
        load_dataset(path)
    split = {"train": "database", "gallery": "database", "test": "test"}
    found = import_files([path], tmp_path / "y.npz", Choices(split=split))
    assert {part: len(one["image"]) for part, one in found.splits.items()} == {
        "train": 24, "test": 12, "gallery": 24,
    }  # fmt: skip


def test_lists_beside_features_are_no_modality(tmp_path: Path) -> None:
    more = {
        "train_image_path": np.array([f"{i}.jpg" for i in range(24)]),
        "train_raw_text": np.full(24, "a b"),
    }
    data = loaded(tmp_path, arrays() | more)
    assert data.modalities == ("image", "text")
    assert "not used: train_image_path, train_raw_text" in " ".join(data.card.notes)


@pytest.mark.parametrize("named", ["train_text_mask", "train_has_text"])
def test_a_mask_says_which_rows_have_a_modality(tmp_path: Path, named: str) -> None:
    data = loaded(tmp_path, arrays() | {named: np.arange(24) % 4 != 0})
    assert (rows(data), rows(data, "text"), pairs(data)) == (24, 18, 18)


@pytest.mark.parametrize("labelled", [True, False], ids=["labels of texts", "labels of pictures"])
def test_captions_that_follow_each_other_are_taken_for_pairs_and_it_is_said(
    tmp_path: Path, labelled: bool
) -> None:
    values = arrays()
    for part in PARTS:
        values[f"{part}_text"] = np.repeat(values[f"{part}_text"], 5, axis=0)
        values[f"{part}_text_labels"] = np.repeat(values[f"{part}_text_labels"], 5)
    if not labelled:
        values = {k.replace("image_labels", "labels"): v for k, v in values.items() if "text_labels" not in k}
    data = loaded(tmp_path, values)
    assert pairs(data) == 120
    assert "follow each other" in " ".join(data.card.notes)
    a, b = data.train.pairs("image", "text")
    np.testing.assert_array_equal(data.train["image"].labels[a], data.train["text"].labels[b])


def test_unequal_counts_without_ids_have_no_pairs_and_it_is_said(tmp_path: Path) -> None:
    values = {k: v[:18] if k.startswith("train_text") else v for k, v in arrays().items()}
    data = loaded(tmp_path, values)
    assert pairs(data) == 0
    assert "counts differ" in " ".join(data.card.notes)


@pytest.mark.parametrize("mark", ["|", "; ", "[]"])
def test_lists_of_classes_in_a_cell_are_several_labels(tmp_path: Path, mark: str) -> None:
    table = table_of(arrays())
    sets = [["0", "2"], ["1"], ["0", "1", "2"]]
    table["label"] = [str(one) if mark == "[]" else mark.join(one) for one in sets * 12]
    table.to_csv(tmp_path / "mine.csv", index=False)
    data = load_dataset(tmp_path / "mine.csv")
    np.testing.assert_array_equal(data.test["image"].labels[:3], [[1, 0, 1], [0, 1, 0], [1, 1, 1]])


def test_empty_cells_are_rows_without_a_label_or_a_modality(tmp_path: Path) -> None:
    table = table_of(arrays()).reset_index(drop=True)
    table.loc[[0, 3], [f"text_{i}" for i in range(4)]] = np.nan
    table.loc[[1, 2, 4], "label"] = None
    table.to_csv(tmp_path / "mine.csv", index=False)
    data = load_dataset(tmp_path / "mine.csv")
    known = data.train["image"].labelled.sum() + data.validation["image"].labelled.sum()
    assert (rows(data), rows(data, "text"), int(known)) == (24, 22, 21)


def test_rows_of_zeros_in_one_hot_training_labels_are_unlabelled(tmp_path: Path) -> None:
    values = labels(lambda y: np.eye(3)[y])
    for name in ("image", "text"):
        values[f"train_{name}_labels"] = values[f"train_{name}_labels"] * (np.arange(24) % 4 != 0)[:, None]
    data = loaded(tmp_path, values)
    assert not data.train.multi_label
    assert int(data.train["image"].labelled.sum() + data.validation["image"].labelled.sum()) == 18


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (of_all_rows(), "split"),
        (of_all_rows() | {"train_index": TRAIN}, "test_index"),
        (of_all_rows() | {"train_idx": TRAIN, "test_idx": TEST + 5}, "36 rows"),
        (of_all_rows() | {"split": np.arange(36) // 24}, "found 0, 1"),
        (
            {
                k: np.array([f"{i}.jpg" for i in range(len(v))]) if "labels" in k else v
                for k, v in shared().items()
            },
            "ids",
        ),
        ({k.replace("text", "текст"): v for k, v in arrays().items()}, "--modality NAME="),
        (shared() | {"train_text": np.full(24, "a b"), "test_text": np.full(12, "a b")}, "data extract"),
    ],
)
def test_a_refusal_says_what_was_found_and_what_to_do(tmp_path: Path, values: Arrays, words: str) -> None:
    with pytest.raises(DataError, match=words):
        loaded(tmp_path, values)


def test_a_label_of_training_rows_alone_is_named_where_it_may_stand_for_none(tmp_path: Path) -> None:
    data = loaded(
        tmp_path, labels(lambda y: np.where(np.arange(len(y)) % 4 > 0, y, 255) if len(y) == 24 else y)
    )
    assert "label 255" in " ".join(data.card.notes)


def test_archives_of_other_files_are_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        archive.writestr("table.csv", "a,b")
    with pytest.raises(DataError, match="unpack"):
        load_dataset(tmp_path / "mine.npz")


def views(count: int = 36, turned: bool = False) -> Any:
    """Return a cell array of the image and the text features of all rows."""
    found = np.empty((1, 2), dtype=object)
    for index, name in enumerate(("image", "text")):
        values = of_all_rows()[name][:count]
        found[0, index] = values.T if turned else values
    return found


@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("named", ["Y", "gt", "labels"])
def test_cells_are_views_in_their_order_and_test_rows_are_drawn_on_request(
    tmp_path: Path, turned: bool, named: str
) -> None:
    known = of_all_rows()["labels"]
    savemat(tmp_path / "x.mat", {"X": views(turned=turned), named: known[:, None] + 1})
    with pytest.raises(DataError, match=r"view1 = X/1, view2 = X/2.*--split test=0.2"):
        load_dataset(tmp_path / "x.mat")
    found = import_files([tmp_path / "x.mat"], tmp_path / "y.npz", Choices(test_share=0.25))
    assert [len(found.splits[part]["view2"]) for part in PARTS] == [27, 9]
    assert np.bincount(found.splits["test"]["view1"].labels).tolist() == [3, 3, 3]
    assert "drawn" in " ".join(found.notes)
    test = found.splits["test"]
    rows = [of_all_rows()["image"].tolist().index(one) for one in test["view1"].features.tolist()]
    np.testing.assert_array_equal(test["view2"].features, of_all_rows()["text"][rows])
    np.testing.assert_array_equal(test["view1"].labels, known[rows])


def as_cells_of_hdf5(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        for part, rows in (("train", TRAIN), ("test", TEST)):
            cells = file.create_dataset(f"X_{part}", (2, 1), dtype=h5py.ref_dtype)
            for index, name in enumerate(("image", "text")):
                file[f"#refs#/{part}{index}"] = of_all_rows()[name][rows].T
                cells[index, 0] = file[f"#refs#/{part}{index}"].ref
            file[f"Y_{part}"] = of_all_rows()["labels"][rows][None]
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")


VIEWS: dict[str, Callable[[Path], Any]] = {
    "x.mat": lambda path: savemat(
        path,
        {f"X_{part}": views()[:, :] for part in PARTS}
        | {f"Y_{part}": of_all_rows()["labels"] for part in PARTS},
    ),
    "y.mat": as_cells_of_hdf5,
    "x.pkl": lambda path: dump(
        path,
        {
            part: {
                "X": [of_all_rows()[name][rows] for name in ("image", "text")],
                "y": of_all_rows()["labels"][rows],
            }
            for part, rows in (("train", TRAIN), ("test", TEST))
        },
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_lists_of_matrices_are_views_in_every_format(tmp_path: Path, name: str) -> None:
    VIEWS[name](tmp_path / name)
    data = load_dataset(tmp_path / name, profile="paper")
    assert data.modalities == ("view1", "view2")
    np.testing.assert_array_equal(data.test["view2"].features[-12:], of_all_rows()["text"][TEST])


def test_a_tuple_of_arrays_is_read_by_the_recipe_that_its_refusal_names(tmp_path: Path) -> None:
    values = [shared()[f"{part}_{name}"] for name in ("image", "text", "labels") for part in PARTS]
    dump(tmp_path / "x.pkl", tuple(values))
    with pytest.raises(DataError, match="recipe") as refused:
        load_dataset(tmp_path / "x.pkl")
    (tmp_path / "mine.yaml").write_text(str(refused.value).partition("such as: ")[2])
    data = load_dataset(tmp_path / "mine.yaml")
    np.testing.assert_array_equal(data.test["text"].features, arrays()["test_text"])


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u1"])
def test_mat_files_of_version_4_are_read(tmp_path: Path, dtype: str) -> None:
    values = {
        key: (value * 10 if value.ndim == 2 else value[:, None]).astype(dtype)
        for key, value in shared().items()
    }
    savemat(tmp_path / "x.mat", values, format="4")
    data = load_dataset(tmp_path / "x.mat", profile="paper")
    np.testing.assert_array_equal(data.test["image"].features, values["test_image"].astype("f4"))


def test_sparse_matrices_and_letters_of_version_4_are_read(tmp_path: Path) -> None:
    values = np.diag([1.0, 0, 3])
    savemat(tmp_path / "x.mat", {"a": csc_matrix(values), "b": ["art", "war"]}, format="4")
    with open_arrays(tmp_path / "x.mat") as source:
        np.testing.assert_array_equal(source.array("a"), values)
        assert source.array("b").tolist() == ["art", "war"]


def test_a_file_for_each_array_is_named_by_its_file_or_its_key(tmp_path: Path) -> None:
    values = of_all_rows()
    for file, key, value in (
        ("flickr-iall", "IAll", values["image"]),
        ("flickr-2", "TAll", values["text"]),
        ("flickr-lall", "LAll", np.eye(3)[values["labels"]]),
    ):
        savemat(tmp_path / f"{file}.mat", {key: value})
    savemat(
        tmp_path / "idx.mat", {"indexTrain": TRAIN + 1, "indexTest": TEST + 1, "indexDatabase": TRAIN + 1}
    )
    data = load_dataset(tmp_path)
    assert ({*data.modalities}, rows(data), pairs(data)) == ({"image", "text"}, 24, 24)


@pytest.mark.parametrize("first", [0, 1])
def test_one_hot_rows_and_class_numbers_are_the_same_classes(tmp_path: Path, first: int) -> None:
    values = labels(lambda y: np.eye(3)[y] if len(y) == 24 else y + first)
    data = loaded(tmp_path, values)
    np.testing.assert_array_equal(data.test["image"].labels, arrays()["test_image_labels"])
    kept = {tuple(row): label for row, label in zip(arrays()["train_image"], np.arange(24) % 3, strict=True)}
    read = [kept[tuple(row)] for row in data.train["image"].features]
    np.testing.assert_array_equal(data.train["image"].labels, read)


def test_one_hot_rows_beside_numbers_that_may_count_from_0_or_1_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="from 0 or from 1"):
        loaded(tmp_path, labels(lambda y: np.eye(4)[y] if len(y) == 24 else y % 2 + 1))


def test_a_list_of_parts_beside_arrays_of_parts_is_not_used(tmp_path: Path) -> None:
    data = loaded(tmp_path, arrays() | {"split": np.array(["train"] * 24 + ["test"] * 12)})
    assert (rows(data), len(data.test["image"])) == (24, 12)
    assert "not used: split" in " ".join(data.card.notes)


def by_id(order: Any = None) -> dict[str, dict[str, Any]]:
    """Return image, text, label and split of all rows by ids, those of the text in another order."""
    values = of_all_rows() | {"split": np.where(np.arange(36) < 24, "train", "test").astype(object)}
    return {
        name: {f"img_{i}": one[i] for i in (order if name == "text" and order is not None else range(36))}
        for name, one in values.items()
    }


def of_samples(rows: Any) -> dict[str, dict[str, Any]]:
    names = {"image": "image", "text": "text", "labels": "label"}
    return {f"img_{i}": {new: by_id()[name][f"img_{i}"] for name, new in names.items()} for i in rows}


def files_by_id(path: Path) -> None:
    for part, of_part in (("train", TRAIN), ("test", TEST)):
        (path / part).mkdir(parents=True)
        for name, values in by_id().items():
            order = of_part[::-1] if name == "labels" else of_part
            if name != "split":
                dump(path / part / f"{name}.pkl", {f"img_{i}": values[f"img_{i}"] for i in order})


BY_ID: dict[str, Callable[[Path], Any]] = {
    "modalities.pkl": lambda path: dump(path, by_id(np.arange(36)[::-1])),
    "tensors.pt": lambda path: torch.save(
        {
            k: {i: torch.as_tensor(one) if k != "split" else one for i, one in v.items()}
            for k, v in by_id().items()
        },
        path,
    ),
    "samples.pkl": lambda path: dump(path, {"train": of_samples(TRAIN), "test": of_samples(TEST)}),
    "dict.npy": lambda path: np.save(path, {"train": of_samples(TRAIN), "test": of_samples(TEST)}),  # type: ignore[arg-type]
    "files": files_by_id,
}


@pytest.mark.parametrize("name", BY_ID)
def test_dicts_by_sample_ids_are_arrays_with_ids(tmp_path: Path, name: str) -> None:
    BY_ID[name](tmp_path / name)
    data = load_dataset(tmp_path / name, profile="paper")
    assert (rows(data), len(data.test["text"]), pairs(data)) == (24, 12, 24)
    a, b = data.test.pairs("image", "text")
    found = [arrays()["test_image"].tolist().index(one) for one in data.test["image"].features[a].tolist()]
    np.testing.assert_array_equal(data.test["text"].features[b], arrays()["test_text"][found])
    np.testing.assert_array_equal(data.test["image"].labels[a], arrays()["test_image_labels"][found])
    np.testing.assert_array_equal(data.test["text"].labels[b], arrays()["test_image_labels"][found])


def test_arrays_of_all_rows_in_other_orders_are_not_cut_by_one_list(tmp_path: Path) -> None:
    ids = np.arange(36)
    with pytest.raises(DataError, match="sort both"):
        loaded(
            tmp_path,
            of_all_rows()
            | {"image_ids": ids, "text_ids": ids[::-1], "split": np.where(ids < 24, "train", "test")},
        )


def sentences(path: Path, captions: int = 180) -> None:
    """Write Karpathy's JSON of 36 pictures with five sentences each, and features of both."""
    path.mkdir()
    splits, order = (
        ["train"] * 12 + ["restval"] * 12 + ["test"] * 12,
        np.random.default_rng(0).permutation(180),
    )
    sentids = order.reshape(36, 5).tolist()
    text = np.empty((180, 4), np.float32)
    for row, numbers in enumerate(sentids):
        text[numbers] = of_all_rows()["text"][row] + np.arange(5, dtype=np.float32)[:, None]
    images = [
        {"split": split, "sentids": numbers, "sentences": [{"sentid": n, "raw": "a b"} for n in numbers]}
        for split, numbers in zip(splits, sentids, strict=True)
    ]
    (path / "dataset.json").write_text(json.dumps({"images": images, "dataset": "coco"}))
    np.save(path / "image.npy", of_all_rows()["image"])
    np.save(path / "text.npy", text[:captions])
    np.save(path / "labels.npy", of_all_rows()["labels"])


def test_a_json_of_sentences_cuts_and_joins_pictures_and_captions(tmp_path: Path) -> None:
    sentences(tmp_path / "mine")
    data = load_dataset(tmp_path / "mine", profile="paper")
    assert (rows(data), rows(data, "text"), pairs(data), len(data.test["text"])) == (24, 120, 120, 60)
    a, b = data.test.pairs("image", "text")
    shown = [arrays()["test_image"].tolist().index(one) for one in data.test["image"].features[a].tolist()]
    offset = (data.test["text"].features[b] - arrays()["test_text"][shown]).round().astype(int)
    assert sorted(offset[:, 0].tolist()) == sorted([*range(5)] * 12)
    np.testing.assert_array_equal(data.test["text"].labels[b], arrays()["test_image_labels"][shown])


def test_a_json_of_sentences_whose_counts_do_not_fit_is_a_sentence(tmp_path: Path) -> None:
    sentences(tmp_path / "mine", captions=179)
    with pytest.raises(DataError, match=r"179, 4.* 36 or 180 rows"):
        load_dataset(tmp_path / "mine")


@pytest.mark.parametrize("name", ["x.feather", "x.arrow", "x.parquet"])
def test_lists_of_numbers_in_columns_of_a_stored_table_are_features(tmp_path: Path, name: str) -> None:
    table = pd.DataFrame(
        [{**one, "image": one["image"].tolist(), "text": one["text"].tolist()} for one in samples()]
    )
    try:
        if name == "x.parquet":
            table.to_parquet(tmp_path / name)
        else:
            table.to_feather(tmp_path / name)
    except ImportError:
        (tmp_path / name).write_bytes(b"ARROW1")
        with pytest.raises(DataError, match="pip install pyarrow"):
            load_dataset(tmp_path / name)
        return
    data = load_dataset(tmp_path / name)
    np.testing.assert_allclose(data.test["image"].features, arrays()["test_image"], rtol=1e-6)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (2, 1)])
def test_arrays_of_matrices_of_any_shape_are_views(tmp_path: Path, shape: tuple[int, ...]) -> None:
    known = of_all_rows()["labels"]
    values = {"X": views().reshape(shape), "truth": known, "trainIdx": TRAIN, "testIdx": TEST}
    data = loaded(tmp_path, values)
    assert data.modalities == ("view1", "view2")
    np.testing.assert_array_equal(data.test["view2"].features, of_all_rows()["text"][TEST])


def test_a_cell_for_each_view_has_its_labels(tmp_path: Path) -> None:
    both = np.empty(2, dtype=object)
    both[:] = [of_all_rows()["labels"][:, None] + 1] * 2
    savemat(
        tmp_path / "x.mat",
        {"data": views(turned=True), "truelabel": both, "names": np.array(["a", "b"], object)},
    )
    found = import_files([tmp_path / "x.mat"], tmp_path / "y.npz", Choices(test_share=0.25))
    assert [*found.splits["train"]] == ["view1", "view2"]
    assert "view1 labels = truelabel/1" in " ".join(found.notes)


@pytest.mark.parametrize("form", ["{}_ids", "split/{}"])
def test_lists_of_ids_cut_arrays_of_all_rows_into_parts(tmp_path: Path, form: str) -> None:
    ids = np.random.default_rng(0).permutation(36)
    values = {name: dict(zip(ids.tolist(), one[ids], strict=True)) for name, one in of_all_rows().items()}
    lists = {form.format(part): [f"{i}" for i in rows_] for part, rows_ in (("train", TRAIN), ("test", TEST))}
    dump(
        tmp_path / "x.pkl",
        {name: {str(i): one for i, one in value.items()} for name, value in values.items()} | lists,
    )
    data = load_dataset(tmp_path / "x.pkl", profile="paper")
    np.testing.assert_array_equal(data.test["image"].features, arrays()["test_image"])
