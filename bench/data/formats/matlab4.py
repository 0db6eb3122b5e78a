"""MAT version 4: matrices of numbers and of letters, each behind a header of 20 bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import as_data_error, require_distinct, sparse_matrix, texts
from bench.data.formats.file_arrays import FileArray, Lazy, Piece, Storage, contiguous
from bench.data.formats.nested import Nested

_TYPES: Final = ("f8", "f4", "i4", "i2", "u2", "u1")
_LONGEST_NAME: Final = 256
_COMPLEX: Final = 3
"""Beside the format's numbers for letters and sparse matrices."""


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


class Mat4(Nested):
    """A file in the MAT v4 format."""

    def __init__(self, path: Path) -> None:
        """Read the headers of all variables."""
        with as_data_error(str(path)):
            found = [*_variables(path)]
            require_distinct([name for name, _ in found], path)
        super().__init__(path, dict(found))


def _variables(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield name and content of each variable; raises ValueError if a header is wrong."""
    size = path.stat().st_size
    with path.open("rb") as stream:
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
            dtype, start = np.dtype(order + _TYPES[mopt // 10 % 10]), stream.tell()
            stored = rows * columns * dtype.itemsize * (2 if imaginary else 1)
            if start + stored > size:
                raise ValueError(f"{name[:40]!r} needs more bytes than there are")
            storage = Storage(
                dtype, stored // dtype.itemsize, Piece(lambda: path.open("rb"), start, stored, stored)
            )
            numbers, kind = contiguous(storage, (rows, columns), True), _COMPLEX if imaginary else mopt % 10
            yield name, _Encoded(numbers, kind) if kind else numbers
            stream.seek(start + stored)


class _Encoded(Lazy):
    """A matrix of letters (1), of rows, columns and values of a sparse matrix (2), or of complex numbers."""

    def __init__(self, numbers: FileArray, kind: int) -> None:
        self._numbers, self._kind = numbers, kind

    def matrix(self, where: str) -> Array:
        """Return texts or a full matrix."""
        if self._kind == _COMPLEX:
            raise DataError(f"{where}: expected real numbers, found complex ones")
        values = self._numbers.matrix(where)
        if self._kind == 1:
            codes = np.nan_to_num(values).astype("u1")
            return texts(bytes(row).decode("latin-1").rstrip() for row in codes)
        row, column, data = values.T[:3].astype("f8")  # the last entries are the shape
        parts = {"data": data[:-1], "row": row[:-1].astype(int) - 1, "col": column[:-1].astype(int) - 1}
        return sparse_matrix(parts, "coo", (int(row[-1]), int(column[-1])), where)
