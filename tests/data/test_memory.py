"""Memory: reading takes little more than the arrays that are used, whatever else is in a file."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from scipy.io import savemat

from bench.contract import Array
from bench.data import load_dataset

WIDTHS = {"image": 448, "text": 64}
Values = Mapping[str, Any]


def of_all_rows(count: int, widths: Mapping[str, int] = WIDTHS) -> dict[str, Array]:
    """Return arrays of which a quarter is trained on and as much tested; their first column is numbered."""
    rng = np.random.default_rng(0)
    found: dict[str, Array] = {}
    for name, width in widths.items():
        found[name] = rng.choice(np.array([0.25, 0.5, 0.75], "f4"), (count, width))
        found[name][:, 0] = np.arange(count)
    rows = {"train_idx": np.arange(1, count // 2, 2), "test_idx": np.arange(count // 2, 0, -2)}
    return {**found, "labels": rng.integers(0, 4, count), **rows}


def tensors(values: Values) -> dict[str, Any]:
    return {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in values.items()}


def turned(values: Values) -> dict[str, Any]:
    return {key: np.asfortranarray(value, dtype="f8") for key, value in values.items()}


def samples(values: Values) -> Iterator[dict[str, Any]]:
    """Yield a dict for each row, with its part: rows that are of none are for validation."""
    split = np.full(len(values["labels"]), "validation", dtype=object)
    split[values["train_idx"]], split[values["test_idx"]] = "train", "test"
    for i, part in enumerate(split):
        yield {**{name: values[name][i].tolist() for name in ("image", "text", "labels")}, "split": part}


def json_file(path: Path, values: Values) -> None:
    path.write_text(json.dumps({key: value.tolist() for key, value in values.items()}))


def json_lines(path: Path, values: Values) -> None:
    with path.open("w") as stream:
        stream.writelines(f"{json.dumps(row)}\n" for row in samples(values))


def table(path: Path, values: Values) -> None:
    heads = [f"{name}_{i}" for name in ("image", "text") for i in range(values[name].shape[1])]
    with path.open("w") as stream:
        print(*heads, "labels", "split", sep=",", file=stream)
        for row in samples(values):
            print(*row["image"], *row["text"], row["labels"], row["split"], sep=",", file=stream)


def parquet(path: Path, values: Values) -> None:
    frame = pd.DataFrame(np.hstack([values["image"], values["text"]]))
    frame.columns = [f"{name}_{i}" for name in ("image", "text") for i in range(values[name].shape[1])]
    frame["labels"], frame["split"] = values["labels"], [row["split"] for row in samples(values)]
    try:
        frame.to_parquet(path)
    except ImportError:
        pytest.skip("no package for parquet")


WRITERS: dict[str, Callable[[Path, Values], Any]] = {
    "x.npz": lambda path, values: np.savez(path, **values),
    "x.mat": lambda path, values: savemat(path, dict(values)),
    "x.safetensors": lambda path, values: save_file(tensors(values), path),
    "x.pkl": lambda path, values: path.write_bytes(pickle.dumps(dict(values))),
    "turned.pkl": lambda path, values: path.write_bytes(pickle.dumps(turned(values), 5)),
    "tensors.pkl": lambda path, values: path.write_bytes(pickle.dumps(tensors(values))),
    "x.pt": lambda path, values: torch.save(tensors(values), path),
    "arrays.pt": lambda path, values: torch.save(dict(values), path),
    "older.pt": lambda path, values: torch.save(tensors(values), path, _use_new_zipfile_serialization=False),
    "x.json": json_file,
    "x.jsonl": json_lines,
    "x.csv": table,
    "x.parquet": parquet,
}
TABLES = ("x.jsonl", "x.csv", "x.parquet")
"""Files of samples, of which all are of some part."""
SIZES: dict[str, tuple[int, Mapping[str, int], float]] = {
    "x.json": (700, WIDTHS, 2e5),
    "x.jsonl": (400, {"image": 896, "text": 128}, 2e5),
    "x.csv": (2_000, {"image": 88, "text": 40}, 2e6),
    "x.parquet": (2_000, {"image": 88, "text": 40}, 2e6),
}
"""Rows and widths of files that take long, and memory of the library (float64 would take 2 MB more)."""


QUICK = ("x.npz", "x.mat", "turned.pkl", "arrays.pt")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in WRITERS],
)
def test_arrays_of_all_rows_are_cut_while_they_are_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("stored", "file_arrays", "nested", "json_files"):
        monkeypatch.setattr(f"bench.data.formats.{module}.BLOCK", 1 << 16)
    monkeypatch.setattr("bench.data.bundle.BLOCK", 1 << 16)
    monkeypatch.setattr("bench.data.formats.tables.BLOCK", 1 << 17)
    monkeypatch.setattr("bench.data.formats.tables._LARGE", 0)
    count, widths, more = SIZES.get(name, (2_000, WIDTHS, 0.0))
    values = of_all_rows(count, widths)
    WRITERS[name](tmp_path / name, values)
    load_dataset(tmp_path / name, profile="paper")  # imports libraries
    tracemalloc.start()
    data = load_dataset(tmp_path / name, profile="paper")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    splits = (data.train, data.validation, data.test)
    used = sum(one.features.nbytes for split in splits for one in split.values())
    assert peak <= 1.3 * used + more
    first = 1 if name.endswith(".mat") else 0
    tested = data.test["image"].features
    order = np.argsort(tested[:, 0]) if name in TABLES else np.arange(len(tested))
    rows = values["test_idx"] - first
    wanted = values["image"][np.sort(rows) if name in TABLES else rows]
    np.testing.assert_array_equal(tested[order], wanted)
    parts = [data.train] if name in TABLES else [data.train, data.validation]
    kept = np.concatenate([part["text"].features for part in parts])
    np.testing.assert_array_equal(kept[np.argsort(kept[:, 0])], values["text"][values["train_idx"] - first])
