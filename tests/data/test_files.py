"""One dataset in every container that people have, read directly and imported."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from bench.contract import DataError
from bench.data import Choices, diagnose, fingerprint_of, load_dataset, open_arrays
from bench.data.bundle import import_files
from bench.data.formats.matlab import Mat5
from tests.data.layouts import (
    FILES,
    TEST,
    TRAIN,
    columns,
    dump,
    of_all_rows,
    require,
    samples,
    shared,
    views,
)
from tests.data.released import add_strings, write_mat73


@pytest.mark.parametrize("name", FILES)
def test_a_container_is_the_same_dataset_and_is_imported_as_the_same_bundle(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    FILES[name](path)
    data = load_dataset(path)
    require(data)
    assert (data.name, {*data.modalities}) == (path.stem, {"image", "text"})
    assert diagnose(path).status == "complete"
    import_files([path], tmp_path / "other.npz", Choices())
    other = load_dataset(tmp_path / "other.npz")
    for part in ("train", "validation", "test"):
        for modality, ours in getattr(data, part).items():
            theirs = getattr(other, part)[modality]
            np.testing.assert_array_equal(ours.features, theirs.features)
            np.testing.assert_array_equal(ours.labels, theirs.labels)


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".yaml")])
def test_every_array_of_a_container_is_had_as_a_matrix_in_both_directions(tmp_path: Path, name: str) -> None:
    FILES[name](tmp_path / name)
    with open_arrays(tmp_path / name) as source:
        found = {key: source.array(key) for key in source.keys()}  # noqa: SIM118
        assert sum(values.ndim == 2 and min(values.shape) > 1 for values in found.values()) in (2, 4)
        for key, values in found.items():
            assert source.shape(key) == values.shape or values.dtype == object
            for turned in (False, True) if values.ndim == 2 else ():
                matrix = source.matrix(key, turned)
                assert matrix.dtype == np.dtype(np.float32)
                assert matrix.flags.c_contiguous
                np.testing.assert_array_equal(matrix, (values.T if turned else values).astype("f4"))


@pytest.mark.parametrize(
    "name", ["mine.csv", "mine.tsv", "semicolons.csv", "tabs.csv", "mine.parquet", "texts"]
)
def test_a_large_table_is_read_in_blocks(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FILES[name](tmp_path / name)
    with open_arrays(tmp_path / name) as source:
        whole = {key: source.array(key) for key in source.keys()}  # noqa: SIM118
    monkeypatch.setattr("bench.data.formats.tables._LARGE", 0)
    monkeypatch.setattr("bench.data.formats.tables.BLOCK", 500)
    with open_arrays(tmp_path / name) as source:
        assert source.keys() == [*whole]
        for key, values in whole.items():
            assert source.shape(key) == values.shape
            np.testing.assert_array_equal(source.array(key), values)
            if values.dtype.kind in "iuf" and values.ndim == 2:
                np.testing.assert_array_equal(source.matrix(key), values.astype("f4"))
    require(load_dataset(tmp_path / name))


def test_a_word_among_the_numbers_of_a_large_table_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FILES["mine.csv"](tmp_path / "mine.csv")
    lines = (tmp_path / "mine.csv").read_text().splitlines()
    lines[-1] = "word," + lines[-1].partition(",")[2]
    (tmp_path / "mine.csv").write_text("\n".join([*lines[:1], *lines[1:] * 9, lines[-1]]))
    monkeypatch.setattr("bench.data.formats.tables._LARGE", 0)
    with pytest.raises(DataError, match=r"columns.*numbers"):
        load_dataset(tmp_path / "mine.csv")


def test_a_changed_part_of_a_recipe_is_another_dataset(tmp_path: Path) -> None:
    FILES["mine.yaml"](tmp_path / "mine.yaml")
    before = fingerprint_of(tmp_path / "mine.yaml")
    np.save(tmp_path / "y.npy", (shared()["train_labels"] + 1) % 3)
    assert fingerprint_of(tmp_path / "mine.yaml") != before


@pytest.mark.parametrize("name", ["x.feather", "x.arrow", "x.parquet"])
def test_lists_of_numbers_in_columns_of_a_stored_table_are_features(tmp_path: Path, name: str) -> None:
    table = pd.DataFrame(
        [{**one, "image": one["image"].tolist(), "text": one["text"].tolist()} for one in samples()]
    )
    try:
        write = table.to_parquet if name == "x.parquet" else table.to_feather
        write(tmp_path / name)
    except ImportError:
        (tmp_path / name).write_bytes(b"ARROW1")
        with pytest.raises(DataError, match="pip install pyarrow"):
            load_dataset(tmp_path / name)
        return
    require(load_dataset(tmp_path / name))


def view_lists() -> dict[str, Any]:
    values = of_all_rows()
    return {
        part: {"X": [values[name][rows] for name in ("image", "text")], "y": values["labels"][rows]}
        for part, rows in (("train", TRAIN), ("test", TEST))
    }


VIEWS: dict[str, Callable[[Path], Any]] = {
    "x.mat": lambda path: savemat(
        path,
        {f"X_{p}": np.array([[None, *one["X"]]], dtype=object)[:, 1:] for p, one in view_lists().items()}
        | {f"Y_{p}": one["y"] for p, one in view_lists().items()},
    ),
    "structures.mat": lambda path: savemat(
        path,
        {
            "X": np.array([{"data": view.T} for view in views()[0]], dtype=object),
            "labels": of_all_rows()["labels"],
            "split": np.array(["train"] * 24 + ["test"] * 12, dtype=object),
        },
    ),
    "y.mat": lambda path: write_mat73(
        path,
        {f"X_{p}": one["X"] for p, one in view_lists().items()}
        | {f"Y_{p}": one["y"][:, None] for p, one in view_lists().items()},
    ),
    "x.pkl": lambda path: dump(path, view_lists()),
}


@pytest.mark.parametrize("name", VIEWS)
def test_lists_of_matrices_are_views_in_every_format(tmp_path: Path, name: str) -> None:
    VIEWS[name](tmp_path / name)
    data = load_dataset(tmp_path / name, profile="paper")
    require(data)
    assert [data.test[modality].dimension for modality in data.modalities] == [6, 4]


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "i2", "u2", "u1"])
def test_mat_files_of_version_4_are_read(tmp_path: Path, dtype: str) -> None:
    values = {k: (v * 10 if v.ndim == 2 else v).astype(dtype) for k, v in columns(shared()).items()}
    savemat(tmp_path / "x.mat", values, format="4")
    data = load_dataset(tmp_path / "x.mat", profile="paper")
    np.testing.assert_array_equal(data.test["image"].features, values["test_image"].astype("f4"))


def test_sizes_of_a_matrix_may_be_unsigned(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"x": np.eye(3)})
    content = (tmp_path / "x.mat").read_bytes()
    (tmp_path / "x.mat").write_bytes(content.replace(struct.pack("<2I", 5, 8), struct.pack("<2I", 6, 8)))
    with open_arrays(tmp_path / "x.mat") as source:
        np.testing.assert_array_equal(source.array("x"), np.eye(3))


def test_a_damaged_variable_of_version_4_costs_no_other(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"complex": np.eye(2) * 1j, "good": np.eye(3)}, format="4")
    with (tmp_path / "x.mat").open("ab") as file:  # a sparse matrix whose shape is no number
        file.write(struct.pack("<5i4s3d", 2, 1, 3, 0, 4, b"bad", *[math.nan] * 3))
    with open_arrays(tmp_path / "x.mat") as source:
        np.testing.assert_array_equal(source.array("good"), np.eye(3))
        for key in ("bad", "complex"):
            with pytest.raises(DataError, match=f"'{key}'"):
                source.array(key)


def test_a_variable_is_not_walked_through_for_each_of_many_cell_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked, walks = Mat5._walked, list[Any]()

    def counted(source: Mat5, part: tuple[int, int, bool]) -> Any:
        walks.append(part)
        return walked(source, part)

    most = 8
    monkeypatch.setattr(Mat5, "_walked", counted)
    monkeypatch.setattr("bench.data.formats.matlab.MOST_VIEWS", most)
    rows = np.array([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}], dtype=object)
    savemat(tmp_path / "x.mat", {"x": {f"f{number}": rows for number in range(2 * most)}})
    with open_arrays(tmp_path / "x.mat") as source:
        assert len(walks) <= most + 1
        assert source.array("x/f0/b").tolist() == [2.0, 4.0]
        assert source.array(f"x/f{most}/2/b").tolist() == [[4.0]]


@pytest.mark.parametrize("write", [savemat, write_mat73])
def test_objects_of_matlab_cost_no_other_variable_and_are_named_where_one_is_needed(
    tmp_path: Path, write: Callable[[Path, dict[str, Any]], Any]
) -> None:
    values = columns(shared())
    write(tmp_path / "x.mat", values)
    add_strings(tmp_path / "x.mat", ["notes"])
    require(load_dataset(tmp_path / "x.mat", profile="paper"))
    write(tmp_path / "y.mat", {key: value for key, value in values.items() if "labels" not in key})
    add_strings(tmp_path / "y.mat", ["train_labels", "test_labels"])
    with pytest.raises(DataError, match=r"'train_labels': an object of MATLAB.*cellstr"):
        load_dataset(tmp_path / "y.mat")


def test_cells_that_are_the_same_matrix_many_times_over_take_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.formats.array_file._ALWAYS_ALLOWED", 1 << 16)
    monkeypatch.setattr("bench.data.formats.array_file._EXPANSION", 2)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["one"] = np.ones((2, 500))
        file.create_dataset("X", (1, 900), dtype=h5py.ref_dtype)
        file["X"][0] = [file["one"].ref] * 900
    with pytest.raises(DataError), open_arrays(tmp_path / "x.h5", probe=False) as source:
        source.array("X")


def test_archives_of_other_files_are_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        archive.writestr("table.csv", "a,b")
    with pytest.raises(DataError, match="unpack"):
        load_dataset(tmp_path / "mine.npz")
