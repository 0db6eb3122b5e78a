"""Reads mutated files: ``python -m tests.data.fuzzing FORMATS COUNT FOLDER``, FORMATS being ``npz,mat5``.

Writes ``FORMAT.json``: how many were read, how many refused, the peak memory in MB, and every exception that
is no sentence. A file that is being read is named in ``current``, so that a crash or hang can be laid to it.
"""

from __future__ import annotations

import io
import json
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
from scipy.io import savemat
from scipy.sparse import csr_matrix, save_npz

from bench.contract import DataError, UsageError
from bench.data import open_arrays
from bench.data.bundle import read_bundle
from tests.data.layouts import FILES, NAMES, arrays, dump, of_all_rows, shared, views
from tests.data.released import add_strings, write_mat73

SECONDS = 60


def _hdf5(path: Path, packed: bool) -> None:
    with h5py.File(path, "w") as file:
        for key, value in arrays().items():
            options = {"compression": "gzip", "chunks": (4, *value.shape[1:])} if packed else {}
            file.create_dataset(key, data=value, **options)
        file.create_dataset("words", data=["a", "bc"], dtype=h5py.string_dtype())


def _names() -> dict[str, Any]:
    return {k: NAMES[v].astype(object) if "labels" in k else v for k, v in arrays().items()}


def _packed(path: Path) -> None:
    savemat(path, {**arrays(), "s": csr_matrix(np.eye(4))}, do_compression=True)


def _oldest(path: Path) -> None:
    savemat(path, {**arrays(), "s": csr_matrix(np.eye(4)), "t": "ab"}, format="4")


def _cells(path: Path) -> None:
    write_mat73(path, {**arrays(), "c": [np.ones((2, 3)), np.ones((4, 1))]})


def _nested(path: Path) -> None:
    values = {key: v.tolist() if "labels" in key else v for key, v in arrays().items()}
    dump(path, {**values, "sparse": csr_matrix(np.eye(3))}, 2)


def _large(path: Path, protocol: int) -> None:
    """Write arrays of so many bytes that they stay in the file."""
    dump(path, {key: np.repeat(v, 500, axis=0) for key, v in arrays().items()}, protocol)


def _strings(path: Path) -> None:
    savemat(path, arrays())
    add_strings(path, ["notes"])


def _captions(path: Path) -> None:
    values = {key: [[row, row] for row in v] if "text" in key else v for key, v in shared().items()}
    path.write_text(json.dumps(values, default=np.ndarray.tolist))


def _samples(path: Path) -> None:
    values = {f"row{i}": {"image": [0.5, i], "text": [i, 1], "label": i % 2} for i in range(12)}
    path.write_text(json.dumps({"train": values, "test": values}))


SEEDS: dict[str, list[str | tuple[str, Callable[[Path], object]]]] = {
    "npz": [
        "mine.npz",
        "dicts.npz",
        "records.npz",
        ("c.npz", lambda path: save_npz(path, csr_matrix(np.eye(5)))),
    ],
    "npy": ["dict.npy", "records.npy", ("b.npy", lambda path: np.save(path, "ab"))],
    "mat5": [
        "structures.mat",
        "array.mat",
        ("a.mat", lambda path: savemat(path, _names())),
        ("b.mat", _packed),
        ("c.mat", lambda path: savemat(path, {"train": arrays(), "x": {"a": np.ones(3), "b": "text"}})),
        ("d.mat", lambda path: savemat(path, {"X": views(), "Y": of_all_rows()["labels"]})),
        ("e.mat", _strings),
    ],
    "mat4": [("a.mat", _oldest)],
    "safetensors": ["tensors.safetensors"],
    "mat73": ["structures73.mat", "array73.mat", "names73.mat", ("a.mat", _cells)],
    "hdf5": [
        "records.h5",
        ("a.h5", lambda path: _hdf5(path, False)),
        ("b.h5", lambda path: _hdf5(path, True)),
    ],
    "pickle": [
        *("dicts.pkl", "records.pkl", "table.pkl", "tensors.pkl", "tensors2.pkl"),
        ("b.pkl", _nested),
        ("c.pkl", lambda path: _large(path, 2)),
        ("d.pkl", lambda path: _large(path, 5)),
    ],
    "torch": ["mine.pt", "arrays.pt", "older.pt"],
    "csv": ["mine.csv", "lists.csv"],
    "json": ["rows.json", "rows.jsonl", "long.json", ("c.json", _samples), ("d.json", _captions)],
    "parquet": ["mine.parquet"],
    "recipe": ["mine.yaml"],
}
"""Files of each format: names of those in `FILES`, and others with what writes them."""


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
    seeds = []
    for seed in SEEDS[kind]:
        name, write = (seed, FILES[seed]) if isinstance(seed, str) else seed
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
    (folder / f"{kind}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    for one in sys.argv[1].split(","):
        main(one, int(sys.argv[2]), Path(sys.argv[3]))
