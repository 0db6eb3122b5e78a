"""Memory: reading takes little more than the arrays that are used, whatever stands beside them in a file."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from scipy.io import savemat

from bench.contract import Array
from bench.data import load_dataset

N, TRAIN = 16_000, 4_000


def of_all_rows() -> dict[str, Array]:
    """32 MB of which a quarter is trained on and as much tested."""
    rng = np.random.default_rng(0)
    values = {"image": rng.random((N, 448), np.float32), "text": rng.random((N, 64), np.float32)}
    rows = {"train_idx": np.arange(1, 2 * TRAIN, 2), "test_idx": np.arange(2 * TRAIN, 0, -2)}
    return {**values, "labels": rng.integers(0, 4, N), **rows}


WRITERS: dict[str, Callable[[Path, Mapping[str, Any]], Any]] = {
    "x.npz": lambda path, values: np.savez(path, **values),
    "x.mat": lambda path, values: savemat(path, dict(values)),
    "x.safetensors": lambda path, values: save_file(dict(values), path),
    "x.pt": lambda path, values: torch.save({k: torch.from_numpy(v) for k, v in values.items()}, path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_arrays_of_all_rows_are_cut_while_they_are_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("formats.stored", "bundle"):
        monkeypatch.setattr(f"bench.data.{module}.BLOCK", 1 << 19)
    values = {key: np.ascontiguousarray(value) for key, value in of_all_rows().items()}
    WRITERS[name](tmp_path / name, values)
    tracemalloc.start()
    data = load_dataset(tmp_path / name, profile="paper")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    splits = (data.train, data.validation, data.test)
    used = sum(one.features.nbytes for split in splits for one in split.values())
    assert peak <= 1.3 * used
    first = 1 if name.endswith(".mat") else 0
    np.testing.assert_array_equal(data.test["image"].features, values["image"][values["test_idx"] - first])
    kept = np.concatenate([data.train["text"].features, data.validation["text"].features])
    wanted = values["text"][values["train_idx"] - first]
    np.testing.assert_array_equal(kept[np.lexsort(kept.T)], wanted[np.lexsort(wanted.T)])
