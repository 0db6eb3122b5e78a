"""Parts of files, and arrays that stay in them until they are read: those of pickles and PyTorch files."""

from __future__ import annotations

import codecs
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import numpy as np

from bench.contract import Array
from bench.data.formats.array_file import require_memory
from bench.data.formats.stored import BLOCK, Stored, blocks_of, widened


class Lazy(ABC):
    """A value that is read as an array on demand."""

    __slots__ = ()

    @abstractmethod
    def matrix(self, where: str) -> Array:
        """Return the array; ``where`` is file and key, for messages."""

    def stored(self) -> Stored | None:
        """Return a matrix of numbers to be read in blocks; None where that does not go."""
        return None


class Piece(NamedTuple):
    """Consecutive bytes of a file.

    Attributes:
        opened: opens the file, or the member of an archive.
        start: where they begin.
        stored: number of bytes in the file.
        size: number of bytes that they encode.
        letters: whether each byte is stored as the UTF-8 of a letter, as pickles of protocol 2 do.
    """

    opened: Callable[[], IO[bytes]]
    start: int
    stored: int
    size: int
    letters: bool = False

    @contextmanager
    def reader(self) -> Iterator[Callable[[int], bytes]]:
        """Yield what returns so many of the next bytes, or fewer at the end."""
        with self.opened() as stream:
            stream.seek(self.start)
            if not self.letters:
                yield stream.read
                return
            decode = codecs.getincrementaldecoder("utf-8")().decode
            ready, left = bytearray(), self.stored

            def read(count: int) -> bytes:
                nonlocal left
                while len(ready) < count and (block := stream.read(min(BLOCK, left))):
                    left -= len(block)
                    ready.extend(decode(block).encode("latin-1"))
                content = bytes(ready[:count])
                del ready[:count]
                return content

            yield read

    def content(self) -> bytes:
        """Return all bytes."""
        with self.reader() as read:
            content = read(self.size)
        if len(content) != self.size:
            raise ValueError(f"{self.size - len(content)} bytes are missing")
        return content


class Bounded:
    """A stream over a part of a file that reads no more than there is, whatever the requested size."""

    def __init__(self, opener: Callable[[], IO[bytes]], start: int, size: int) -> None:
        """Open the file, of which the part begins at ``start`` and has so many bytes."""
        self._opener, self._stream, self._left = opener, opener(), size
        self._stream.seek(start)
        self.embedded = size
        """Bytes of embedded files that may yet be read: each once."""

    def read(self, count: int) -> bytes:
        """Return so many bytes, or those that are left."""
        return self._taken(self._stream.read(min(count, self._left)))

    def readline(self) -> bytes:
        """Return a line, or what is left."""
        return self._taken(self._stream.readline(self._left))

    def _taken(self, content: bytes) -> bytes:
        """Count bytes that were read."""
        self._left -= len(content)
        return content

    def piece(self, stored: int, letters: bool) -> Piece:
        """Pass over so many bytes and return where they are; see `Piece`."""
        if stored > self._left:
            raise ValueError(f"{stored - self._left} bytes are missing")
        start, size, left = self._stream.tell(), stored, stored
        if letters:
            decode, size = codecs.getincrementaldecoder("utf-8")().decode, 0
            while block := self.read(min(BLOCK, left)):
                left, size = left - len(block), size + len(decode(block))
        else:
            self._stream.seek(stored, 1)
            self._left -= stored
        return Piece(self._opener, start, stored, size, letters)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


@dataclass
class Storage:
    """Numbers of one type that follow each other in a file; several tensors may share them.

    Attributes:
        dtype: as stored.
        count: of the numbers.
        piece: where they are; None until it is known.
        bfloat16: whether they are the upper halves of float32.
    """

    dtype: np.dtype[Any]
    count: int
    piece: Piece | None = None
    bfloat16: bool = False


class FileArray(Lazy):
    """An array of numbers (or of texts of equal length) in a file."""

    def __init__(self, storage: Storage, shape: tuple[int, ...], steps: tuple[int, ...], start: int) -> None:
        """Check that its numbers are there: those from ``start`` on, in such steps along each dimension."""
        span = 1 + sum((length - 1) * step for length, step in zip(shape, steps, strict=True))
        span = span if math.prod(shape) else 0
        if min(start, *shape, *steps, 0) < 0 or start + span > storage.count:
            raise ValueError("an array that is larger than its numbers")
        self._storage, self.shape, self._steps, self._start, self._span = storage, shape, steps, start, span

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its numbers, as stored."""
        return self._storage.dtype

    def _piece(self) -> Piece:
        """Return the bytes from its first to its last number; arrays in letters are whole pieces."""
        piece, size = self._storage.piece, self.dtype.itemsize
        if piece is None:
            raise ValueError("a tensor without numbers")
        if self._span == self._storage.count:
            return piece
        return Piece(piece.opened, piece.start + self._start * size, self._span * size, self._span * size)

    def matrix(self, where: str) -> Array:
        """Return the array."""
        piece = self._piece()
        require_memory(piece.size, where)
        numbers = np.frombuffer(piece.content(), self.dtype, self._span)
        steps = [step * self.dtype.itemsize for step in self._steps]
        found = np.lib.stride_tricks.as_strided(numbers, self.shape, steps, writeable=False)
        return widened(found, self._storage.bfloat16)

    def stored(self) -> Stored | None:
        """Return a matrix of numbers to be read in blocks; None where it has gaps."""
        storage, steps = self._storage, self._steps
        if len(self.shape) != 2 or storage.dtype.kind not in "biuf":
            return None
        shape = (self.shape[0], self.shape[1])
        if steps not in ((shape[1], 1), (1, shape[0])):
            return None
        fortran = steps != (shape[1], 1)

        def blocks() -> Iterator[Array]:
            with self._piece().reader() as read:
                for block in blocks_of(read, shape, storage.dtype, fortran):
                    yield widened(block, storage.bfloat16)

        return Stored(shape, fortran, blocks())


def contiguous(storage: Storage, shape: tuple[int, ...], fortran: bool) -> FileArray:
    """Return an array whose numbers follow each other without gaps, by rows or by columns."""
    order = shape if fortran else shape[::-1]
    steps = tuple(math.prod(order[:index]) for index in range(len(shape)))
    return FileArray(storage, shape, steps if fortran else steps[::-1], 0)
