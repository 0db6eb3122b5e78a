"""JSON and JSON lines: nested objects and lists of numbers and texts.

Long lists of numbers stay in the file until they are read: as Python's numbers they take eight times the
memory of float32, and as text up to five times.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.contract import Array
from bench.data.formats.array_file import as_data_error, require_distinct, require_memory
from bench.data.formats.file_arrays import Lazy
from bench.data.formats.nested import Nested
from bench.data.formats.samples import of_sentences
from bench.data.formats.stored import BLOCK, Stored

_PER_BYTE: Final = 16
"""Bytes that Python's numbers and lists take for a byte of text, at most."""
_TOKEN: Final = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*(?:(")|\\?\Z)|\[[-+.\deE,\sNaInfity]{200,}(\])|\[[-+.\deE,\sNaInfity]*\Z',
    re.DOTALL,
)
"""A text (1), a long list of numbers (2), or the beginning of either at the end of what is read."""
_MARK: Final = "\0"
"""Begins the text that replaces a list of numbers; the number of the list follows."""


class Json(Nested):
    """A JSON file, or one object on each line."""

    def __init__(self, path: Path) -> None:
        """Read all but long lists of numbers."""
        with as_data_error(str(path)):
            lists = _Lists(path)
            text = lists.rest().decode("utf-8-sig")
            require_memory(_PER_BYTE * len(text), str(path))
            parsed = partial(json.loads, object_pairs_hook=lists.object_of)
            try:
                root = parsed(text)
            except json.JSONDecodeError:
                root = [parsed(line) for line in text.splitlines() if line.strip()]
            root = lists.found(root)
            super().__init__(path, of_sentences(root) or root)


class _Lists:
    """The long lists of numbers of a JSON file: where they are, and how long."""

    def __init__(self, path: Path) -> None:
        self.path, self.starts, self.ends, self.lengths = path, array("Q"), array("Q"), array("Q")

    def rest(self) -> bytearray:
        """Find the lists, and return the rest of the file, in which a text replaces each."""
        rest, text, at = bytearray(), b"", 0
        with self.path.open("rb") as stream:
            while block := stream.read(max(BLOCK, len(text))):
                text += block
                done, stop = 0, len(text)
                for token in _TOKEN.finditer(text):
                    if token.lastindex is None:
                        stop = token.start()
                    elif token.lastindex == 2:
                        rest += text[done : token.start()] + b'"\\u0000%d"' % len(self.starts)
                        done = token.end()
                        self.starts.append(at + token.start())
                        self.ends.append(at + done)
                        self.lengths.append(token[0].count(b",") + 1)
                rest += text[done:stop]
                text, at = text[stop:], at + stop
        return rest + text

    def object_of(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return an object with its lists of numbers."""
        if len(dict(pairs)) < len(pairs):
            require_distinct([key for key, _ in pairs], self.path)
        return {key: self.found(value) for key, value in pairs}

    def found(self, value: Any) -> Any:
        """Return a value with the lists that texts in it replace; objects in it have theirs already."""
        if isinstance(value, str) and value.startswith(_MARK):
            return _Numbers(self, int(value[1:]))
        if not isinstance(value, list):
            return value
        if len(value) > 1 and all(isinstance(one, str) and one.startswith(_MARK) for one in value):
            first = int(value[0][1:])
            if len({*self.lengths[first : first + len(value)]}) == 1:
                return _Numbers(self, first, len(value))
        return [self.found(one) if isinstance(one, str | list) else one for one in value]

    def rows(self, start: int, stop: int) -> Array:
        """Return lists of numbers of one length that follow each other."""
        with self.path.open("rb") as stream:
            stream.seek(self.starts[start])
            text = stream.read(self.ends[stop - 1] - self.starts[start])
        rows = np.asarray(json.loads(b"[" + text + b"]"))
        if rows.shape != (stop - start, self.lengths[start]):
            raise ValueError("lists of numbers of other lengths than it seems")
        return rows


class _Numbers(Lazy):
    """A list of numbers, or several of one length that follow each other."""

    __slots__ = ("_count", "_first", "_lists")  # there may be several for each sample

    def __init__(self, lists: _Lists, first: int, count: int | None = None) -> None:
        self._lists, self._first, self._count = lists, first, count

    @property
    def shape(self) -> tuple[int, ...]:
        """The lists' number, if they are several, and length."""
        width = self._lists.lengths[self._first]
        return (width,) if self._count is None else (self._count, width)

    def matrix(self, where: str) -> Array:
        """Return the numbers."""
        require_memory(_PER_BYTE * 4 * math.prod(self.shape), where)
        count = 1 if len(self.shape) == 1 else self.shape[0]
        return self._lists.rows(self._first, self._first + count).reshape(self.shape)

    def stored(self) -> Stored | None:
        """Return several lists as a matrix to be read in blocks."""
        if len(self.shape) == 1:
            return None
        count, width = self.shape
        end, step = self._first + count, max(1, BLOCK // (16 * width))
        starts = range(self._first, end, step)
        return Stored((count, width), False, (self._lists.rows(at, min(at + step, end)) for at in starts))
