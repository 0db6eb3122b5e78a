"""Variables of MAT version 5 as streams of bytes and elements, unpacked where they are compressed."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from bench.contract import Array
from bench.data.formats.array_file import require_memory

_PIECE: Final = 1 << 20
_TYPES: Final = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""Types of numbers, by the numbers of the format."""


class Stream:
    """Bytes of a variable, of one order, unpacked as they are read."""

    def __init__(
        self, file: IO[bytes], start: int, size: int, compressed: bool, order: str, path: Path
    ) -> None:
        file.seek(start)
        self._file, self._left, self._order, self._path = file, size, order, path
        self.stored = size if compressed else None
        self._unpack = zlib.decompressobj() if compressed else None
        self._buffer = bytearray()

    def read(self, count: int) -> bytes:
        """Return exactly so many bytes."""
        if self._unpack is None:
            if count > self._left:
                raise ValueError(f"{count - self._left} bytes are missing")
            self._left -= count
            content = self._file.read(count)
            if len(content) != count:
                raise ValueError(f"{count - len(content)} bytes are missing")
            return content
        while len(self._buffer) < count:
            piece = self._more(count - len(self._buffer))
            if not piece:
                raise ValueError(f"{count - len(self._buffer)} bytes are missing")
            self._buffer += piece
        content = bytes(self._buffer[:count])
        del self._buffer[:count]
        return content

    def _more(self, most: int) -> bytes:
        """Return the next unpacked bytes, about so many; none at the end."""
        assert self._unpack is not None
        while not self._unpack.eof:
            packed = self._unpack.unconsumed_tail
            if not packed and self._left:
                packed = self._file.read(min(_PIECE, self._left))
                self._left -= len(packed)
            piece = self._unpack.decompress(packed, max(most, _PIECE))
            if piece or not (packed or self._left):
                return piece
            if not packed:
                break
        return b""

    def skip(self, count: int) -> None:
        """Pass over so many bytes."""
        if self._unpack is None:
            if count > self._left:
                raise ValueError(f"{count - self._left} bytes are missing")
            self._left -= count
            self._file.seek(count, 1)
            return
        while count:
            count -= len(self.read(min(count, _PIECE)))

    def finish(self) -> None:
        """Check the checksum of compressed bytes, which is at their end.

        Raises:
            ValueError: if there are more bytes, or the checksum is missing.
        """
        if self._unpack is not None and (self._buffer or self._more(1) or not self._unpack.eof):
            raise ValueError("a compressed variable has no end")

    def words(self) -> tuple[int, int]:
        """Return two whole numbers of four bytes: kind and size of an element."""
        kind, size = struct.unpack(f"{self._order}II", self.read(8))
        return kind, size

    def tag(self, most: int) -> tuple[int, int, bytes | None, int]:
        """Return an element's kind and size, its content if it is in the tag, and its bytes in all."""
        if most < 8:
            raise ValueError("an element is missing")
        tag = self.read(8)
        kind, size = struct.unpack(f"{self._order}II", tag)
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise ValueError("a small element of a wrong size")
            return kind, size, tag[4 : 4 + size], 8
        whole = 8 + size + -size % 8
        if 8 + size > most:
            raise ValueError(f"an element needs {8 + size - most} bytes more than there are")
        return kind, size, None, min(whole, most)

    def element(self, most: int) -> tuple[int, bytes, int]:
        """Return an element's kind, content, and the bytes that it takes with its padding."""
        kind, size, content, whole = self.tag(most)
        if content is None:
            require_memory(size, str(self._path), self.stored)
            content = self.read(size)
            self.skip(whole - 8 - size)
        return kind, content, whole

    def numbers(self, most: int, limit: int | None = None) -> tuple[int, Array, int]:
        """Return an element's kind, its numbers, and the bytes that it takes; see `element`."""
        kind, content, whole = self.element(most)
        dtype = self.dtype(kind)
        if len(content) % dtype.itemsize or (limit and len(content) > 8 * limit):
            raise ValueError("an element of a wrong size")
        return kind, np.frombuffer(content, dtype), whole

    def dtype(self, kind: int) -> np.dtype[Any]:
        """Return a type of numbers; raises ValueError for an unknown one."""
        if kind not in _TYPES:
            raise ValueError(f"numbers of the unknown type {kind}")
        return np.dtype(self._order + _TYPES[kind])
