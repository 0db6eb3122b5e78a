"""Reads mutated files of one format one after another: ``python -m tests.data.fuzzing FORMAT COUNT FOLDER``.

Writes ``found.json``: how many were read, how many refused, the peak memory in MB, and every exception that
is no sentence. A file that is being read is named in ``current``, so that a crash or hang can be laid to it.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import resource
import signal
import sys
import traceback
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from safetensors.numpy import save_file
from scipy.io import savemat
from scipy.sparse import csr_matrix, save_npz

from bench.contract import DataError, UsageError
from bench.data import open_arrays
from bench.data.bundle import read_bundle
from tests.data.released import write_mat73

Arrays = dict[str, Any]
SECONDS = 60


def arrays() -> Arrays:
    """Return a small dataset with labels, ids, names and a flag."""
    draws = np.random.default_rng(0)
    found: Arrays = {"paired": np.array(True)}
    for part, rows in (("train", 24), ("test", 12)):
        for name, width in (("image", 5), ("text", 3)):
            found[f"{part}_{name}"] = draws.normal(size=(rows, width)).astype("f4")
            found[f"{part}_{name}_labels"] = np.array(["art", "war", "music"])[np.arange(rows) % 3]
    return found


def numbered() -> Arrays:
    """Return the same with numbers for labels."""
    return {key: (np.arange(len(v)) % 3 if key.endswith("labels") else v) for key, v in arrays().items()}


def _cells(values: Arrays) -> Arrays:
    return {key: v.astype(object) if v.dtype.kind == "U" else v for key, v in values.items()}


def _hdf5(path: Path, packed: bool) -> None:
    with h5py.File(path, "w") as file:
        for key, value in arrays().items():
            data = value.astype("S") if value.dtype.kind == "U" else value
            options = {"compression": "gzip", "chunks": (4, *data.shape[1:])} if packed and data.ndim else {}
            file.create_dataset(key, data=data, **options)
        file.create_dataset("words", data=["a", "bc"], dtype=h5py.string_dtype())


def _torch(path: Path) -> None:
    import torch

    values = {key: np.atleast_1d(value) for key, value in numbered().items()}
    torch.save({key: torch.from_numpy(v) if "text" in key else v for key, v in values.items()}, path)


def _views() -> Arrays:
    cells = {part: np.empty(2, dtype=object) for part in ("train", "test")}
    for part, views in cells.items():
        views[:] = [numbered()[f"{part}_{name}"] for name in ("image", "text")]
    labels = {f"Y_{part}": numbered()[f"{part}_image_labels"] for part in cells}
    return {f"X_{part}": views for part, views in cells.items()} | labels


def _nested(path: Path) -> None:
    values = arrays()
    lists = {key: v.tolist() if key.endswith("labels") else v for key, v in values.items()}
    path.write_bytes(pickle.dumps({**lists, "sparse": csr_matrix(np.eye(3))}, protocol=2))


def _lists(path: Path) -> None:
    path.write_text(json.dumps({key: value.tolist() for key, value in numbered().items()}))


def _lines(path: Path) -> None:
    rows = [{"split": ("train", "test")[i % 3 == 0], "label": i % 2, "image": [0.5, i]} for i in range(30)]
    path.write_text("\n".join(json.dumps({**row, "text": [1.5, 2]}) for row in rows))


def _samples(path: Path) -> None:
    values = {f"row{i}": {"image": [0.5, i], "text": [i, 1], "label": i % 2} for i in range(12)}
    path.write_text(json.dumps({"train": values, "test": values}))


def _csv(path: Path) -> None:
    head = "split,label,id," + ",".join(f"image_{i}" for i in range(4)) + ",text_0,text_1"
    rows = [f"{'train' if i % 3 else 'test'},{'ab'[i % 2]},{i}" + ",0.5" * (4 + 2) for i in range(30)]
    path.write_text("\n".join([head, *rows]) + "\n")


def _parquet(path: Path) -> None:
    import pandas

    _csv(path)
    table = pandas.read_csv(path)
    table.to_parquet(path)


def _saved(path: Path) -> None:
    np.savez(path, **arrays())


SEEDS: dict[str, list[tuple[str, Callable[[Path], object]]]] = {
    "npz": [
        ("a.npz", _saved),
        ("b.npz", lambda path: np.savez_compressed(path, **numbered())),
        ("c.npz", lambda path: save_npz(path, csr_matrix(np.eye(5)))),
    ],
    "npy": [
        ("a.npy", lambda path: np.save(path, np.ones((6, 4)))),
        ("b.npy", lambda path: np.save(path, "ab")),
    ],
    "mat5": [
        ("a.mat", lambda path: savemat(path, _cells(arrays()))),
        (
            "b.mat",
            lambda path: savemat(path, {**numbered(), "s": csr_matrix(np.eye(4))}, do_compression=True),
        ),
        ("c.mat", lambda path: savemat(path, {"train": numbered(), "x": {"a": np.ones(3), "b": "text"}})),
        ("d.mat", lambda path: savemat(path, _views())),
    ],
    "mat4": [
        (
            "a.mat",
            lambda path: savemat(path, {**numbered(), "s": csr_matrix(np.eye(4)), "t": "ab"}, format="4"),
        )
    ],
    "safetensors": [
        (
            "a.safetensors",
            lambda path: save_file({key: np.atleast_1d(value) for key, value in numbered().items()}, path),
        )
    ],
    "mat73": [
        ("a.mat", lambda path: write_mat73(path, {**numbered(), "c": [np.ones((2, 3)), np.ones((4, 1))]}))
    ],
    "hdf5": [("a.h5", lambda path: _hdf5(path, False)), ("b.h5", lambda path: _hdf5(path, True))],
    "pickle": [("a.pkl", lambda path: path.write_bytes(pickle.dumps(arrays()))), ("b.pkl", _nested)],
    "torch": [("a.pt", _torch)],
    "csv": [("a.csv", _csv)],
    "json": [("a.json", _lists), ("b.jsonl", _lines), ("c.json", _samples)],
    "parquet": [("a.parquet", _parquet)],
    "recipe": [
        (
            "a.yaml",
            lambda path: path.write_text(
                "files: a.npz\npaired: true\n"
                "train: {image: train_image, text: train_text, labels: train_image_labels}\n"
                "test: {image: test_image, text: test_text, labels: test_image_labels}\n"
            ),
        )
    ],
}


def mutated(content: bytes, draws: np.random.Generator) -> bytes:
    """Return a file's bytes with one to four changes; of an archive, half of the times those of a member."""
    if content.startswith(b"PK") and draws.integers(2):
        return _with_a_mutated_member(content, draws)
    low, high = (32, 127) if content.isascii() else (0, 256)
    changed = bytearray(content)
    for _ in range(int(draws.integers(1, 5))):
        at, length = int(draws.integers(len(changed))), int(draws.integers(1, 9))
        kind = draws.integers(6)
        if kind <= 1:
            changed[at] = int(draws.integers(low, high))
        elif kind == 2:
            changed[at : at + length] = bytes(draws.integers(low, high, length, dtype=np.uint8))
        elif kind == 3:
            changed[at : at + length] = bytes([draws.choice([high - 1, low, 57])]) * length
        elif kind == 4:
            start = int(draws.integers(len(changed)))
            changed[at:at] = changed[start : start + 8 * length]
        else:
            del changed[at : at + length if draws.integers(4) else len(changed)]
        changed = changed or bytearray(b"\0")
    return bytes(changed)


def _with_a_mutated_member(content: bytes, draws: np.random.Generator) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(target, "w") as copy:
        names = archive.namelist()
        chosen = names[int(draws.integers(len(names)))]
        for info in archive.infolist():
            member = archive.read(info)
            copy.writestr(info, mutated(member, draws) if info.filename == chosen else member)
    return target.getvalue()


def read_all(path: Path) -> None:
    """Read a file as a dataset, and each of its arrays.

    Raises:
        DataError: if it is none.
    """
    try:
        if path.suffix != ".yaml":
            with open_arrays(path) as source:
                for key in source.keys():  # noqa: SIM118 - a file of arrays is no dictionary
                    for read in (source.array, source.matrix, source.cells, source.shape):
                        with suppress(DataError):
                            read(key)
    finally:
        read_bundle(path)


def main(kind: str, count: int, folder: Path) -> None:
    """Read ``count`` mutated files."""
    np.savez(folder / "a.npz", **arrays())
    seeds = []
    for name, write in SEEDS[kind]:
        write(folder / name)
        seeds.append((folder / name, (folder / name).read_bytes()))
    for path, _ in seeds:  # as they are
        try:
            read_all(path)
        except DataError as error:
            print(path.name, error, file=sys.stderr)
    found: dict[str, Any] = {"read": 0, "refused": 0, "wrong": []}
    draws = np.random.default_rng(len(kind))
    for number in range(count):
        path, content = seeds[number % len(seeds)]
        damaged = mutated(content, draws)
        path.write_bytes(damaged)
        (folder / "current").write_bytes(damaged)
        signal.alarm(SECONDS)
        try:
            read_all(path)
            found["read"] += 1
        except (DataError, UsageError):
            found["refused"] += 1
        except Exception:
            (folder / f"wrong{number}{path.suffix}").write_bytes(damaged)
            found["wrong"].append(traceback.format_exc()[-1500:])
        signal.alarm(0)
    # of this program: what `getrusage` gives begins with the peak of the process that started it
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    found["peak"] = int(peak) // 1024
    found["peak_of_children"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    # Libraries print about damaged files, so that standard output holds more than this.
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
