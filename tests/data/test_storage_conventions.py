"""Conventions of storing data: each is read as meant, or refused with the command that helps."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from bench.contract import DataError
from bench.data import load_dataset
from tests.data.layouts import (
    NAMES,
    PARTS,
    TEST,
    TRAIN,
    Arrays,
    arrays,
    labels,
    loaded,
    notes,
    of_all_rows,
    require,
    shared,
)
from tests.wording import mentions

SPLIT = ["train"] * 24 + ["test"] * 12


def folder(path: Path, values: Arrays) -> Path:
    path.mkdir()
    for key, value in values.items():
        np.save(path / f"{key}.npy", value)
    return path


def features(path: Path) -> Path:
    return folder(path, {name: of_all_rows()[name] for name in ("image", "text")})


def table_beside(path: Path, name: str, columns: Arrays) -> None:
    pd.DataFrame(columns).to_csv(features(path) / name, index=False)


def split_files(path: Path) -> None:
    folder(path, of_all_rows())
    for part, of_part in (("train", TRAIN), ("test", TEST)):
        (path / f"{part}.txt").write_text("\n".join(map(str, of_part)))


def lists_of_wikipedia(path: Path) -> None:
    path.mkdir()
    values = shared()
    savemat(path / "raw_features.mat", {k: v for k, v in values.items() if "labels" not in k})
    for part in PARTS:
        lines = [f"text{i}\timage{i}\t{label + 1}" for i, label in enumerate(values[f"{part}_labels"])]
        (path / f"{part}set_txt_img_cat.list").write_text("\n".join(lines))
    parts = "\n".join(
        f'{part}: {{image: "f:{part}_image", text: "f:{part}_text", labels: "{part}:2"}}' for part in PARTS
    )
    (path / "mine.yaml").write_text(
        "files: {f: raw_features.mat, train: trainset_txt_img_cat.list, test: testset_txt_img_cat.list}\n"
        + parts
    )


def tables_of_pandas(path: Path) -> None:
    path.mkdir()
    for key, value in shared().items():
        table = pd.DataFrame({"label": value}) if value.ndim == 1 else pd.DataFrame(value)
        table.to_csv(path / f"{key}.csv", index=False)


def beside_junk(path: Path) -> None:
    folder(path, shared())
    (path / "__MACOSX").mkdir()
    (path / "__MACOSX" / "._train_image.npy").write_bytes(b"\0\5\x16\7")


def named_in_struct(path: Path) -> None:
    path.mkdir()
    values = of_all_rows()
    lists = {"indexTrain": TRAIN[None] + 1, "indexQuery": TEST[None] + 1, "nbits": 16}
    savemat(path / "x.mat", {f"{k[0].upper()}All": v for k, v in values.items()} | {"param": lists})


def samples_with_ids(path: Path) -> None:
    path.mkdir()
    values = of_all_rows() | {"split": SPLIT, "image_id": 100 + np.arange(36)}
    listed = [{key: value[i] for key, value in values.items()} for i in range(36)]
    (path / "x.pkl").write_bytes(pickle.dumps(listed))


def dicts_by_id(path: Path) -> None:
    """Write dicts of vectors and of labels, in another order, and lists of ids of a third."""
    path.mkdir()
    values, draws = of_all_rows(), np.random.default_rng(0)
    for part, of_part in (("train", TRAIN), ("test", TEST)):
        for key, name, order in (
            (f"img_{part}_id_feats", "image", of_part),
            (f"txt_{part}_id_bow", "text", of_part),
            (f"{part}_id_label_map", "labels", draws.permutation(of_part)),
        ):
            (path / f"{key}.pkl").write_bytes(pickle.dumps({int(i): values[name][i] for i in order}))
        (path / f"{part}_ids.pkl").write_bytes(pickle.dumps(draws.permutation(of_part).tolist()))


def labels_by_id(path: Path) -> None:
    """Write features with ids, and tables of labels by ids in another order."""
    path.mkdir()
    values, draws = of_all_rows(), np.random.default_rng(0)
    for part, of_part in (("train", TRAIN), ("test", TEST)):
        np.savez(
            path / f"{part}.npz", image=values["image"][of_part], text=values["text"][of_part], ids=of_part
        )
        order = draws.permutation(of_part)
        pd.DataFrame({"id": order, "label": NAMES[values["labels"][order]]}).to_csv(
            path / f"{part}_labels.csv", index=False
        )


KNOWN = NAMES[of_all_rows()["labels"]]
READ: dict[str, Callable[[Path], object]] = {
    "a table of labels with ids": lambda path: table_beside(
        path, "labels.csv", {"id": np.arange(36) + 5, "label": KNOWN, "split": SPLIT}
    ),
    "a table about the samples": lambda path: table_beside(
        path, "metadata.csv", {"file": [f"{i}.jpg" for i in range(36)], "class_name": KNOWN, "split": SPLIT}
    ),
    "a table of splits": lambda path: (
        folder(path, of_all_rows()),
        pd.DataFrame({"file": KNOWN, "split": SPLIT}).to_csv(path / "splits.csv", index=False),
    ),
    "a list of rows for each split": split_files,
    "tables with pandas' headings": tables_of_pandas,
    "files that macOS adds": beside_junk,
    "row numbers in a struct": named_in_struct,
    "samples with the ids of pictures": samples_with_ids,
    "dicts by id under any names": dicts_by_id,
    "tables of labels by ids in another order": labels_by_id,
    "arrays without a part for train": lambda path: folder(
        path, {k.removeprefix("train_"): v for k, v in shared("{part}_{name}").items()}
    ),
    "cat for category": lambda path: folder(
        path, {k.replace("labels", "cat"): v for k, v in shared().items()}
    ),
}


@pytest.mark.parametrize("habit", READ)
def test_habits_are_read_as_meant(tmp_path: Path, habit: str) -> None:
    READ[habit](tmp_path / "mine")
    require(load_dataset(tmp_path / "mine", profile="paper"))


def test_lists_of_wikipedia_are_columns_of_a_recipe(tmp_path: Path) -> None:
    lists_of_wikipedia(tmp_path / "mine")
    data = load_dataset(tmp_path / "mine" / "mine.yaml", profile="paper")
    require(data)
    assert data.test["text"].labels.tolist() == arrays()["test_text_labels"].tolist()


@pytest.mark.parametrize("first", ["0", "0 1 2"])
def test_lines_of_class_numbers_are_several_labels(tmp_path: Path, first: str) -> None:
    folder(tmp_path / "mine", {key: value for key, value in shared().items() if "labels" not in key})
    for part, count in PARTS.items():
        lines = [first, "1 2", "2", *["0 2", "1"] * count][:count]
        (tmp_path / "mine" / f"{part}_labels.txt").write_text("\n".join(lines))
    data = load_dataset(tmp_path / "mine", profile="paper")
    expected = [[1, first != "0", first != "0"], [0, 1, 1], [0, 0, 1], [1, 0, 1], [0, 1, 0]]
    np.testing.assert_array_equal(data.test["image"].labels[:5], expected)


def test_blanks_around_names_of_classes_are_no_classes(tmp_path: Path) -> None:
    values = labels(
        lambda y: np.array(["a", "b ", " c"])[y] if len(y) == 24 else np.array(["a", "b", "c"])[y]
    )
    data = loaded(tmp_path, values)
    assert tuple(data.items.classes) == ("a", "b", "c")


def test_ids_that_never_meet_are_said(tmp_path: Path) -> None:
    ids = {f"train_{name}_ids": np.array([f"{name}{i}" for i in range(24)]) for name in ("image", "text")}
    data = loaded(tmp_path, arrays() | ids)
    require(data, pairs=0)
    assert mentions(notes(data), "no id ... image")


WITH_SPLIT = of_all_rows() | {"split": np.array(SPLIT)}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"img": WITH_SPLIT["image"], "vgg_img": WITH_SPLIT["image"], "txt": WITH_SPLIT["text"]}
            | {"lab": WITH_SPLIT["labels"], "split": np.array(SPLIT)},
            "--image img or .* --image vgg_img",
        ),
        ({k.replace("labels", "hints"): v for k, v in WITH_SPLIT.items()}, "not used: hints.* --labels KEY"),
        (WITH_SPLIT | {"labels": np.eye(3)[WITH_SPLIT["labels"]] * 255}, "found 255"),
    ],
)
def test_what_is_not_clear_is_refused_with_what_helps(tmp_path: Path, values: Arrays, words: str) -> None:
    with pytest.raises(DataError, match=words):
        loaded(tmp_path, values)


def test_lists_of_ids_that_may_be_the_same_must_be(tmp_path: Path) -> None:
    values = {**shared(), "train_ids": np.arange(24)}
    folder(tmp_path / "mine", values | {"train_id": np.arange(24)})
    require(load_dataset(tmp_path / "mine", profile="paper"))
    np.save(tmp_path / "mine" / "train_id.npy", np.arange(24)[::-1])
    with pytest.raises(DataError, match=r"'train_id' and 'train_ids'.* differ"):
        load_dataset(tmp_path / "mine")


def test_a_table_by_ids_in_another_order_cuts_no_array(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(36)
    table = {"id": order, "label": KNOWN[order], "split": np.array(SPLIT)[order]}
    table_beside(tmp_path / "mine", "meta.csv", table)
    np.save(tmp_path / "mine" / "ids.npy", np.arange(36))
    with pytest.raises(DataError, match=r"differ.*sort both by id"):
        load_dataset(tmp_path / "mine")


def test_a_table_of_splits_by_ids_in_another_order_cuts_no_array(tmp_path: Path) -> None:
    values, order = of_all_rows(), np.random.default_rng(0).permutation(36)
    known = {f"{name}_ids": np.arange(36) for name in ("image", "text")}
    known |= {f"{name}_labels": values["labels"] for name in ("image", "text")}
    folder(tmp_path / "mine", {name: values[name] for name in ("image", "text")} | known)
    table = {"id": order, "split": np.array(SPLIT)[order]}
    pd.DataFrame(table).to_csv(tmp_path / "mine" / "splits.csv", index=False)
    with pytest.raises(DataError, match=r"differ.*sort both by id"):
        load_dataset(tmp_path / "mine")


def test_queries_beside_arrays_that_may_be_a_database_are_refused(tmp_path: Path) -> None:
    values = {k.replace("train_", "").replace("test", "query"): v for k, v in shared().items()}
    with pytest.raises(DataError, match=r"train.*\btest\b"):
        loaded(tmp_path, values)


def test_ids_of_one_modality_alone_are_refused_where_rows_are_no_pairs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train_text_ids"):
        loaded(tmp_path, arrays() | {"train_image_ids": np.arange(24)})
