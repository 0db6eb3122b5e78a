"""Arrays in MAT, HDF5 and .npz files: the container is recognised by its first bytes, not its name.

No reader ever loads a pickle. Only regular files are opened, and no array that would not fit into memory is
read. Whatever is wrong with a file becomes one `DataError` that names it.
"""

from __future__ import annotations

import math
import mmap
import stat
import struct
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.contract import Array, DataError

Container = Literal["mat5", "mat7.3", "hdf5", "npz"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD = 1024
_MATRIX, _CELL, _NUMERIC = 14, 1, range(6, 16)
_NUMBER_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
"""Numbers of the MAT v5 format: types of elements, classes of variables, bytes of a number by its type."""
_MAT5_BYTES = {"char": 2, "cell": 8, "struct": 8, "single": 4, "sparse": 0, "logical": 1} | {
    f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)
}
"""Bytes of an element, by class of a MATLAB variable; 8 for any other."""

_TELLTALES = (
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML document"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file that it stands for"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"rar!", "a RAR archive; unpack it first"),
    (b"%pdf", "a PDF document"),
)


class ArrayFile(ABC):
    """An open file that holds named arrays."""

    def __init__(self, path: Path) -> None:
        """Remember where the file is."""
        self.path = path

    def where(self, key: str) -> str:
        """Return how messages name an array of this file."""
        return f"{self.path}, key {key!r}"

    @abstractmethod
    def keys(self) -> list[str]:
        """Return the arrays' names, in the file's order."""

    def array(self, key: str) -> Array:
        """Return the array called ``key``, oriented as its author saw it.

        Raises:
            DataError: if there is none, or it cannot be read.
        """
        self._require(key)
        with _blamed(self.where(key)):
            return self._read(key)

    def cells(self, key: str) -> list[Array]:
        """Return the arrays of the cell array called ``key``, in its order.

        Raises:
            DataError: if there is none, it cannot be read, or it is no cell array.
        """
        self._require(key)
        with _blamed(self.where(key)):
            return self._read_cells(key)

    def __contains__(self, key: str) -> bool:
        """Return whether there is an array called ``key``."""
        return key in self.keys()

    def close(self) -> None:  # noqa: B027 - a reader that keeps nothing open has nothing to do
        """Let go of the file."""

    def _require(self, key: str) -> None:
        keys = self.keys()
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            hint = f" (is {near[0]!r} meant?)" if near else ""
            raise DataError(
                f"{self.path}: key {key!r} is missing; the file has {_listed(keys)}{hint}. "
                "Is it the file that its dataset's card describes?"
            )

    @abstractmethod
    def _read(self, key: str) -> Array: ...

    def _read_cells(self, key: str) -> list[Array]:
        raise DataError(f"{self.where(key)}: expected a MATLAB cell array, which this container cannot hold")


class _Mat5(ArrayFile):
    """MAT version 5, read by SciPy one variable at a time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        from scipy.io import whosmat

        with _blamed(str(path)):
            _require_whole_mat5(path)
            found = whosmat(path)
        self._bytes = {name: math.prod(shape) * _MAT5_BYTES.get(kind, 8) for name, shape, kind in found}

    def keys(self) -> list[str]:
        return [*self._bytes]

    def _read(self, key: str) -> Array:
        value = self._load(key)
        if value.dtype == object:
            raise DataError(
                f"{self.where(key)}: expected a numeric matrix, found a cell array or a structure"
            )
        return value

    def _read_cells(self, key: str) -> list[Array]:
        value = self._load(key)
        if value.dtype != object:
            raise DataError(
                f"{self.where(key)}: expected a cell array, found a matrix of shape {value.shape}"
            )
        return [_dense(cell) for cell in value.reshape(-1)]

    def _load(self, key: str) -> Array:
        from scipy.io import loadmat

        _require_memory(self._bytes[key], self.where(key))
        return _dense(loadmat(self.path, variable_names=[key])[key])


class _Hdf(ArrayFile):
    """HDF5, plain or written by MATLAB 7.3, which stores every matrix transposed."""

    def __init__(self, path: Path, matlab: bool) -> None:
        super().__init__(path)
        import h5py

        self._matlab = matlab
        with _blamed(str(path)):
            self._file: Any = h5py.File(path, "r")

    def keys(self) -> list[str]:
        return [key for key in self._file if not key.startswith("#")]

    def close(self) -> None:
        self._file.close()

    def _read(self, key: str) -> Array:
        return self._matrix(self._file[key], self.where(key))

    def _read_cells(self, key: str) -> list[Array]:
        import h5py

        node = self._file[key]
        if not isinstance(node, h5py.Dataset) or h5py.check_ref_dtype(node.dtype) is not h5py.Reference:
            raise DataError(f"{self.where(key)}: expected a cell array, found something else")
        references = np.asarray(node[()]).T.reshape(-1)
        return [self._matrix(self._file[reference], self.where(key)) for reference in references]

    def _matrix(self, node: Any, where: str) -> Array:
        import h5py

        if not isinstance(node, h5py.Dataset):
            raise DataError(f"{where}: expected a numeric matrix, found a group")
        if node.dtype.kind not in "biuf":
            raise DataError(f"{where}: expected a numeric matrix, found values of type {node.dtype}")
        _require_memory(node.size * node.dtype.itemsize, where)
        value = np.asarray(node[()])
        transposed = self._matlab or "MATLAB_class" in node.attrs
        return value.T if transposed else value


class Npz(ArrayFile):
    """A NumPy archive; arrays of Python objects are refused, never unpickled."""

    def __init__(self, path: Path) -> None:
        """Open the archive and read its table of contents."""
        super().__init__(path)
        with _blamed(str(path)):
            self._archive = zipfile.ZipFile(path)

    def keys(self) -> list[str]:
        """Return the arrays' names, in the file's order."""
        return [name.removesuffix(".npy") for name in self._archive.namelist()]

    def close(self) -> None:
        """Let go of the file."""
        self._archive.close()

    def shape(self, key: str) -> tuple[int, ...]:
        """Return an array's shape from its header alone.

        Raises:
            DataError: if there is no such array or its header is damaged.
        """
        self._require(key)
        with _blamed(self.where(key)), self._archive.open(f"{key}.npy") as stream:
            return _npy_header(stream, self.where(key))[0]

    def _read(self, key: str) -> Array:
        where, unpacked = self.where(key), self._archive.getinfo(f"{key}.npy").file_size
        _require_memory(unpacked, where)
        with self._archive.open(f"{key}.npy") as stream:
            shape, kind = _npy_header(stream, where)
        needed = math.prod(shape) * kind.itemsize
        if needed > unpacked:
            raise ValueError(f"its header promises {needed} bytes, the archive has {unpacked}")
        with self._archive.open(f"{key}.npy") as stream:
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


@contextmanager
def open_arrays(path: Path) -> Iterator[ArrayFile]:
    """Open a file of arrays, whatever its name says it is.

    Raises:
        DataError: if it cannot be opened, is damaged, or is no MAT, HDF5 or .npz file.
    """
    container = container_of(path)
    source: ArrayFile
    if container == "mat5":
        source = _Mat5(path)
    elif container == "npz":
        source = Npz(path)
    else:
        source = _Hdf(path, matlab=container == "mat7.3")
    try:
        yield source
    finally:
        source.close()


def container_of(path: Path) -> Container:
    """Tell a file's container by its first bytes.

    Raises:
        DataError: if the file cannot be opened or is none of the known ones.
    """
    with _blamed(str(path)):
        require_regular(path)
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    if head.startswith(_HDF5):
        return "hdf5"
    if head.startswith(b"PK\x03\x04"):
        return "npz"
    if len(head) >= 128 and head[126:128] in (b"IM", b"MI"):
        major = head[125] if head[126:128] == b"IM" else head[124]
        if major == 1:
            return "mat5"
        if major == 2 and head[512:520] == _HDF5:
            return "mat7.3"
    if head[512:520] == _HDF5:
        return "mat7.3"
    raise DataError(
        f"{path} is {telltale(head)}; expected a MAT (v5 or v7.3), HDF5 or .npz file. "
        "Get the file again from where its dataset's card says"
    )


def telltale(head: bytes) -> str:
    """Say in words what a file that begins with ``head`` seems to be."""
    if not head:
        return "an empty file"
    start = head.lstrip().lower()
    for sign, meaning in _TELLTALES:
        if start.startswith(sign):
            return meaning
    return "not a file of arrays"


def require_readable(path: Path) -> None:
    """Check that a file's container is known and whole, without reading its arrays.

    Raises:
        DataError: if it is not.
    """
    with open_arrays(path) as source:
        source.keys()


@contextmanager
def _blamed(where: str) -> Iterator[None]:
    """Turn whatever a reading library raises into one sentence.

    A damaged file can make them raise nearly anything, from `zlib.error` to `TypeError`.
    """
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{where}: the file is not there") from None
    except PermissionError:
        raise DataError(f"{where}: the file may not be read; change its permissions") from None
    except MemoryError:
        raise DataError(f"{where}: too large for this machine's memory") from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{where}: cannot be read, the file is truncated or damaged ({reason}). Get it again"
        ) from error


def require_regular(path: Path) -> None:
    """Check that a path leads to a regular file: reading a pipe would wait for ever.

    Raises:
        DataError: if it leads to anything else.
        OSError: if it leads nowhere.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(f"{path} is not a regular file but a folder, a pipe or a device")


def _require_memory(needed: int, where: str) -> None:
    """Refuse an array that is larger than the memory that is free.

    Raises:
        DataError: with both sizes.
    """
    import psutil

    free = psutil.virtual_memory().available
    if needed > free:
        raise DataError(
            f"{where}: unpacks to {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free; "
            "use a machine with more memory, or a smaller file"
        )


def _npy_header(stream: Any, where: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array in the .npy format."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise DataError(
            f"{where}: holds Python objects (a pickle), which are never loaded; expected a numeric array"
        )
    return tuple(shape), dtype


def _dense(value: Any) -> Array:
    """Return a SciPy value as an array; MATLAB's sparse matrices are filled up."""
    return np.asarray(value.toarray() if hasattr(value, "toarray") else value)


def _require_whole_mat5(path: Path) -> None:
    """Check the structure of a MAT v5 file before SciPy reads it: a wrong length or type can crash SciPy.

    Each variable states its length, and they must fill the file. Of uncompressed matrices and cell arrays the
    parts are checked as well; a compressed variable has a checksum of its own.
    """
    with path.open("rb") as stream:
        content = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    order: Literal["<", ">"] = "<" if bytes(content[126:128]) == b"IM" else ">"
    for kind, part in _mat5_elements(content[128:], order, 1):
        if kind == _MATRIX:
            _check_mat5_matrix(part, order)


def _mat5_elements(
    content: memoryview, order: Literal["<", ">"], alignment: int = 8
) -> Iterator[tuple[int, memoryview]]:
    """Yield type and content of the elements that fill a part of a MAT v5 file."""
    position = 0
    while position < len(content):
        tag = content[position : position + 8]
        if len(tag) < 8:
            raise ValueError("it ends inside a variable's header")
        kind, size = struct.unpack(order + "II", tag)
        start, end = position + 8, len(content)
        after = start + size + -size % alignment
        if kind >> 16:  # a small element: its length stands beside its type, its content in the tag
            kind, size = kind & 0xFFFF, kind >> 16
            start, end, after = position + 4, position + 8, position + 8
        if start + size > end:
            raise ValueError(f"its last variable needs {start + size - end} bytes more than there are")
        yield kind, content[start : start + size]
        position = after


def _check_mat5_matrix(content: memoryview, order: Literal["<", ">"]) -> None:
    """Check that the numbers of a matrix are as many as its dimensions say; of a cell array, of each cell.

    Raises:
        ValueError: if a part is missing, or of a wrong type or length.
    """
    if not len(content):
        return  # an empty cell
    parts = list(_mat5_elements(content, order))
    if [kind for kind, _ in parts[:2]] != [6, 5] or len(parts[0][1]) != 8 or len(parts[1][1]) % 4:
        raise ValueError("a variable's header is wrong")
    (flags,) = struct.unpack(order + "I", parts[0][1][:4])
    shape = struct.unpack(f"{order}{len(parts[1][1]) // 4}i", parts[1][1])
    if len(parts) < 3 or parts[2][0] not in (1, 16) or len(shape) < 2 or min(shape) < 0:
        raise ValueError("a variable's header is wrong")
    count, family = math.prod(shape), flags & 0xFF
    if family == _CELL:
        if len(parts) != 3 + count or any(kind != _MATRIX for kind, _ in parts[3:]):
            raise ValueError(f"a cell array of {count} cells has {len(parts) - 3}")
        for _, cell in parts[3:]:
            _check_mat5_matrix(cell, order)
    elif family in _NUMERIC:
        numbers = [len(part) // _NUMBER_BYTES.get(kind, 1 << 40) for kind, part in parts[3:]]
        if numbers != [count] * (2 if flags & 0x0800 else 1):
            raise ValueError(f"a matrix of shape {shape} has {numbers} numbers")
    elif not 0 < family <= 18:
        raise ValueError(f"a variable is of the unknown class {family}")


def _listed(keys: list[str], most: int = 12) -> str:
    if not keys:
        return "no keys at all"
    shown = ", ".join(repr(key) for key in keys[:most])
    return shown if len(keys) <= most else f"{shown} and {len(keys) - most} more"
