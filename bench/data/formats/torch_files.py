"""PyTorch files: tensors, arrays and plain containers, read without PyTorch and without executing anything.

``torch.load(weights_only=True)`` is not enough for files that come from anywhere: releases before 2.6 execute
crafted files (CVE-2025-32434), and NumPy's types, once allowed there, make arrays of objects whose addresses
are bytes of the file. The restricted reader of pickles knows neither.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import blamed, require_memory
from bench.data.formats.nested import Nested
from bench.data.formats.pickles import ALLOWED, Bounded, Lazy, SparseParts, Unpickler
from bench.data.formats.stored import Stored, blocks_of, widened

_STORAGE: Final = re.compile(r"torch\.(?:storage\.)?(\w+)Storage")
_TYPES: Final = {
    "Double": "<f8", "Float": "<f4", "Half": "<f2", "BFloat16": "<u2", "Bool": "?",
    "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "i1", "Byte": "u1",
}  # fmt: skip


class _Storage(NamedTuple):
    """The numbers of one tensor or of several: a member of the archive."""

    archive: zipfile.ZipFile
    member: str
    kind: str

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(_TYPES[self.kind])

    @property
    def size(self) -> int:
        return self.archive.getinfo(self.member).file_size // self.dtype.itemsize


class Tensor(Lazy):
    """A tensor whose numbers stay in the file until they are asked for."""

    def __init__(
        self, storage: Any, offset: Any, size: Any, stride: Any, grad: Any = False, hooks: Any = (), *_: Any
    ) -> None:
        """Check that the numbers are in the file, none of them several times."""
        lengths, steps = tuple(size), tuple(stride)
        whole = all(isinstance(one, int) and one >= 0 for one in (offset, *lengths, *steps))
        if not isinstance(storage, _Storage) or not whole or len(lengths) != len(steps):
            raise ValueError("a tensor without numbers")
        last = offset + sum((length - 1) * step for length, step in zip(lengths, steps, strict=True))
        count = math.prod(lengths)
        if count > storage.size:
            raise DataError("a tensor whose numbers are repeated by its strides; save a copy of it")
        if count and last >= storage.size:
            raise ValueError("a tensor that is larger than its numbers")
        self._storage, self._offset, self.shape, self._steps = storage, offset, lengths, steps

    def matrix(self, where: str) -> Array:
        """Return the numbers.

        Raises:
            DataError: if they would not fit into memory.
        """
        archive, member, kind = self._storage
        dtype = self._storage.dtype
        require_memory(self._storage.size * dtype.itemsize, where)
        values = np.frombuffer(archive.read(member), dtype)[self._offset :]
        steps = [step * dtype.itemsize for step in self._steps]
        return widened(np.lib.stride_tricks.as_strided(values, self.shape, steps).copy(), kind == "BFloat16")

    def stored(self) -> Stored | None:
        """Return a matrix to be read in blocks; None where it is none, or has gaps."""
        if len(self.shape) != 2 or self._steps not in ((self.shape[1], 1), (1, self.shape[0])):
            return None
        shape, fortran = (self.shape[0], self.shape[1]), self._steps != (self.shape[1], 1)
        dtype = self._storage.dtype

        def blocks() -> Iterator[Array]:
            with self._storage.archive.open(self._storage.member) as stream:
                stream.seek(self._offset * dtype.itemsize)
                for block in blocks_of(stream.read, shape, dtype, fortran):
                    yield widened(block, self._storage.kind == "BFloat16")

        return Stored(shape, fortran, blocks())


def _sparse(layout: Any, parts: Sequence[Any]) -> SparseParts:
    """Return a sparse tensor as one of SciPy's matrices."""
    if layout == "torch.sparse_coo":
        (row, column), values, size = parts[0].matrix(""), parts[1].matrix(""), parts[2]
        found, state = SparseParts("coo"), {"row": row, "col": column}
    elif layout in ("torch.sparse_csr", "torch.sparse_csc"):
        pointers, indices, values, size = (*(one.matrix("") for one in parts[:3]), parts[3])
        found, state = SparseParts(str(layout)[-3:]), {"indptr": pointers, "indices": indices}
    else:
        raise DataError(f"a tensor in the layout {str(layout)[:40]!r}; save a dense one")
    found.build({**state, "data": values, "shape": tuple(size)})
    return found


class _TensorUnpickler(Unpickler):
    """Builds tensors, too."""

    allowed: ClassVar[Mapping[tuple[str, str], Callable[..., Any]]] = {
        **ALLOWED,
        ("torch._utils", "_rebuild_tensor"): Tensor,
        ("torch._utils", "_rebuild_tensor_v2"): Tensor,
        ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
        ("torch._utils", "_rebuild_sparse_tensor"): _sparse,
        ("torch.serialization", "_get_layout"): lambda name: name,
        ("torch", "Size"): tuple,
    }

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        """Read the pickle in a folder of an archive."""
        size = archive.getinfo(f"{folder}data.pkl").file_size
        super().__init__(Bounded(archive.open(f"{folder}data.pkl"), size), encoding="latin1")
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a constructor, or the kind of a storage."""
        kind = _STORAGE.fullmatch(f"{module}.{name}")
        return kind[1] if kind and kind[1] in _TYPES else super().find_class(module, name)

    def persistent_load(self, pid: Any) -> _Storage:
        """Return a storage by what stands for it."""
        what, kind, key, *_ = pid
        if what != "storage" or kind not in _TYPES or not re.fullmatch(r"\w+", str(key)):
            raise DataError("it refers to what is no storage of a tensor")
        return _Storage(self._archive, f"{self._folder}data/{key}", kind)


class Torch(Nested):
    """A PyTorch file of tensors, arrays, numbers, texts, lists and dicts."""

    def __init__(self, path: Path) -> None:
        """Read all but the tensors' numbers."""
        with blamed(str(path)):
            if not zipfile.is_zipfile(path):
                raise DataError(
                    f"{path}: the PyTorch format before version 1.6; load it there and save it again"
                )
            self._archive = zipfile.ZipFile(path)
            folder = self._folder(path.stat().st_size)
            try:
                root = _TensorUnpickler(self._archive, folder).load()
            except DataError as error:
                raise DataError(f"{path}: {error}") from None
            super().__init__(path, root)

    def close(self) -> None:
        """Let go of the file."""
        self._archive.close()

    def _folder(self, size: int) -> str:
        """Check the archive and return the folder in it that holds the pickle."""
        for info in self._archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                raise ValueError(f"a member of {info.file_size} bytes in a file of {size}")
        if self._archive.testzip() is not None:
            raise ValueError("a member's checksum is wrong")
        names = self._archive.namelist()
        folder = next(name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl"))
        if f"{folder}byteorder" in names and self._archive.read(f"{folder}byteorder") != b"little":
            raise DataError(f"{self._archive.filename}: numbers in the order of big-endian machines")
        return folder

    def _stored(self, key: str) -> Stored | None:
        value = self._values[key]
        if not isinstance(value, Tensor):
            return None
        require_memory(4 * math.prod(value.shape), self.where(key))
        return value.stored()
