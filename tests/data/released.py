"""Writes small files in the containers that datasets are released in."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

Values = Mapping[str, "np.ndarray[Any, Any] | list[np.ndarray[Any, Any]]"]


def write_mat5(path: Path, values: Values, *, compress: bool = False) -> Path:
    """Write MAT v5; a list becomes a 1 x n cell array."""
    savemat(path, {key: _cells(value) if isinstance(value, list) else value for key, value in values.items()},
            do_compression=compress)  # fmt: skip
    return path


def write_mat73(path: Path, values: Mapping[str, Any]) -> Path:
    """Write what MATLAB 7.3 writes: HDF5 behind a 512-byte text, transposed matrices, cells by reference.

    A list becomes a cell array, a dict a structure, and a record array an array of structures.
    """
    with h5py.File(path, "w", userblock_size=512) as file:
        cells = file.create_group("#refs#")
        for key, value in values.items():
            _matlab(cells, file, key, value)
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    with path.open("r+b") as stream:
        stream.write(text)
    return path


def write_hdf5(path: Path, values: Mapping[str, np.ndarray[Any, Any]]) -> Path:
    """Write plain HDF5, as Python programs do."""
    with h5py.File(path, "w") as file:
        for key, value in values.items():
            file.create_dataset(key, data=value)
    return path


def add_strings(path: Path, names: Sequence[str]) -> None:
    """Add string arrays, as MATLAB stores them, to a file."""
    meta = np.array([[0xDD000000, 2, 1, 1, 1, 1]], dtype="<u4")
    if h5py.is_hdf5(path):
        with h5py.File(path, "r+") as file:
            for name in names:
                file[name] = meta
                file[name].attrs.update({"MATLAB_class": np.bytes_("string"), "MATLAB_object_decode": 3})
        return

    def element(kind: int, content: bytes) -> bytes:
        return struct.pack("<2I", kind, len(content)) + content + b"\0" * (-len(content) % 8)

    flags, words = element(6, struct.pack("<2I", 17, 0)), element(1, b"MCOS") + element(1, b"string")
    inner = element(6, struct.pack("<2I", 13, 0)) + element(5, struct.pack("<2i", 6, 1)) + element(1, b"")
    value = element(14, inner + element(6, meta.tobytes()))
    with path.open("ab") as stream:
        stream.writelines(element(14, flags + element(1, name.encode()) + words + value) for name in names)


def _cells(values: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    cells = np.empty((1, len(values)), dtype=object)
    for index, value in enumerate(values):
        cells[0, index] = value
    return cells


def _matlab(cells: Any, group: Any, name: str, value: Any) -> Any:
    if isinstance(value, str):
        kind, node = (
            "char",
            group.create_dataset(name, data=np.frombuffer(value.encode("utf-16-le"), "<u2")[:, None]),
        )
    elif isinstance(value, list):
        kind, node = "cell", group.create_dataset(name, (len(value), 1), dtype=h5py.ref_dtype)
        for index, cell in enumerate(value):
            node[index, 0] = _matlab(cells, cells, f"{len(cells)}", cell).ref
    elif isinstance(value, dict) or value.dtype.names:
        kind, node = "struct", group.create_group(name)
        for field in value if isinstance(value, dict) else value.dtype.names:
            one = value[field]
            _matlab(cells, node, field, one if isinstance(value, dict) else [*one])
    else:
        kind, node = "double", group.create_dataset(name, data=np.atleast_2d(value).T)
    node.attrs["MATLAB_class"] = np.bytes_(kind)
    return node
