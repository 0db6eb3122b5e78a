"""An open file of named arrays: the interface of every reader, and the checks that all of them share.

Nothing from a file is executed. Only regular files are opened, no array is read that would not fit into
memory or that its stored bytes cannot plausibly hold, and whatever is wrong becomes one `DataError` that
names the file.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.stored import Rows, Stored, cut_in_memory, filled

STATEMENTS: Final = ("paired", "multi_label", "class_names")
"""Attributes of a whole file that are read as arrays of these names."""

MOST_VIEWS: Final = 64
"""A list or cell array of at most so many matrices is read as so many arrays, called ``key/1`` and so on."""

TEXTS: Final = (".txt", ".list", ".lst")
"""Endings of the names of text files that may be a matrix, a table, or a text for each line."""

LISTS: Final = ("|", ";")
"""What separates the classes of a row in a text that lists several."""

_UNCHECKED: Final = 1 << 20
"""Smaller arrays, of which a file may have many, are read without asking the system for its free memory."""
_ALWAYS_ALLOWED: Final = 1 << 28
_EXPANSION: Final = 200
"""Arrays above the first size must not unpack to more than this many times their stored bytes."""

_MOST_KEYS: Final = 100_000
_SUGGESTED: Final = 1000
_LISTED: Final = 12


class ArrayFile(ABC):
    """An open file (or a folder of files) that holds named arrays."""

    _nested: ArrayFile | None = None
    """Reads those arrays of the file that are entries of lists, dicts or records."""

    def __init__(self, path: Path) -> None:
        """Remember where the file is."""
        self.path = path

    def where(self, key: str) -> str:
        """Return how messages name an array of this file."""
        return f"{self.path}, key {key!r}"

    @abstractmethod
    def keys(self) -> list[str]:
        """Return the arrays' names, in the file's order; parts of groups are called ``group/name``."""

    def shape(self, key: str) -> tuple[int, ...]:
        """Return an array's shape, from its header alone where the format has one.

        Raises:
            DataError: if there is no such array or its header is damaged.
        """
        self._require(key)
        with as_data_error(self.where(key)):
            return self._reader(key)._shape(key)

    def array(self, key: str) -> Array:
        """Return the array called ``key``, oriented as its author saw it; texts as an array of ``str``.

        Raises:
            DataError: if there is none, or it cannot be read.
        """
        self._require(key)
        with as_data_error(self.where(key)):
            values = self._reader(key)._read(key)
            if values.dtype.kind == "S":
                require_memory(4 * values.nbytes, self.where(key))
                values = np.char.decode(values, "utf-8")
            if values.dtype.kind == "U" and values.nbytes:
                native = values.astype(values.dtype.newbyteorder("="), copy=False)
                codes = np.ascontiguousarray(native).reshape(-1).view(np.uint32)
                if codes.max() > sys.maxunicode:
                    raise ValueError("a text has a code that is no character's")
            return values

    def matrix(self, key: str, transposed: bool = False) -> Array:
        """Return an array of numbers for use as features: float32 in C order, read in blocks if large.

        Columns are samples if ``transposed``. What is no matrix is returned as it is.

        Raises:
            DataError: if there is none, or it cannot be read.
        """
        return self.matrices(key, transposed, {"": None})[""]

    def matrices(self, key: str, transposed: bool, parts: Rows) -> dict[str, Array]:
        """Return rows of an array by part, each as `matrix` returns all; the rest is not kept in memory."""
        self._require(key)
        with as_data_error(self.where(key)):
            return self._reader(key)._read_matrices(key, transposed, parts)

    def cells(self, key: str) -> list[Array]:
        """Return the arrays of the cell array (or list) called ``key``, in its order.

        Raises:
            DataError: if there is none, it cannot be read, or it is no cell array.
        """
        self._require(key)
        with as_data_error(self.where(key)):
            return self._reader(key)._read_cells(key)

    def __contains__(self, key: str) -> bool:
        """Return whether there is an array called ``key``."""
        return key in self.keys()

    def close(self) -> None:  # noqa: B027 - a reader that keeps nothing open has nothing to do
        """Close the file."""

    def _require(self, key: str) -> None:
        """Refuse a key that is not there, with the nearest one; raises DataError."""
        if key in self:
            return
        keys = self.keys()
        near = get_close_matches(key, keys[:_SUGGESTED], n=1)
        hint = f" (is {near[0]!r} meant?)" if near else ""
        shown = ", ".join(map(repr, keys[:_LISTED])) or "no keys at all"
        more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
        raise DataError(
            f"{self.path}: key {key!r} is missing; the file has {shown}{more}{hint}. "
            "Is it the file that its dataset's card describes?"
        )

    def _reader(self, key: str) -> ArrayFile:
        """Return what reads an array: this file, or the reader of its nested entries."""
        return self._nested if self._nested is not None and key in self._nested else self

    def _shape(self, key: str) -> tuple[int, ...]:
        """Return an array's shape; see `shape`."""
        return self._read(key).shape

    @abstractmethod
    def _read(self, key: str) -> Array:
        """Return an array; see `array`."""

    def _stored(self, key: str) -> Stored | None:
        """Return the matrix of numbers called ``key``, to be read in blocks; None where that does not go."""
        return None

    def _read_matrices(self, key: str, transposed: bool, parts: Rows) -> dict[str, Array]:
        """Return rows of an array by part; see `matrices`."""
        stored = self._stored(key)
        if stored is not None:
            return filled(stored, transposed, parts)
        return cut_in_memory(self._read(key), transposed, parts)

    def _read_cells(self, key: str) -> list[Array]:
        """Return the arrays of a cell array; see `cells`."""
        raise DataError(f"{self.where(key)}: expected a MATLAB cell array, which this container cannot hold")


class NoArray(ValueError):
    """A list in a sound file is no array; `as_data_error` names the file."""


@contextmanager
def as_data_error(where: str) -> Iterator[None]:
    """Turn whatever a reading library raises into one sentence.

    A damaged file can make them raise nearly anything, from `zlib.error` to `TypeError`.
    """
    try:
        yield
    except DataError:
        raise
    except NoArray as error:
        raise DataError(f"{where}: {error}") from None
    except FileNotFoundError:
        raise DataError(f"{where}: the file does not exist") from None
    except PermissionError:
        raise DataError(f"{where}: there is no permission to read the file; change its permissions") from None
    except MemoryError:
        raise DataError(f"{where}: too large for this machine's memory") from None
    except Exception as error:
        try:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
        except Exception:  # as for a number of thousands of digits
            reason = type(error).__name__
        raise DataError(
            f"{where}: cannot be read, the file is truncated or damaged ({reason}). Get it again"
        ) from error


def is_file(path: Path | str) -> bool:
    """Return whether there is a file; False also if the path is longer than the system allows."""
    return os.path.isfile(path)  # noqa: PTH113 - `Path.is_file` raises an error then


def is_folder(path: Path | str) -> bool:
    """Return whether there is a folder; False also if the path is longer than the system allows."""
    return os.path.isdir(path)  # noqa: PTH112 - `Path.is_dir` raises an error then


def is_other(path: Path | str) -> bool:
    """Return whether a path leads to what is neither a file nor a folder: a pipe, a socket or a device."""
    return os.path.exists(path) and not is_file(path) and not is_folder(path)  # noqa: PTH110


def require_regular(path: Path) -> None:
    """Refuse a path that leads to anything but a regular file: reading a pipe would wait for ever."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(mode), "a device")
        way = "give a file in it" if stat.S_ISDIR(mode) else "write its content to a file, and give that"
        raise DataError(f"{path} is not a regular file but {kind}; {way}")


def require_distinct(keys: Sequence[str], path: Path) -> None:
    """Refuse a file in which a key occurs twice, or which has too many."""
    if len(keys) > _MOST_KEYS:
        raise DataError(f"{path}: {len(keys)} arrays are more than the {_MOST_KEYS} that are read")
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise DataError(f"{path}: the key {key!r} occurs twice; rename or remove one of the two")
        seen.add(key)


def require_memory(needed: int, where: str, stored: int | None = None) -> None:
    """Refuse an array that needs more bytes than are free, or than its ``stored`` packed bytes can hold."""
    if needed < _UNCHECKED:
        return
    import psutil

    free = psutil.virtual_memory().available
    if needed > free:
        raise DataError(
            f"{where}: unpacks to {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free; "
            "use a machine with more memory, or a smaller file"
        )
    if stored is not None and needed > max(_ALWAYS_ALLOWED, _EXPANSION * stored):
        raise DataError(
            f"{where}: {stored / 1e6:.1f} MB unpack to {needed / 1e9:.1f} GB, which no features do; "
            "store the array uncompressed if it is right"
        )


def not_numeric(where: str, is_object: bool, found: str = "a cell array of matrices") -> DataError:
    """Return the refusal of a variable of MATLAB's, such as an object, which only MATLAB can read."""
    if not is_object:
        return DataError(f"{where}: expected a numeric matrix, found {found}")
    return DataError(
        f"{where}: an object of MATLAB's, such as a string array, a categorical array or a table, which only "
        "MATLAB reads; store cellstr(x), double(x) or table2array(x)"
    )


def texts(values: Iterable[Any]) -> Array:
    """Return texts, or bytes in UTF-8, as an array ``(n,)`` of objects: the longest sets no width."""
    decoded = [value.decode("utf-8") if isinstance(value, bytes) else value for value in values]
    if not all(isinstance(value, str) for value in decoded):
        raise NoArray("a list that is neither of numbers nor of texts")
    return np.array([*map(str, decoded)], dtype=object)


def joined(rows: Iterable[Iterable[Any]]) -> Array:
    """Return lists of numbers or texts, of any lengths, as one text for each: what several labels are."""
    found = [[*row] for row in rows]
    if not all(isinstance(one, str | bool | int | np.integer | np.bool_) for row in found for one in row):
        raise NoArray(
            "lists of different lengths that are no lists of classes; store rows of one length, such as each "
            "caption in a row with the id of its picture"
        )
    return texts(LISTS[0].join(str(one) for one in row) for row in found)


def are_texts(values: Array) -> bool:
    """Return whether an array holds texts, in any of NumPy's ways."""
    return values.dtype.kind in "US" or (
        values.dtype == object and all(isinstance(one, str | bytes) for one in values.reshape(-1))
    )


def sparse_matrix(parts: Mapping[str, Any], kind: str, shape: Sequence[int], where: str) -> Array:
    """Return a full matrix from what SciPy stores of a sparse one: csr and csc, or coo.

    Raises:
        DataError: if it would not fit into memory.
        ValueError: if its parts do not fit together.
    """
    from scipy import sparse

    data = np.asarray(parts["data"])
    if data.dtype.kind not in "biuf" or data.ndim != 1 or len(shape) != 2 or min(shape) < 0:
        raise ValueError(f"a sparse matrix of {data.dtype} and of shape {shape}")
    if kind not in ("csr", "csc", "coo"):
        raise DataError(f"{where}: a sparse matrix of the kind {kind!r}; store it as csr")
    names = ("row", "col") if kind == "coo" else ("indices", "indptr")
    first, second = (np.asarray(parts[name]) for name in names)
    if first.dtype.kind not in "iu" or second.dtype.kind not in "iu" or first.shape != data.shape:
        raise ValueError("indices of a sparse matrix that are no integers, or not one for each number")
    size = (shape[0], shape[1])
    if kind == "coo":
        matrix: Any = sparse.coo_matrix((data, (first, second)), shape=size)
    else:
        lines = size[0] if kind == "csr" else size[1]
        if second.shape != (lines + 1,) or (np.diff(second) < 0).any():
            raise ValueError("parts of a sparse matrix that do not fit together")
        matrix = (sparse.csr_matrix if kind == "csr" else sparse.csc_matrix)(
            (data, first, second), shape=size
        )
        matrix.check_format(full_check=True)
    require_memory(math.prod(size) * data.dtype.itemsize, where)
    return np.asarray(matrix.toarray())
