"""MAT version 5: variables, cell arrays, structures, texts and sparse matrices.

Every length is checked against the bytes that are there before it is used: the files come from anywhere, and
a wrong length or index must end in a sentence.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import (
    MOST_VIEWS,
    ArrayFile,
    as_data_error,
    not_numeric,
    require_distinct,
    require_memory,
    sparse_matrix,
    texts,
)
from bench.data.formats.nested import Nested
from bench.data.formats.samples import FEWEST, MOST_ROWS, single
from bench.data.formats.stored import Stored, blocks_of
from bench.data.formats.streams import Stream

_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _SPARSE, _NUMERIC, _OBJECT = 1, 2, 4, 5, range(6, 16), 17
_ENCODINGS: Final = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
"""Numbers of the format: kinds of elements, classes of variables, encodings of texts."""
_DEEPEST: Final = 12
_MOST_FIELDS: Final = 4096
_MOST_CELLS: Final = 5_000_000


@dataclass(frozen=True)
class _Variable:
    """The header of a variable: ``rest`` bytes of it follow in the stream."""

    name: str
    family: int
    shape: tuple[int, ...]
    logical: bool
    complex: bool
    rest: int

    @property
    def count(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


class Mat5(ArrayFile):
    """An open file in the MAT v5 format."""

    _nested: Nested

    def __init__(self, path: Path) -> None:
        """Read the headers of all variables."""
        super().__init__(path)
        self._file = path.open("rb")
        with as_data_error(str(path)):
            head = self._file.read(128)
            self._order = "<" if head[126:128] == b"IM" else ">"
            self._size = path.stat().st_size
            found = [
                (key, (part, item))
                for part in self._top_level()
                for key, item in self._walked(part)[1]
                if item.name or "/" in key  # without a name: what MATLAB stores of objects
            ]
            require_distinct([key for key, _ in found], path)
            self._found = dict(found)
            several = [
                key
                for key, (_, item) in found
                if item.family == _CELL or (item.family == _STRUCT and item.count > 1)
            ]
            # an inner one takes a walk through its variable
            rest = {*[key for key in several if "/" in key][MOST_VIEWS:]}
            samples: dict[str, list[Any]] = {}
            for key in (key for key in several if key not in rest):
                with suppress(ValueError, DataError):  # reported when it is read
                    samples[key] = [*self._samples(*self._positioned(key), key)]
            self._nested = Nested(path, samples)
            for key in [*self._found]:
                parts = key.split("/")
                if any("/".join(parts[:end]) in samples for end in range(1, len(parts) + 1)):
                    del self._found[key]

    def keys(self) -> list[str]:
        """Return the variables' names; fields of structures are called ``structure/field``."""
        return [*self._found, *self._nested.keys()]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _top_level(self) -> Iterator[tuple[int, int, bool]]:
        """Yield start and size of every variable, and whether it is compressed."""
        position = 128
        while position < self._size:
            self._file.seek(position)
            tag = self._file.read(8)
            if len(tag) < 8:
                raise ValueError("it ends inside a variable's header")
            kind, size = struct.unpack(self._order + "II", tag)
            if position + 8 + size > self._size:
                missing = position + 8 + size - self._size
                raise ValueError(f"its last variable needs {missing} bytes more than there are")
            if kind not in (_MATRIX, _COMPRESSED):
                raise ValueError(f"an element of the kind {kind} where a variable is expected")
            yield position + 8, size, kind == _COMPRESSED
            position += 8 + size

    def _walked(self, part: tuple[int, int, bool]) -> tuple[Stream, Iterator[tuple[str, _Variable]]]:
        """Return the stream of a variable, and what yields the arrays in it; see `_walk`."""
        start, size, compressed = part
        stream = Stream(self._file, start, size, compressed, self._order, self.path)
        if compressed:
            kind, size = stream.words()
            if kind != _MATRIX:
                raise ValueError("a compressed element that is no variable")
        return stream, self._walk(stream, self._header(stream, size))

    def _walk(
        self, stream: Stream, variable: _Variable, prefix: str = "", depth: int = 0
    ) -> Iterator[tuple[str, _Variable]]:
        """Yield a variable, or fields of structures and matrices in cells, the stream behind each header.

        The iterator must not be used after a caller has read on from the stream.
        """
        key = prefix or variable.name
        if depth > _DEEPEST:
            raise ValueError("structures nested too deep")
        if variable.family == _CELL and 0 < variable.count <= MOST_VIEWS and depth < _DEEPEST:
            yield key, variable
            for index, cell in enumerate(self._cells(stream, variable), start=1):
                if cell.family == _STRUCT or (cell.family in (*_NUMERIC, _SPARSE) and cell.count > 1):
                    yield from self._walk(stream, cell, f"{key}/{index}", depth + 1)
                else:
                    stream.skip(cell.rest)
        elif variable.family == _STRUCT and 0 < variable.count <= MOST_VIEWS:
            several = variable.count > 1
            if several:
                yield key, variable
            numbers = dict[str, int]()
            for field, size in self._fields(stream, variable):
                numbers[field] = numbers.get(field, 0) + 1
                name = f"{key}/{numbers[field]}/{field}" if several else f"{key}/{field}"
                yield from self._walk(stream, self._header(stream, size), name, depth + 1)
        else:
            yield key, variable
            if depth:
                stream.skip(variable.rest)

    def _fields(self, stream: Stream, item: _Variable) -> Iterator[tuple[str, int]]:
        """Yield name and size of each field, of one structure after the other; it must be read then."""
        _, (length,), used = stream.numbers(item.rest)
        _, raw, used_names = stream.element(item.rest - used)
        rest = item.rest - used - used_names
        if not 0 < length <= 64 or len(raw) > length * _MOST_FIELDS:
            raise ValueError("names of fields of a wrong length")
        names = [raw[start : start + int(length)] for start in range(0, len(raw), int(length))]
        for index in range(item.count * len(names)):
            kind, size = stream.words()
            rest -= 8 + size
            if kind != _MATRIX or rest < 0:
                raise ValueError("a structure of a wrong length")
            yield names[index % len(names)].split(b"\0")[0].decode("latin-1"), size

    def _samples(self, stream: Stream, item: _Variable, key: str, matrix: bool = False) -> Iterator[Any]:
        """Yield the structures in a cell array or an array of them: a sample each, with texts and vectors.

        Many may have matrices, too, and be vectors or matrices of few rows themselves; few are parts rather
        than samples.
        """
        matrix |= item.count >= FEWEST
        require_memory(item.rest, self.where(key), stream.stored)
        if item.family == _CELL:
            for cell in self._cells(stream, item):
                if matrix and cell.family == _CELL:
                    raise ValueError("cells in cells")
                if matrix and cell.family in _NUMERIC and min(cell.shape) <= MOST_ROWS:
                    yield single(self._value(stream, cell, self.where(key)), matrix=True)
                else:
                    yield from self._samples(stream, cell, key, matrix)
            return
        if item.family != _STRUCT:
            raise ValueError("no structure")
        row: dict[str, Any] = {}
        for field, size in self._fields(stream, item):
            if field in row:  # the first field of the next one
                yield row
                row = {}
            row[field] = single(
                self._value(stream, self._header(stream, size), self.where(key)), matrix=matrix
            )
        yield row

    def _header(self, stream: Stream, size: int) -> _Variable:
        """Read the header of a variable of ``size`` bytes; raises ValueError if it is wrong."""
        if not size:
            return _Variable("", 6, (0, 0), False, False, 0)
        kind, flags, used = stream.numbers(size, 2)
        if kind != 6 or len(flags) != 2:
            raise ValueError("a variable's header is wrong")
        shape: tuple[int, ...] = (1, 1)
        family = (word := int(flags[0])) & 0xFF
        if not 0 < family <= 18:
            raise ValueError(f"a variable is of the unknown class {family}")
        if family != _OBJECT:  # which has a name alone
            kind, dims, more = stream.numbers(size - used, 64)
            used, shape = used + more, tuple(int(length) for length in dims)
            if kind not in (5, 6) or len(shape) < 2 or min(shape) < 0:  # some programs write them unsigned
                raise ValueError("a variable's header is wrong")
        kind, name, last = stream.element(size - used)
        if kind not in (1, 16) or len(name) > 4096:
            raise ValueError("a variable's header is wrong")
        decoded, rest = name.decode("utf-8", errors="replace"), size - used - last
        return _Variable(decoded, family, shape, bool(word & 0x200), bool(word & 0x800), rest)

    def _shape(self, key: str) -> tuple[int, ...]:
        """Return a variable's shape; that of texts is their number."""
        item = self._found[key][1]
        return item.shape[:-1] if item.family == _CHAR and len(item.shape) == 2 else item.shape

    def _positioned(self, key: str) -> tuple[Stream, _Variable]:
        """Return a stream behind the header of a variable, and the header."""
        stream, items = self._walked(self._found[key][0])
        for found, item in items:
            if found == key:
                return stream, item
        raise ValueError("it changed while it was read")

    def _read(self, key: str) -> Array:
        """Return a variable; a compressed one is read to its checksum."""
        stream, item = self._positioned(key)
        if item.family == _CELL:
            return self._texts(stream, item, key)
        values = self._value(stream, item, self.where(key))
        if "/" not in key:
            stream.finish()
        return values

    def _stored(self, key: str) -> Stored | None:
        """Return a matrix of real numbers to be read in blocks of columns."""
        stream, item = self._positioned(key)
        if item.family not in _NUMERIC or item.complex or len(item.shape) != 2:
            return None
        kind, size, content, _ = stream.tag(item.rest)
        dtype = self._dtype(stream, kind, size, item)
        if content is not None:
            return None
        require_memory(4 * item.count, self.where(key), stream.stored)
        shape = (item.shape[0], item.shape[1])

        def blocks() -> Iterator[Array]:
            yield from blocks_of(stream.read, shape, dtype, fortran=True)
            if "/" not in key:
                stream.skip(-size % 8 if self._found[key][0][2] else 0)
                stream.finish()

        return Stored(shape, True, blocks())

    def _dtype(self, stream: Stream, kind: int, size: int, item: _Variable) -> np.dtype[Any]:
        """Return the type of a matrix's numbers; raises ValueError unless it has those of its shape."""
        dtype = stream.dtype(kind)
        if size != item.count * dtype.itemsize:
            raise ValueError(f"a matrix of shape {item.shape} has {size // dtype.itemsize} numbers")
        return dtype

    def _value(self, stream: Stream, item: _Variable, where: str) -> Array:
        """Return the array whose header was just read, and pass over all of it."""
        if not item.rest and not item.count:
            return np.empty(item.shape)
        if item.family == _CHAR:
            return self._chars(stream, item)
        if item.family == _SPARSE:
            return self._sparse(stream, item, where)
        if item.family not in _NUMERIC:
            raise not_numeric(where, item.family == _OBJECT, "a cell array or a structure")
        if item.complex:
            raise DataError(f"{where}: expected real numbers, found complex ones")
        kind, size, content, _ = stream.tag(item.rest)
        dtype = self._dtype(stream, kind, size, item)
        if content is None:
            require_memory(size, where, stream.stored)
            content = stream.read(size)
            stream.skip(min(-size % 8, item.rest - 8 - size))
        values = np.frombuffer(content, dtype).reshape(item.shape, order="F")
        return values.astype(bool) if item.logical else values

    def _chars(self, stream: Stream, item: _Variable) -> Array:
        """Return the texts of a matrix of letters, one for each row."""
        kind, content, _ = stream.element(item.rest)
        if kind not in _ENCODINGS or len(item.shape) != 2:
            raise ValueError(f"a text of the unknown type {kind}")
        encoding = _ENCODINGS[kind]
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self._order == "<" else "-be"
        letters = content.decode(encoding)
        rows, columns = item.shape
        if rows <= 1:
            return texts([letters] * rows)
        if len(letters) != rows * columns:
            raise ValueError(f"a text of shape {item.shape} has {len(letters)} letters")
        return texts(letters[row::rows].rstrip() for row in range(rows))

    def _sparse(self, stream: Stream, item: _Variable, where: str) -> Array:
        """Return a sparse matrix as a full one."""
        if len(item.shape) != 2 or item.complex:
            raise ValueError("a sparse array that is no real matrix")
        _, rows, used = stream.numbers(item.rest)
        _, pointers, more = stream.numbers(item.rest - used)
        _, data, _ = stream.numbers(item.rest - used - more)
        filled = int(pointers[-1]) if len(pointers) else 0
        if not 0 <= filled <= min(len(rows), len(data)):
            raise ValueError("a sparse matrix of a wrong length")
        native = data[:filled].astype(data.dtype.newbyteorder("="))
        parts = {
            "data": native.astype(bool) if item.logical else native,
            "indices": rows[:filled].astype(np.int64),
            "indptr": pointers.astype(np.int64),
        }
        return sparse_matrix(parts, "csc", item.shape, where)

    def _texts(self, stream: Stream, item: _Variable, key: str) -> Array:
        """Return a cell array of texts as texts."""
        found: list[Any] = []
        for cell in self._cells(stream, item):
            if cell.family != _CHAR and cell.count:
                raise not_numeric(self.where(key), cell.family == _OBJECT)
            letters = self._chars(stream, cell) if cell.family == _CHAR and cell.rest else np.array([""])
            found.append("".join(letters.tolist()) if len(letters) else "")
        return texts(found)

    def _cells(self, stream: Stream, item: _Variable) -> Iterator[_Variable]:
        """Yield the header of each cell, the stream behind it; all of it must be read then."""
        if item.count > _MOST_CELLS:
            raise DataError(f"{self.path}: a cell array of {item.count} cells; store a matrix")
        if 8 * item.count > item.rest:
            raise ValueError(f"a cell array of {item.count} cells in {item.rest} bytes")
        rest = item.rest
        for _ in range(item.count):
            kind, size, content, whole = stream.tag(rest)
            if kind != _MATRIX or content is not None:
                raise ValueError("a cell that is no variable")
            rest -= whole
            yield self._header(stream, size)

    def _read_cells(self, key: str) -> list[Array]:
        """Return the arrays of a cell array, by rows."""
        stream, item = self._positioned(key)
        if item.family != _CELL:
            raise DataError(f"{self.where(key)}: expected a cell array, found a matrix of shape {item.shape}")
        found = [self._value(stream, cell, self.where(key)) for cell in self._cells(stream, item)]
        if "/" not in key:
            stream.finish()
        order = np.arange(item.count).reshape(item.shape, order="F").reshape(-1)
        return [found[index] for index in order]
