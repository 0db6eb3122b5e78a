"""Parts of files as streams of bytes, unpacked where they are compressed."""

from __future__ import annotations

import zlib
from typing import IO, Final

_PIECE: Final = 1 << 20


class Stream:
    """Bytes of a part of a file, unpacked as they are read."""

    def __init__(self, file: IO[bytes], start: int, size: int, compressed: bool) -> None:
        file.seek(start)
        self._file, self._left = file, size
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
