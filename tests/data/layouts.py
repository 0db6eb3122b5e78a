"""A small dataset, and what writes it in the layouts and containers that people have."""

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
from scipy.sparse import csc_matrix, csr_matrix, save_npz

from bench.contract import Array, Dataset
from bench.data import load_dataset
from tests.data.released import write_mat73

Arrays = dict[str, Any]
PARTS = {"train": 24, "test": 12}
NAMES = np.array(["art", "music", "war"])
TRAIN, TEST = np.arange(24), np.arange(24, 36)
HALF = np.array([*["train"] * 24, *["test"] * 12])


def arrays(rows: int = 24, tests: int = 12, classes: int = 3) -> Arrays:
    """Return a good bundle with classes in turn."""
    draws, found = np.random.default_rng(0), dict[str, Any]()
    for part, count in (("train", rows), ("test", tests)):
        for name, width in (("image", 6), ("text", 4)):
            found[f"{part}_{name}"] = draws.normal(size=(count, width)).astype("f4")
            found[f"{part}_{name}_labels"] = np.arange(count) % classes
    return found


def labels(change: Callable[[Array], Any], keep: str = "") -> Arrays:
    """Return the bundle with other labels (of one array)."""
    return {k: change(v) if k.endswith("_labels") and keep in k else v for k, v in arrays().items()}


def shared(form: str = "{part}_{name}") -> Arrays:
    """Return image, text and labels of each part."""
    keys = {"image": "image", "text": "text", "labels": "image_labels"}
    values = arrays()
    return {form.format(part=p, name=name): values[f"{p}_{key}"] for p in PARTS for name, key in keys.items()}


def of_all_rows() -> Arrays:
    """Return image, text and labels of all 36 rows, of which the last 12 are of test."""
    values, names = shared(), ("image", "text", "labels")
    return {name: np.concatenate([values[f"{part}_{name}"] for part in PARTS]) for name in names}


def without(word: str, values: Arrays | None = None) -> Arrays:
    """Return arrays (those of the bundle) but for keys with a word."""
    return {key: value for key, value in (values or arrays()).items() if word not in key}


def renamed(word: str, other: str, values: Arrays | None = None) -> Arrays:
    """Return arrays (those of the bundle) under keys with another word."""
    return {key.replace(word, other): value for key, value in (values or arrays()).items()}


def one_hot(y: Array) -> Array:
    return np.eye(3)[y]


def saved(path: Path, values: Arrays) -> Path:
    """Write a bundle of these arrays."""
    np.savez(path, **values)
    return path


def loaded(path: Path, values: Arrays) -> Dataset:
    """Return the dataset that a bundle of these arrays is."""
    return load_dataset(saved(path / "mine.npz", values), profile="paper")


def notes(data: Dataset) -> str:
    """Return what was said of a dataset."""
    return " ".join(data.card.notes)


def require(data: Dataset, same: bool = True, partners: bool = True, **others: Any) -> None:
    """Check counts (those of training before validation was cut off), and that every row is what it was.

    Rows are identified by their features: each must have its class by any number (if ``same``), and its
    partner (if ``partners``).
    """
    first, second = data.modalities[:2]
    both = (data.train, data.validation)
    found = {
        "rows": sum(len(part[first]) for part in both),
        "second": sum(len(part[second]) for part in both),
        "test": len(data.test[first]),
        "pairs": sum(len(part.pairs(first, second)[0]) for part in both),
        "labelled": sum(int(part[first].labelled.sum()) for part in both),
        "classes": data.n_classes,
        "multi": data.train.multi_label,
        "gallery": None if data.gallery is None else len(data.gallery[first]),
    }
    usual = {"rows": 24, "second": 24, "test": 12, "pairs": 24, "classes": 3, "multi": False}
    wanted = usual | {"labelled": others.get("rows", 24)} | others
    assert {key: found[key] for key in wanted} == wanted
    whole = of_all_rows()
    number = {
        bytes(row.round(4)): index for name in ("image", "text") for index, row in enumerate(whole[name] + 0)
    }
    classes = set()
    for split in (*both, data.test):
        rows = {
            name: [number.get(bytes(row.round(4)), -1) for row in split[name].features]
            for name in (first, second)
        }
        for name, numbers in rows.items():
            known = [
                (row, label)
                for row, label in zip(numbers, split[name].labels.tolist(), strict=True)
                if row >= 0
            ]
            classes |= {(row % 3, str(label)) for row, label in known if label != -1}
        for a, b in zip(*split.pairs(first, second), strict=True):
            unknown = -1 in (rows[first][a], rows[second][b])
            assert not partners or unknown or rows[first][a] == rows[second][b]
    assert not same or found["multi"] or len(classes) == 3


def named() -> Arrays:
    """Return image, text and names of the classes of each part."""
    return {key: NAMES[value] if value.ndim == 1 else value for key, value in shared().items()}


def nested() -> dict[str, Any]:
    """Return the arrays of each part in a dict."""
    values = shared()
    return {p: {name: values[f"{p}_{name}"] for name in ("image", "text", "labels")} for p in PARTS}


def samples(listed: bool = False) -> list[dict[str, Any]]:
    """Return a dict for each row."""
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


def by_id(order: Any = None) -> dict[str, dict[str, Any]]:
    """Return image, text, label and split of all rows by ids, those of the text in another order."""
    values = of_all_rows() | {"split": np.where(np.arange(36) < 24, "train", "test").astype(object)}
    return {
        name: {f"img_{i}": one[i] for i in (order if name == "text" and order is not None else range(36))}
        for name, one in values.items()
    }


def of_samples(rows: Any) -> dict[str, dict[str, Any]]:
    """Return a dict for each row, by ids."""
    names, values = {"image": "image", "text": "text", "labels": "label"}, by_id()
    return {f"img_{i}": {new: values[name][f"img_{i}"] for name, new in names.items()} for i in rows}


def dump(path: Path, value: Any, protocol: int = 4) -> None:
    """Write a pickle."""
    path.write_bytes(pickle.dumps(value, protocol))


def table_of(values: Arrays) -> pd.DataFrame:
    """Return a table with a column for each feature, a name of a class and a part."""
    parts = []
    for part in PARTS:
        columns = {
            f"{name}_{i}": column
            for name in ("image", "text")
            for i, column in enumerate(values[f"{part}_{name}"].T)
        }
        parts.append(pd.DataFrame(columns | {"label": NAMES[values[f"{part}_image_labels"]], "split": part}))
    return pd.concat(parts)


def cells_of_table(joined: Callable[[Any], str]) -> pd.DataFrame:
    """Return a table with one cell for all features of a row."""
    rows = samples(listed=True)
    return pd.DataFrame([{**one, "image": joined(one["image"]), "text": joined(one["text"])} for one in rows])


def columns(values: Arrays) -> Arrays:
    """Return the arrays as MATLAB has them: with two dimensions."""
    return {key: value[:, None] if value.ndim == 1 else value for key, value in values.items()}


def cells(values: list[Any]) -> Array:
    """Return a cell array."""
    found = np.empty((1, len(values)), dtype=object)
    for index, value in enumerate(values):
        found[0, index] = value
    return found


def views(turned: bool = False) -> Array:
    """Return a cell array of the image and the text features of all rows."""
    values = of_all_rows()
    return cells([values[name].T if turned else values[name] for name in ("image", "text")])


def structures() -> dict[str, Any]:
    """Return cell arrays of a structure for each row."""
    rows: list[dict[str, Any]] = [{**one, "label": str(one["label"])} for one in samples()]
    return {
        part: cells([{k: v for k, v in row.items() if k != "split"} for row in rows if row["split"] == part])
        for part in PARTS
    }


def _h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for key, value in named().items():
            kind = h5py.string_dtype() if value.ndim == 1 else value.dtype
            file.create_dataset(key.replace("_", "/", 1), data=value.astype(kind), dtype=kind)


def arrays_of_structures() -> Arrays:
    """Return a record of objects for each row, which SciPy writes as an array of structures."""
    kind = [("image", object), ("text", object), ("label", object)]
    return {
        part: np.array([tuple(row[name] for name, _ in kind) for row in listed[0]], dtype=kind)
        for part, listed in structures().items()
    }


def records() -> Arrays:
    """Return a record of vectors and a name for each row."""
    found: Arrays = {}
    for part in PARTS:
        values = {name: named()[f"{part}_{name}"] for name in ("image", "text", "labels")}
        kind = [(name, one.dtype, one.shape[1:]) for name, one in values.items()]
        found[part] = np.empty(PARTS[part], dtype=kind)
        for name, one in values.items():
            found[part][name] = one
    return found


def _records_of_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for part, values in records().items():
            kind = [(name, values.dtype[name]) for name in ("image", "text")]
            file[part] = values.astype([*kind, ("labels", "S8")])


def _folder(path: Path, write: Callable[[Path, Any], Any], values: Arrays) -> None:
    path.mkdir()
    for key, value in values.items():
        write(path / key, value)


def _parquet(path: Path) -> None:
    try:
        table_of(arrays()).to_parquet(path)
    except ImportError:
        pytest.skip("no package for parquet")


def _sparse(path: Path, value: Array) -> None:
    if value.ndim == 2:
        save_npz(path.with_suffix(".npz"), csr_matrix(value))
    else:
        np.savetxt(path.with_suffix(".csv"), value, fmt="%d")


def _texts(path: Path) -> None:
    _folder(
        path,
        lambda file, value: np.savetxt(f"{file}.txt", value, fmt="%d" if value.ndim == 1 else "%.9g"),
        shared(),
    )
    (path / "readme.txt").write_text("Made by hand, in two parts.\nNo more is known, sorry")


def _zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in shared().items():
            np.save(path.parent / "x.npy", value)
            archive.write(path.parent / "x.npy", f"folder/{key}.npy")


def _recipe(path: Path) -> None:
    values = shared()
    np.save(path.parent / "y.npy", values["train_labels"])
    keys = ("train_image", "train_text", "test_image", "test_text", "test_labels")
    savemat(path.parent / "x.mat", {f"m{i}": values[key] for i, key in enumerate(keys)})
    path.write_text(
        "files: {x: x.mat, y: y.npy}\n"
        "train: {image: 'x:m0', text: 'x:m1', labels: 'y:y'}\n"
        "test: {image: 'x:m2', text: 'x:m3', labels: 'x:m4'}\n"
    )


def _files_by_id(path: Path) -> None:
    for part, of_part in (("train", TRAIN), ("test", TEST)):
        (path / part).mkdir(parents=True)
        for name, values in by_id().items():
            order = of_part[::-1] if name == "labels" else of_part
            if name != "split":
                dump(path / part / f"{name}.pkl", {f"img_{i}": values[f"img_{i}"] for i in order})


def _tensors(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _tensors(value) for key, value in values.items()}
    numbers = isinstance(values, np.ndarray | np.generic) and values.dtype != object
    return torch.as_tensor(values) if numbers else values


def _rows_of_tensors() -> Arrays:
    return {p: [_tensors(one) for one in samples() if one["split"] == p] for p in PARTS}


def _long_rows(path: Path) -> None:
    """Write numbers in many letters, as of which the reader of JSON leaves lists in the file."""
    path.write_text(json.dumps(samples(listed=True)).replace(", ", "," + 70 * " "))


OLDER = {"_use_new_zipfile_serialization": False}
FILES: dict[str, Callable[[Path], Any]] = {
    "mine.npz": lambda path: np.savez(path, **named()),
    "dicts.npz": lambda path: np.savez(path, **nested()),
    "zipped.npz": _zipped,
    "dict.npy": lambda path: np.save(path, np.array(nested(), dtype=object)),
    "mine.mat": lambda path: savemat(
        path, {k.replace("train_", "tr_"): v if v.ndim == 2 else v.astype(object) for k, v in named().items()}
    ),
    "packed.mat": lambda path: savemat(
        path, {k: csc_matrix(v) if v.ndim == 2 else v for k, v in shared().items()}, do_compression=True
    ),
    "seven.mat": lambda path: write_mat73(path, columns(shared())),
    "names73.mat": lambda path: write_mat73(
        path, {k: v.tolist() if v.ndim == 1 else v for k, v in named().items()}
    ),
    "structures.mat": lambda path: savemat(path, structures()),
    "array.mat": lambda path: savemat(path, arrays_of_structures()),
    "nested_array.mat": lambda path: savemat(path, {"data": arrays_of_structures()}),
    "array73.mat": lambda path: write_mat73(path, {"data": arrays_of_structures()}),
    "records.npz": lambda path: np.savez(path, **records()),
    "records.npy": lambda path: np.save(path, table_of(arrays()).to_records(index=False)),
    "records.pkl": lambda path: dump(path, records()),
    "table.pkl": lambda path: dump(path, table_of(arrays()).to_records()),
    "records.h5": _records_of_hdf5,
    "structures73.mat": lambda path: write_mat73(
        path, {p: [*listed[0]] for p, listed in structures().items()}
    ),
    "mine.hdf5": _h5,
    "mine.pkl": lambda path: dump(path, {k: v if v.ndim == 2 else v.tolist() for k, v in named().items()}),
    "dicts.pkl": lambda path: dump(path, nested()),
    "default.pkl": lambda path: dump(path, defaultdict(dict, nested())),
    "rows.pkl": lambda path: dump(path, samples()),
    "tensors.pkl": lambda path: dump(path, _tensors(nested())),
    "tensors2.pkl": lambda path: dump(path, _tensors(nested()), 2),
    "mine.pt": lambda path: torch.save(_tensors(shared()), path),
    "arrays.pt": lambda path: torch.save(shared(), path),
    "older.pt": lambda path: torch.save(_tensors(shared()), path, **OLDER),
    "rows.pt": lambda path: torch.save(_rows_of_tensors(), path),
    "tensors.safetensors": lambda path: save_file(shared("{part}.{name}"), path),
    "rows.json": lambda path: path.write_text(json.dumps(samples(listed=True))),
    "rows.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, samples(listed=True)))),
    "long.json": _long_rows,
    "mine.csv": lambda path: table_of(arrays()).to_csv(path, index=False),
    "mine.tsv": lambda path: table_of(arrays()).to_csv(path, index=False, sep="\t"),
    "semicolons.csv": lambda path: table_of(arrays()).to_csv(path, index=False, sep=";", decimal=","),
    "tabs.csv": lambda path: table_of(arrays()).to_csv(path, sep="\t", encoding="utf-16"),
    "lists.csv": lambda path: cells_of_table(json.dumps).to_csv(path, index=False),
    "blanks.csv": lambda path: cells_of_table(lambda row: " ".join(map(str, row))).to_csv(path, index=False),
    "mine.parquet": _parquet,
    "folder": lambda path: _folder(path, np.save, shared()),
    "sparse": lambda path: _folder(path, _sparse, shared()),
    "texts": _texts,
    "mine.yaml": _recipe,
    "modalities_by_id.pkl": lambda path: dump(path, by_id(np.arange(36)[::-1])),
    "tensors_by_id.pt": lambda path: torch.save(_tensors(by_id()), path),
    "samples_by_id.pkl": lambda path: dump(path, {"train": of_samples(TRAIN), "test": of_samples(TEST)}),
    "samples_by_id.npy": lambda path: np.save(
        path, np.array({"train": of_samples(TRAIN), "test": of_samples(TEST)}, dtype=object)
    ),
    "files_by_id": _files_by_id,
}
"""What writes the dataset, by the name of the file or folder."""
