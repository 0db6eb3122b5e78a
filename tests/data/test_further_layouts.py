"""What people bring and no other test names: a case for each, through loading, doctor or commands."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

import bench
from bench.contract import Array
from bench.data import diagnose
from bench.data.loading import open_and_check
from bench.records import Store
from tests.data.layouts import NAMES, Arrays, arrays, cells, labels, require, saved
from tests.grid import run_command
from tests.wording import mentions


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda y: cells([str(name) for name in NAMES[y]]).T, ("art", "music", "war")),
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
    run_command("run", "--methods", "gmlda", *words).check(0, "1 cell: 1 done")
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
    ("values", "output"),
    [
        (leaking(), "12 test rows ... train"),
        (labels_in_the_features(), "labels ... features of text"),
        (one_modality_twice(), "image ... text ... same features"),
        (labels(lambda y: y if len(y) == 12 else y % 2), "class 2 ... test rows ... training"),
    ],
    ids=["test rows in train", "labels as features", "identical modalities", "unseen class"],
)
def test_run_prints_a_line_for_what_makes_its_numbers_mean_something_else(
    tmp_path: Path, values: Arrays, output: str
) -> None:
    path = saved(tmp_path / "mine.npz", values)
    assert any(mentions(note, output) for note in diagnose(path).notes)
    run = run_command(
        "run", "--methods", "chance", "--datasets", path, "--results", tmp_path / "r", "--dry-run"
    )
    (line,) = (line for line in (run.out + run.err).splitlines() if mentions(line, output))
    assert line.startswith("note: mine: ")


def test_the_command_that_the_doctor_names_mends_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, mended = saved(tmp_path / "my set.npz", leaking()), tmp_path / "my set_without_overlap.npz"
    output = run_command("data", "doctor", path)
    output.check(0, "--without overlap")
    command = " ".join(output.out.split()).partition("python -m bench ")[2].partition(" leaves")[0]
    monkeypatch.chdir(tmp_path)
    run_command(*shlex.split(command)).check(0)
    assert "stand in train" not in " ".join(diagnose(mended).notes)
    data = bench.load_dataset(mended)
    assert len(data.train["image"]) + len(data.validation["image"]) == 12


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
    require(bench.load_dataset(path))
