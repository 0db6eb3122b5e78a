"""MAT version 4: matrices of numbers and of letters, each behind a header of 20 bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import (
    ArrayFile,
    blamed,
    require_distinct,
    require_memory,
    sparse_matrix,
    texts,
)
from bench.data.formats.stored import Stored, blocks_of

_TYPES: Final = ("f8", "f4", "i4", "i2", "u2", "u1")
_LONGEST_NAME: Final = 256


class _Variable(NamedTuple):
    start: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    kind: int
    """0 for numbers, 1 for letters, 2 for a sparse matrix: a column each of rows, columns and values."""

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def is_mat4(head: bytes) -> bool:
    """Return whether a file that begins with ``head`` begins with a variable of this version."""
    with_order = _order_and_type(head[:4])
    if with_order is None or len(head) < 21:
        return False
    rows, columns, imaginary, length = struct.unpack(f"{with_order[0]}iiii", head[4:20])
    return min(rows, columns) >= 0 and imaginary in (0, 1) and 1 < length <= _LONGEST_NAME and bool(rows)


def _order_and_type(word: bytes) -> tuple[str, int] | None:
    """Return the order of bytes and the number MOPT that a header begins with; None if it is no header."""
    for number, order in enumerate("<>"):
        if len(word) == 4:
            (mopt,) = struct.unpack(f"{order}i", word)
            digits = mopt // 1000, mopt // 100 % 10, mopt // 10 % 10, mopt % 10
            if mopt >= 0 and digits[:2] == (number, 0) and digits[2] < len(_TYPES) and digits[3] < 3:
                return order, mopt
    return None


class Mat4(ArrayFile):
    """An open file in the MAT v4 format."""

    def __init__(self, path: Path) -> None:
        """Read the headers of all variables."""
        super().__init__(path)
        with blamed(str(path)):
            found = [*self._headers(path.stat().st_size)]
            require_distinct([name for name, _ in found], path)
            self._found = dict(found)

    def _headers(self, size: int) -> Iterator[tuple[str, _Variable]]:
        with self.path.open("rb") as stream:
            while stream.tell() < size:
                head = stream.read(20)
                known = _order_and_type(head[:4])
                if known is None or len(head) < 20:
                    raise ValueError("it ends inside a variable's header")
                order, mopt = known
                rows, columns, imaginary, length = struct.unpack(f"{order}iiii", head[4:])
                if min(rows, columns) < 0 or not 0 < length <= _LONGEST_NAME:
                    raise ValueError("a variable's header is wrong")
                name = stream.read(length).rstrip(b"\0").decode("latin-1")
                dtype = np.dtype(order + _TYPES[mopt // 10 % 10])
                variable = _Variable(stream.tell(), (rows, columns), dtype, mopt % 10)
                if imaginary:
                    raise DataError(f"{self.path}, key {name!r}: expected real numbers, found complex ones")
                if variable.start + variable.size > size:
                    raise ValueError(f"{name[:40]!r} needs more bytes than there are")
                stream.seek(variable.size, 1)
                yield name, variable

    def keys(self) -> list[str]:
        """Return the variables' names."""
        return [*self._found]

    def _shape(self, key: str) -> tuple[int, ...]:
        item = self._found[key]
        return item.shape if item.kind == 0 else self._read(key).shape

    def _read(self, key: str) -> Array:
        item = self._found[key]
        require_memory(item.size, self.where(key))
        with self.path.open("rb") as stream:
            stream.seek(item.start)
            values = np.frombuffer(stream.read(item.size), item.dtype).reshape(item.shape, order="F")
        if item.kind == 1:
            values = np.nan_to_num(values)
            return texts(bytes(row.astype("u1")).decode("latin-1").rstrip() for row in values)
        if item.kind == 2:
            row, column, data = values.T[:3]  # the last one states the shape
            parts = {"data": data[:-1].astype("f8"), "row": row[:-1].astype(int) - 1}
            parts["col"] = column[:-1].astype(int) - 1
            return sparse_matrix(parts, "coo", (int(row[-1]), int(column[-1])), self.where(key))
        return values

    def _stored(self, key: str) -> Stored | None:
        item = self._found[key]
        if item.kind:
            return None
        require_memory(4 * math.prod(item.shape), self.where(key))

        def blocks() -> Iterator[Array]:
            with self.path.open("rb") as stream:
                stream.seek(item.start)
                yield from blocks_of(stream.read, item.shape, item.dtype, fortran=True)

        return Stored(item.shape, True, blocks())
