"""NumPy's .npz archives and .npy files, and the sparse matrices that SciPy stores in archives."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import (
    ArrayFile,
    as_data_error,
    require_distinct,
    require_memory,
    sparse_matrix,
)
from bench.data.formats.file_arrays import FileArray, Piece, Storage, contiguous
from bench.data.formats.nested import Nested
from bench.data.formats.pickles import unpickled
from bench.data.formats.records import fields_of
from bench.data.formats.stored import BLOCK, Stored, blocks_of

_SPARSE: Final = ({"format", "shape", "data"}, {"format", "shape", "data", "indices", "indptr", "row", "col"})


class _Member:
    """An array in NumPy's format: a file, or a member of an archive."""

    def __init__(self, opener: Callable[[], IO[bytes]], unpacked: int, stored: int, where: str) -> None:
        """Read the header of its array; it has ``unpacked`` bytes, or ``stored`` in the archive."""
        self._opener, self._sizes, self._where = opener, (unpacked, where, stored), where
        with opener() as stream:
            read = np.lib.format.read_magic(stream) == (1, 0)
            header = np.lib.format.read_array_header_1_0 if read else np.lib.format.read_array_header_2_0
            self.shape, self.fortran, self.dtype = header(stream)
            self.start = stream.tell()
        if any(not isinstance(length, int) or length < 0 for length in self.shape):
            raise ValueError("a negative length")
        if math.prod(self.shape) * self.dtype.itemsize > unpacked and not self.dtype.hasobject:
            raise ValueError(f"its header promises more bytes than the {unpacked} that there are")

    @property
    def nested(self) -> bool:
        """Whether entries are records or Python objects."""
        return self.dtype.names is not None or self.dtype.hasobject

    def content(self, stem: str) -> Any:
        """Return the fields of records by name, or what Python objects are if these are plain containers."""
        if not self.dtype.hasobject:
            return fields_of(self.array().reshape(-1), stem, self._where)
        require_memory(*self._sizes)
        try:
            with self._opener() as stream:
                while stream.read(BLOCK):  # an archive checks its checksum at the end
                    pass
            return unpickled(self._opener, self.start, self._sizes[0] - self.start)
        except Exception as error:
            raise DataError(
                f"{self._where}: holds Python objects (a pickle), of which only plain containers of numbers, "
                f"texts and arrays are read ({error})"
            ) from error

    def numbers(self, size: int) -> FileArray:
        """Return the array of a file of so many bytes, which stays there until it is read."""
        stored, count = size - self.start, math.prod(self.shape)
        piece = Piece(self._opener, self.start, stored, count * self.dtype.itemsize)
        return contiguous(Storage(self.dtype, count, piece), self.shape, self.fortran)

    def array(self) -> Array:
        """Return all of it."""
        if self.dtype.hasobject:
            self.content("")  # which raises what was suppressed before
        require_memory(*self._sizes)
        count = math.prod(self.shape)
        with self._opener() as stream:
            stream.read(self.start)  # no step over it, or the checksum is not checked
            values = np.frombuffer(stream.read(count * self.dtype.itemsize), self.dtype, count)
            stream.read(1)
        return values.reshape(self.shape, order="F" if self.fortran else "C")

    def matrix(self) -> Stored | None:
        """Return a matrix of numbers to be read in blocks; None where the array is anything else."""
        if len(self.shape) != 2 or self.dtype.kind not in "biuf":
            return None
        shape = (self.shape[0], self.shape[1])
        require_memory(math.prod(shape) * 4, *self._sizes[1:])

        def blocks() -> Iterator[Array]:
            with self._opener() as stream:
                stream.read(self.start)
                yield from blocks_of(stream.read, shape, self.dtype, self.fortran)
                stream.read(1)

        return Stored(shape, self.fortran, blocks())


class Npz(ArrayFile):
    """A NumPy archive; of Python objects, plain containers of numbers, texts and arrays are read."""

    _nested: Nested

    def __init__(self, path: Path) -> None:
        """Open the archive and read its table of contents."""
        super().__init__(path)
        found: dict[str, Any] = {}
        self._members: dict[str, _Member] = {}
        with as_data_error(str(path)):
            self._archive = zipfile.ZipFile(path)
            members = self._archive.namelist()
            keys = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]
            if members and not keys:
                raise DataError(
                    f"{path}: a ZIP archive without arrays ({members[0][:80]}, ...); unpack it first"
                )
            require_distinct(keys, path)
        for key in keys:
            with suppress(Exception):  # reported when it is read
                if (member := self._member(key)).nested:
                    found[key] = member.content(key)
        self._nested = Nested(path, found)
        self._keys = [*(key for key in keys if key not in found), *self._nested.keys()]
        self._known = {*self._keys}
        self._sparse = _SPARSE[0] <= self._known <= _SPARSE[1]

    def keys(self) -> list[str]:
        """Return the arrays' names, in the file's order; one, ``matrix``, for a sparse matrix of SciPy."""
        return ["matrix"] if self._sparse else [*self._keys]

    def __contains__(self, key: str) -> bool:
        """Return whether there is an array called ``key``."""
        return key == "matrix" if self._sparse else key in self._known

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def _member(self, key: str) -> _Member:
        """Return a member of the archive; its header is read once."""
        if key not in self._members:
            info, where = self._archive.getinfo(f"{key}.npy"), self.where(key)
            opener = partial(self._archive.open, info)
            self._members[key] = _Member(opener, info.file_size, info.compress_size, where)
        return self._members[key]

    def _shape(self, key: str) -> tuple[int, ...]:
        """Return the shape that a header states, or that of the sparse matrix."""
        if self._sparse:
            return self._sparse_shape()
        return self._member(key).shape

    def _read(self, key: str) -> Array:
        """Return an array, or the sparse matrix as a full one."""
        if self._sparse:
            parts = {name: self._member(name).array() for name in self._keys if name != "format"}
            kind = self._member("format").array().item()
            kind = kind.decode("ascii") if isinstance(kind, bytes) else str(kind)
            return sparse_matrix(parts, kind, self._sparse_shape(), self.where(key))
        return self._member(key).array()

    def _stored(self, key: str) -> Stored | None:
        """Return a matrix of numbers to be read in blocks."""
        return None if self._sparse else self._member(key).matrix()

    def _sparse_shape(self) -> tuple[int, ...]:
        """Return the shape of the sparse matrix; raises ValueError if it states none."""
        values = self._member("shape").array()
        if values.size != 2 or values.dtype.kind not in "iu":
            raise ValueError("a sparse matrix without a shape")
        return tuple(int(length) for length in values.reshape(-1))


def npy(path: Path) -> ArrayFile:
    """Open a .npy file: of one array, of records, or of Python objects such as a dict of arrays."""
    with as_data_error(str(path)):
        size = path.stat().st_size
        member = _Member(lambda: path.open("rb"), size, size, f"{path}, key {path.stem!r}")
        return Nested(path, member.content(path.stem) if member.nested else {path.stem: member.numbers(size)})
