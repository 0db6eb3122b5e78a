"""Files of tensors, of PyTorch (read without it, and never executed) and safetensors.

The texts about a safetensors file may state what a dataset's keys state.
"""

from __future__ import annotations

import json
import struct
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import STATEMENTS, as_data_error
from bench.data.formats.file_arrays import Bounded, Lazy, Piece, Storage, contiguous
from bench.data.formats.nested import Nested
from bench.data.formats.pickles import Unpickler, older_torch

_TYPES: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?", "U8": "u1",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2",
}  # fmt: skip


class Torch(Nested):
    """A PyTorch file of tensors, arrays, numbers, texts, lists and dicts."""

    def __init__(self, path: Path) -> None:
        """Read all but the numbers of tensors and large arrays."""
        with as_data_error(str(path)):
            try:
                size, newer = path.stat().st_size, zipfile.is_zipfile(path)
                root = _root(path, size) if newer else older_torch(lambda: path.open("rb"), 0, size)
            except DataError as error:
                raise DataError(f"{path}: {error}") from None
        super().__init__(path, root)


def _root(path: Path, size: int) -> Any:
    """Check an archive and return what its pickle holds."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                raise ValueError(f"a member of {info.file_size} bytes in a file of {size}")
        if archive.testzip() is not None:
            raise ValueError("a member's checksum is wrong")
        names = archive.namelist()
        folder = next(name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl"))
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise DataError("numbers in the order of big-endian machines")

        def piece(key: str) -> Piece:
            info = archive.getinfo(f"{folder}{key}")
            stream.seek(info.header_offset + 26)
            start = info.header_offset + 30 + sum(struct.unpack("<HH", stream.read(4)))
            if start + info.file_size > size:
                raise ValueError(f"{key} needs more bytes than there are")
            return Piece(lambda: path.open("rb"), start, info.file_size, info.file_size)

        whole = piece("data.pkl")
        with closing(Bounded(whole.opened, whole.start, whole.size)) as source:
            return Unpickler(source, lambda key: piece(f"data/{key}")).load()


class Safetensors(Nested):
    """A safetensors file."""

    def __init__(self, path: Path) -> None:
        """Read its header, whose names and sizes the library checks."""
        from safetensors import safe_open

        with as_data_error(str(path)):
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
        """Refuse to read it."""
        raise DataError(f"{where}: numbers of the type {self._kind}; save them as float32 (F32)")


def _tensor(path: Path, first: int, dtype: str, shape: list[int], data_offsets: list[int]) -> Lazy:
    """Return a tensor by the facts of the header; ``first`` is where the file's numbers begin."""
    if dtype not in _TYPES:
        return _Unknown(dtype, tuple(shape))
    size, kind = data_offsets[1] - data_offsets[0], np.dtype(_TYPES[dtype])
    piece = Piece(lambda: path.open("rb"), first + data_offsets[0], size, size)
    return contiguous(Storage(kind, size // kind.itemsize, piece, dtype == "BF16"), tuple(shape), False)
