"""Safetensors: tensors by name, and texts about the file that may state what a dataset's keys state."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import safe_open

from bench.contract import Array, DataError
from bench.data.formats.array_file import STATEMENTS, blamed
from bench.data.formats.file_arrays import Lazy, Piece, Storage, contiguous
from bench.data.formats.nested import Nested

_TYPES: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?", "U8": "u1",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2",
}  # fmt: skip


class Safetensors(Nested):
    """A safetensors file."""

    def __init__(self, path: Path) -> None:
        """Read its header, whose names and sizes the library checks."""
        with blamed(str(path)):
            checked: Any = safe_open(path, framework="np")
            with checked, path.open("rb") as stream:
                (length,) = struct.unpack("<Q", stream.read(8))
                header: dict[str, Any] = json.loads(stream.read(length))
            stated = header.pop("__metadata__", {})
            root = {name: _tensor(path, 8 + length, **facts) for name, facts in header.items()}
            root |= {key: stated[key] for key in STATEMENTS if key in {*stated} - {*root}}
        super().__init__(path, root)


class _Unknown(Lazy):
    """A tensor of numbers of a type that NumPy does not have."""

    def __init__(self, kind: str, shape: tuple[int, ...]) -> None:
        self._kind, self.shape = kind, shape

    def matrix(self, where: str) -> Array:
        raise DataError(f"{where}: numbers of the type {self._kind}; save them as float32 (F32)")


def _tensor(path: Path, first: int, dtype: str, shape: list[int], data_offsets: list[int]) -> Lazy:
    if dtype not in _TYPES:
        return _Unknown(dtype, tuple(shape))
    size, kind = data_offsets[1] - data_offsets[0], np.dtype(_TYPES[dtype])
    piece = Piece(lambda: path.open("rb"), first + data_offsets[0], size, size)
    return contiguous(Storage(kind, size // kind.itemsize, piece, dtype == "BF16"), tuple(shape), False)
