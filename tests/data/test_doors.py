"""What people bring and no other test names: a case for each, through loading, doctor or commands."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import savemat
from scipy.sparse import csr_matrix, save_npz

import bench
from bench import registry
from bench.contract import Array
from bench.data import diagnose
from bench.data.loading import open_and_check
from bench.data.locations import find_file
from bench.records import Store
from tests.data.released import write_mat73
from tests.data.test_layout import Arrays, arrays, labels, pairs, rows
from tests.grid import say

NAMES = np.array(["art", "music", "war"])


def saved(path: Path, values: Arrays) -> Path:
    np.savez(path, **values)
    return path


def as_mat73(path: Path, values: Arrays) -> None:
    write_mat73(path, {k: v[:, None] if v.ndim == 1 else v for k, v in values.items()})


def as_tensors(path: Path, values: Arrays) -> None:
    torch.save({key: torch.from_numpy(value) for key, value in values.items()}, path)


def table_of(values: Arrays) -> pd.DataFrame:
    parts = []
    for part in ("train", "test"):
        columns = {
            f"{name}_{i}": column
            for name in ("image", "text")
            for i, column in enumerate(values[f"{part}_{name}"].T)
        }
        parts.append(pd.DataFrame(columns | {"label": NAMES[values[f"{part}_image_labels"]], "split": part}))
    return pd.concat(parts)


def as_parquet(path: Path, values: Arrays) -> None:
    try:
        table_of(values).to_parquet(path)
    except ImportError:
        pytest.skip("no package for parquet")


def as_sparse_folder(path: Path, values: Arrays) -> None:
    path.mkdir()
    for key, value in values.items():
        if value.ndim == 2:
            save_npz(path / f"{key}.npz", csr_matrix(value))
        else:
            np.savetxt(path / f"{key}.csv", value, fmt="%d")


FORMATS: dict[str, Callable[[Path, Arrays], Any]] = {
    "mine.mat": as_mat73,
    "mine.pt": as_tensors,
    "mine.csv": lambda path, values: table_of(values).to_csv(path, index=False),
    "mine.tsv": lambda path, values: table_of(values).to_csv(path, index=False, sep="\t"),
    "mine.parquet": as_parquet,
    "mine": as_sparse_folder,
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_any_format_is_a_dataset_by_its_bare_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    FORMATS[name](tmp_path / name, arrays())
    monkeypatch.chdir(tmp_path)
    data = bench.load_dataset(name if "." in name else f"./{name}")
    assert (data.name, data.n_classes, rows(data), len(data.test["text"]), pairs(data)) == (
        "mine",
        3,
        24,
        12,
        24,
    )
    np.testing.assert_array_equal(data.test["image"].features, arrays()["test_image"])


def views_of_objects() -> Arrays:
    """Four pictures of each object, and one text."""
    values = arrays()
    for part, count in (("train", 24), ("test", 12)):
        objects = np.arange(count // 4)
        values |= {
            f"{part}_image_ids": np.repeat(objects, 4),
            f"{part}_image_labels": np.repeat(objects % 3, 4),
        }
        values |= {f"{part}_text_ids": objects, f"{part}_text_labels": objects % 3}
        values[f"{part}_text"] = values[f"{part}_text"][: count // 4]
    return values


def texts_of_some() -> Arrays:
    """Every fourth picture has no text: unequal counts, which ids explain."""
    values, kept = arrays(), np.arange(24) % 4 != 0
    for key in ("train_text", "train_text_labels"):
        values[key] = values[key][kept]
    return values | {"train_image_ids": np.arange(24), "train_text_ids": np.arange(24)[kept]}


def rows_of_zeros() -> Arrays:
    values = arrays()
    values["train_text"][::4] = 0
    return values


@pytest.mark.parametrize(
    ("values", "counts", "said"),
    [
        (arrays(classes=2) | {"paired": True}, (2, 24, 24, 24), ""),
        (labels(lambda y: (y % 2)[:, None]), (2, 24, 24, 24), "taken for pairs"),
        (labels(lambda y: y[:, None]), (3, 24, 24, 24), "taken for pairs"),
        (views_of_objects(), (3, 24, 6, 24), ""),
        (texts_of_some(), (3, 24, 18, 18), ""),
        (rows_of_zeros(), (3, 24, 24, 24), "6 rows of text are zero and taken as data; NaN marks missing"),
    ],
    ids=["two classes", "two classes in a column", "a column", "views", "partial pairs", "zero rows"],
)
def test_rows_correspond_and_have_the_classes_that_are_meant(
    tmp_path: Path, values: Arrays, counts: tuple[int, ...], said: str
) -> None:
    path = saved(tmp_path / "mine.npz", values)
    data = bench.load_dataset(path)
    assert not data.train.multi_label
    assert (data.n_classes, rows(data), rows(data, "text"), pairs(data)) == counts
    assert data.train["image"].labelled.all()
    a, b = data.train.pairs("image", "text")
    np.testing.assert_array_equal(data.train["image"].labels[a], data.train["text"].labels[b])
    found = diagnose(path)
    assert found.status == "complete"
    assert said in " ".join(found.notes)


def cell(y: Array) -> Array:
    cells = np.empty((len(y), 1), dtype=object)
    cells[:, 0] = [str(name) for name in NAMES[y]]
    return cells


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (cell, ("art", "music", "war")),
        (lambda y: np.array([3, 70, 11])[y], ("3", "11", "70")),
        (lambda y: np.eye(3)[y], ()),
    ],
    ids=["cells of names", "any numbers", "one-hot"],
)
def test_a_method_for_one_label_runs_and_the_record_names_the_classes(
    tmp_path: Path, change: Callable[[Array], Any], names: tuple[str, ...]
) -> None:
    savemat(tmp_path / "mine.mat", labels(change))
    results = tmp_path / "results"
    words = ("--datasets", tmp_path / "mine.mat", "--results", results, "--jobs", "0")
    say("run", "--methods", "gmlda", *words).check(0, "1 cells: 1 done")
    store = Store(results)
    (record,) = store.records()
    snapshot = store.snapshot(record.digest)
    assert snapshot is not None
    assert snapshot.class_names == names


def leaking(part: str = "test") -> Arrays:
    values = arrays()
    for name in ("image", "text"):
        for key in (f"{part}_{name}", f"{part}_{name}_labels"):
            values[key] = values[key.replace(part, "train")][: len(values[key])]
    return values


def labels_in_the_features() -> Arrays:
    values = arrays()
    for part in ("train", "test"):
        values[f"{part}_text"] = np.eye(3)[values[f"{part}_text_labels"]]
    return values


def one_modality_twice() -> Arrays:
    values = arrays()
    return values | {f"{part}_text": values[f"{part}_image"] for part in ("train", "test")}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (leaking(), "12 test rows stand in train"),
        (labels_in_the_features(), "the labels stand in the features of text"),
        (one_modality_twice(), "image and text hold the same features"),
        (labels(lambda y: y if len(y) == 12 else y % 2), "class 2 has test rows, but no training row"),
    ],
    ids=["test rows in train", "labels as features", "identical modalities", "unseen class"],
)
def test_run_prints_a_line_for_what_makes_its_numbers_mean_something_else(
    tmp_path: Path, values: Arrays, said: str
) -> None:
    path = saved(tmp_path / "mine.npz", values)
    assert said in " ".join(diagnose(path).notes)
    run = say("run", "--methods", "chance", "--datasets", path, "--results", tmp_path / "r", "--dry-run")
    (line,) = (line for line in (run.out + run.err).splitlines() if said in line)
    assert line.startswith("note: mine: ")


def test_the_command_that_the_doctor_names_mends_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, mended = saved(tmp_path / "my set.npz", leaking()), tmp_path / "my set_without_overlap.npz"
    said = say("data", "doctor", path)
    said.check(0, "--without overlap")
    command = " ".join(said.out.split()).partition("python -m bench ")[2].partition(" leaves")[0]
    monkeypatch.chdir(tmp_path)
    say(*shlex.split(command)).check(0)
    assert "stand in train" not in " ".join(diagnose(mended).notes)
    assert rows(bench.load_dataset(mended)) == 12


@pytest.mark.parametrize(
    ("dataset", "place"),
    [
        ("wikipedia", "datasets/Wiki/wiki.mat"),
        ("xmedia", "XMedia/XMediaFeatures.mat"),
        ("nus_wide", "nus_wide-10k_deep_doc2vec-corr-ae.h5py"),
    ],
)
def test_a_benchmarks_file_is_found_where_releases_keep_it(tmp_path: Path, dataset: str, place: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not read here")
    card = registry.dataset(dataset).card
    assert find_file(card, card.files[0], tmp_path) == path


def test_another_release_of_a_benchmark_is_offered_and_is_a_dataset_in_place(tmp_path: Path) -> None:
    path = tmp_path / "wiki_deep_doc2vec_data_corr_ae.h5py"
    with h5py.File(path, "w") as file:
        for part in ("train", "test"):
            y = arrays()[f"{part}_image_labels"] + 1
            file[f"{part}_imgs_deep"], file[f"{part}_imgs_labels"] = arrays()[f"{part}_image"], y
            file[f"{part}_text"], file[f"{part}_texts_labels"] = arrays()[f"{part}_text"], y
    (sentence,) = open_and_check("wikipedia", tmp_path).findings
    assert f"--datasets {path}" in sentence
    assert sentence in diagnose("wikipedia", tmp_path).notes
    data = bench.load_dataset(path)
    assert (data.modalities, data.n_classes, rows(data), pairs(data)) == (("image", "text"), 3, 24, 24)
