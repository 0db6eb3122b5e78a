"""Arrays in nested dicts and lists: what pickles, PyTorch files, object arrays and JSON hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import MOST_VIEWS, ArrayFile, blamed, joined, require_memory, texts
from bench.data.formats.pickles import Bounded, Lazy, Unpickler, opened
from bench.data.formats.samples import aligned, columns_of

_DEEPEST: Final = 12


class Nested(ArrayFile):
    """Arrays in nested dicts and lists; ``a/b`` is entry ``b`` of entry ``a``.

    A list of dicts of single values is a table, whose columns are arrays; so is a dict of them by ids.
    """

    def __init__(self, path: Path, root: Any) -> None:
        """Name what ``root`` holds; a list without names is called as the file."""
        super().__init__(path)
        self._budget = max(1_000_000, path.stat().st_size)
        with blamed(str(path)):
            named: Any = columns_of(root)
            if named is None:
                named = aligned({path.stem: root})
                named = root if isinstance(root, dict) and len(named) == 1 else named
            self._values = dict(self._flat(named, "", 0))

    def _flat(self, value: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
        if depth > _DEEPEST:
            raise DataError(f"{self.path}: nested more than {_DEEPEST} deep")
        for key, entry in aligned(value).items():
            name = prefix + (key.decode("utf-8") if isinstance(key, bytes) else str(key))
            entry = opened(entry)
            self._budget -= 1
            if self._budget < 0:
                raise DataError(f"{self.path}: it holds itself many times over")
            if isinstance(entry, dict):
                yield from self._flat(columns_of(entry) or entry, f"{name}/", depth + 1)
            elif isinstance(entry, list | tuple) and any(isinstance(opened(one), dict) for one in entry):
                numbered = {str(index): one for index, one in enumerate(entry)}
                yield from self._flat(columns_of(entry) or numbered, f"{name}/", depth + 1)
            elif views := _views_in(entry):
                yield name, entry
                yield from self._flat(dict(enumerate(views, start=1)), f"{name}/", depth + 1)
            else:
                yield name, entry

    def keys(self) -> list[str]:
        """Return the names of arrays; those in dicts and lists as ``a/b``."""
        return [*self._values]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def _require(self, key: str) -> None:
        if key not in self._values:
            super()._require(key)

    def _shape(self, key: str) -> tuple[int, ...]:
        shape = getattr(self._values[key], "shape", None)
        return tuple(shape) if shape is not None else self._read(key).shape

    def _read(self, key: str) -> Array:
        values = self._array(key)
        if values.dtype == object and not all(isinstance(one, str) for one in values.reshape(-1)):
            raise DataError(f"{self.where(key)}: numbers that no type of NumPy's holds")
        return values

    def _array(self, key: str) -> Array:
        value = self._values[key]
        if isinstance(value, Lazy):
            return value.matrix(self.where(key))
        if isinstance(value, np.ndarray):
            return value
        if isinstance(value, list | tuple):
            return self._listed(value, key)
        if isinstance(value, str | bytes | bool | int | float | np.generic):
            return np.asarray(value)
        raise DataError(f"{self.where(key)}: is no array but {type(value).__name__}")

    def _opened(self, value: Sequence[Any], key: str) -> list[Any]:
        """Return the entries of a list, what is read when asked for among them as arrays."""
        shapes = [getattr(one, "shape", None) if isinstance(one, Lazy) else None for one in value]
        require_memory(8 * sum(math.prod(shape) for shape in shapes if shape is not None), self.where(key))
        return [
            opened(one) if shape is None else one.matrix(self.where(key))
            for one, shape in zip(value, shapes, strict=True)
        ]

    def _listed(self, value: list[Any] | tuple[Any, ...], key: str) -> Array:
        """Return a list of numbers, of texts, or of rows, as an array."""
        rows = self._opened(value, key)
        rows = _filled_gaps(rows) if any(row is None for row in rows) else rows
        if rows and all(isinstance(row, str | bytes) for row in rows):
            return texts(rows)
        size = sum(len(row) if isinstance(row, list | tuple) else np.size(row) for row in rows)
        require_memory(8 * size, self.where(key))
        for row in rows:
            parts = row if isinstance(row, list | tuple) else []
            if any(isinstance(part, str) for part in parts):
                return joined(rows)
            if not all(isinstance(part, bool | int | float | np.generic) for part in parts):
                raise DataError(f"{self.where(key)}: a list of lists that hold no numbers")
        if not all(
            isinstance(row, bool | int | float | np.generic | np.ndarray | list | tuple) for row in rows
        ):
            raise DataError(f"{self.where(key)}: a list of anything but numbers, texts or rows of numbers")
        if len({np.shape(row) if not isinstance(row, list | tuple) else (len(row),) for row in rows}) > 1:
            return joined(rows)
        return np.asarray(rows)

    def _read_cells(self, key: str) -> list[Array]:
        value = self._values[key]
        if not isinstance(value, list | tuple):
            raise DataError(f"{self.where(key)}: expected a list of arrays")
        return [*map(np.asarray, self._opened(value, key))]


class Pickle(Nested):
    """A pickle of arrays, lists and dicts."""

    def __init__(self, path: Path) -> None:
        """Unpickle it with the allow-list above."""
        with blamed(str(path)), path.open("rb") as stream:
            require_memory(path.stat().st_size, str(path))
            try:
                root = Unpickler(Bounded(stream, path.stat().st_size), encoding="latin1").load()
            except DataError as error:
                raise DataError(f"{path}: {error}") from None
        super().__init__(path, root)


def _views_in(value: Any, nested: bool = True) -> list[Any]:
    """Return the arrays of a list of few with a matrix of several rows among them; empty if it is none.

    Args:
        value: of any kind; a row or a column of MATLAB's cells is one, too.
        nested: whether a list of such lists is one.
    """
    if not isinstance(value, list | tuple) or len(value) > MOST_VIEWS:
        return []
    entries = [opened(one) for one in value]
    if nested and len(entries) == 1 and _views_in(entries[0], nested=False):
        return _views_in(entries[0], nested=False)
    if nested and all(isinstance(one, list | tuple) and len(one) == 1 for one in entries):
        entries = [opened(one[0]) for one in entries]
    shapes: list[Any] = [getattr(one, "shape", ()) for one in entries]
    several = any(len(shape) == 2 and shape[0] > 1 for shape in shapes)
    return entries if several or (nested and any(_views_in(one, nested=False) for one in entries)) else []


def _filled_gaps(rows: list[Any]) -> list[Any]:
    """Return rows with NaN (or an empty text) where one is None."""
    known = next((row for row in rows if row is not None), 0.0)
    if isinstance(known, str | bytes):
        gap: Any = ""
    elif isinstance(known, list | tuple):
        gap = [math.nan] * len(known)
    else:
        gap = np.full(np.shape(known), math.nan) if np.shape(known) else math.nan
    return [gap if row is None else row for row in rows]
