"""Safetensors: tensors by name, and texts about the file that may state what a dataset's keys state."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from safetensors import safe_open

from bench.contract import Array, DataError
from bench.data.formats.array_file import STATEMENTS, ArrayFile, blamed, require_memory
from bench.data.formats.stored import Stored, blocks_of, widened

_TYPES: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?", "U8": "u1",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2",
}  # fmt: skip


class Safetensors(ArrayFile):
    """An open safetensors file."""

    def __init__(self, path: Path) -> None:
        """Read its header, whose names and sizes the library checks."""
        super().__init__(path)
        with blamed(str(path)):
            checked: Any = safe_open(path, framework="np")
            with checked, path.open("rb") as stream:
                (length,) = struct.unpack("<Q", stream.read(8))
                self._start = 8 + length
                self._tensors: dict[str, Any] = json.loads(stream.read(length))
            stated = self._tensors.pop("__metadata__", {})
            self._stated = {key: stated[key] for key in STATEMENTS if key in {*stated} - {*self._tensors}}

    def keys(self) -> list[str]:
        """Return the tensors' names, and what the file's texts state."""
        return [*self._tensors, *self._stated]

    def _shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._tensors[key]["shape"]) if key in self._tensors else ()

    def _read(self, key: str) -> Array:
        if key not in self._tensors:
            return np.asarray(self._stated[key])
        begin, end = self._tensors[key]["data_offsets"]
        require_memory(end - begin, self.where(key))
        with self._at(key) as stream:
            values = np.frombuffer(stream.read(end - begin), self._dtype(key))
        return widened(values, self._bfloat16(key)).reshape(self._shape(key))

    def _stored(self, key: str) -> Stored | None:
        shape = self._shape(key)
        if len(shape) != 2:
            return None
        require_memory(4 * shape[0] * shape[1], self.where(key))

        def blocks() -> Iterator[Array]:
            with self._at(key) as stream:
                read = blocks_of(stream.read, (shape[0], shape[1]), self._dtype(key), fortran=False)
                yield from (widened(block, self._bfloat16(key)) for block in read)

        return Stored((shape[0], shape[1]), False, blocks())

    def _at(self, key: str) -> IO[bytes]:
        stream = self.path.open("rb")
        stream.seek(self._start + self._tensors[key]["data_offsets"][0])
        return stream

    def _dtype(self, key: str) -> np.dtype[Any]:
        kind = self._tensors[key]["dtype"]
        if kind not in _TYPES:
            raise DataError(f"{self.where(key)}: numbers of the type {kind}; save them as float32 (F32)")
        return np.dtype(_TYPES[kind])

    def _bfloat16(self, key: str) -> bool:
        return bool(self._tensors[key]["dtype"] == "BF16")
