"""NumPy's .npz archives and .npy files, and the sparse matrices that SciPy stores in archives."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import (
    ArrayFile,
    blamed,
    require_distinct,
    require_memory,
    sparse_matrix,
)
from bench.data.formats.nested import Nested
from bench.data.formats.pickles import object_from_pickle
from bench.data.formats.stored import Stored, blocks_of

_SPARSE: Final = ({"format", "shape", "data"}, {"format", "shape", "data", "indices", "indptr", "row", "col"})


class _Header(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


class Npz(ArrayFile):
    """A NumPy archive; of Python objects, plain containers of numbers, texts and arrays are read."""

    def __init__(self, path: Path) -> None:
        """Open the archive and read its table of contents."""
        super().__init__(path)
        with blamed(str(path)):
            self._archive = zipfile.ZipFile(path)
            members = self._archive.namelist()
            self._keys = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]
            if members and not self._keys:
                raise DataError(
                    f"{path}: a ZIP archive without arrays ({members[0][:80]}, ...); unpack it first"
                )
            require_distinct(self._keys, path)
        self._nested = Nested(path, self._objects())
        self._keys = [key for key in self._keys if key not in self._replaced] + self._nested.keys()
        self._known = {*self._keys}
        self._sparse = _SPARSE[0] <= self._known <= _SPARSE[1]

    def _objects(self) -> dict[str, Any]:
        """Return the members that hold Python objects and can be read."""
        found: dict[str, Any] = {}
        for key in self._keys:
            with suppress(Exception), self._open(key) as stream:  # said when it is read
                if _header(stream).dtype.hasobject:
                    require_memory(self._sizes(key)[0], self.where(key), self._sizes(key)[1])
                    found[key] = object_from_pickle(stream.read())
        self._replaced = {*found}
        return found

    def keys(self) -> list[str]:
        """Return the arrays' names, in the file's order; one, ``matrix``, for a sparse matrix of SciPy."""
        return ["matrix"] if self._sparse else [*self._keys]

    def __contains__(self, key: str) -> bool:
        """Return whether there is an array called ``key``."""
        return key == "matrix" if self._sparse else key in self._known

    def close(self) -> None:
        """Let go of the file."""
        self._archive.close()

    def _require(self, key: str) -> None:
        if key not in self:
            super()._require(key)

    def _shape(self, key: str) -> tuple[int, ...]:
        if self._sparse:
            return _sparse_shape(self._member("shape"))
        if key in self._nested:
            return self._nested.shape(key)
        with self._open(key) as stream:
            return _header(stream).shape

    def _open(self, key: str) -> IO[bytes]:
        return self._archive.open(f"{key}.npy")

    def _read(self, key: str) -> Array:
        if self._sparse:
            parts = {name: self._member(name) for name in self._keys if name not in ("format", "shape")}
            kind = self._member("format").item()
            kind = kind.decode("ascii") if isinstance(kind, bytes) else str(kind)
            return sparse_matrix(parts, kind, _sparse_shape(self._member("shape")), self.where(key))
        return self._member(key)

    def _member(self, key: str) -> Array:
        if key in self._nested:
            return self._nested.array(key)
        with self._open(key) as stream:
            return _array(stream, *self._sizes(key), self.where(key))

    def _sizes(self, key: str) -> tuple[int, int]:
        info = self._archive.getinfo(f"{key}.npy")
        return info.file_size, info.compress_size

    def _stored(self, key: str) -> Stored | None:
        if self._sparse or key in self._nested:
            return None
        return _stored(partial(self._open, key), *self._sizes(key), self.where(key))


class Npy(ArrayFile):
    """One array in NumPy's format; its key is the file's stem."""

    def keys(self) -> list[str]:
        """Return the stem of the file's name."""
        return [self.path.stem]

    def _shape(self, key: str) -> tuple[int, ...]:
        with self.path.open("rb") as stream:
            return _header(stream).shape

    def _read(self, key: str) -> Array:
        size = self.path.stat().st_size
        with self.path.open("rb") as stream:
            return _array(stream, size, size, self.where(key))

    def _stored(self, key: str) -> Stored | None:
        size = self.path.stat().st_size
        return _stored(lambda: self.path.open("rb"), size, size, self.where(key))


def npy(path: Path) -> ArrayFile:
    """Open a .npy file: of one array, or of Python objects such as a dict of arrays.

    Raises:
        DataError: if it is damaged, or holds objects that are not read.
    """
    with blamed(str(path)), path.open("rb") as stream:
        if not _header(stream).dtype.hasobject:
            return Npy(path)
        require_memory(path.stat().st_size, str(path))
        try:
            root = object_from_pickle(stream.read())
        except Exception as error:
            raise _refused(str(path), error) from error
    return Nested(path, root)


def _header(stream: IO[bytes]) -> _Header:
    """Read what a .npy file says of its array, and leave the stream at the first number."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if any(not isinstance(length, int) or length < 0 for length in shape):
        raise ValueError("a negative length")
    return _Header(tuple(shape), fortran, dtype)


def _array(stream: IO[bytes], unpacked: int, stored: int, where: str) -> Array:
    """Read an array whose stream has ``unpacked`` bytes, of which the file holds ``stored``."""
    require_memory(unpacked, where, stored)
    header = _header(stream)
    if header.dtype.hasobject:
        try:
            object_from_pickle(stream.read())
        except Exception as error:
            raise _refused(where, error) from error
    count = math.prod(header.shape)
    needed = count * header.dtype.itemsize
    if needed > unpacked:
        raise ValueError(f"its header promises {needed} bytes, the archive has {unpacked}")
    values = np.frombuffer(_exactly(stream)(needed), header.dtype, count)
    stream.read(1)  # an archive checks its checksum at the end
    return values.reshape(header.shape, order="F" if header.fortran else "C")


def _stored(opened: Callable[[], IO[bytes]], unpacked: int, stored: int, where: str) -> Stored | None:
    """Return a matrix of numbers to be read in blocks; None where the array is anything else."""
    with opened() as stream:
        header = _header(stream)
    if len(header.shape) != 2 or header.dtype.kind not in "biuf":
        return None
    needed = math.prod(header.shape) * header.dtype.itemsize
    if needed > unpacked:
        raise ValueError(f"its header promises {needed} bytes, the archive has {unpacked}")
    require_memory(math.prod(header.shape) * 4, where, stored)
    shape = (header.shape[0], header.shape[1])

    def blocks() -> Iterator[Array]:
        with opened() as stream:
            _header(stream)
            yield from blocks_of(_exactly(stream), shape, header.dtype, header.fortran)
            stream.read(1)  # see `_array`

    return Stored(shape, header.fortran, blocks())


def _refused(where: str, error: Exception) -> DataError:
    return DataError(
        f"{where}: holds Python objects (a pickle), of which only plain containers of numbers, texts and "
        f"arrays are read ({error})"
    )


def _exactly(stream: IO[bytes]) -> Callable[[int], bytes]:
    """Return a function that reads so many bytes, or fails."""

    def read(count: int) -> bytes:
        content = stream.read(count)
        if len(content) != count:
            raise ValueError(f"{count - len(content)} bytes are missing")
        return content

    return read


def _sparse_shape(values: Array) -> tuple[int, ...]:
    if values.size != 2 or values.dtype.kind not in "iu":
        raise ValueError("a sparse matrix without a shape")
    return tuple(int(length) for length in values.reshape(-1))
