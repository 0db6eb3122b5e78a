"""Arrays in nested dicts and lists: what pickles, PyTorch files, object arrays and JSON hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import MOST_VIEWS, ArrayFile, as_data_error, joined, require_memory, texts
from bench.data.formats.file_arrays import Lazy
from bench.data.formats.pickles import opened, unpickled
from bench.data.formats.samples import FEWEST, MOST_ROWS, aligned, columns_of, shape_of
from bench.data.formats.stored import BLOCK, Stored

_DEEPEST: Final = 12
_NUMBER: Final = bool | int | float | np.generic


class Nested(ArrayFile):
    """Arrays in nested dicts and lists; ``a/b`` is entry ``b`` of entry ``a``.

    A list of dicts of single values is a table, whose columns are arrays; so is a dict of them by ids.
    """

    def __init__(self, path: Path, root: Any) -> None:
        """Name what ``root`` holds; a list without names is called as the file."""
        super().__init__(path)
        self._budget = max(1_000_000, path.stat().st_size)
        with as_data_error(str(path)):
            named: Any = columns_of(root)
            if named is None:
                named = aligned({path.stem: root})
                named = root if isinstance(root, dict) and len(named) == 1 else named
            self._values = dict(self._flat(named, "", 0))

    def _flat(self, value: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
        """Yield names and values of all entries of dicts and lists of them, by depth first."""
        if depth > _DEEPEST:
            raise DataError(f"{self.path}: nested more than {_DEEPEST} deep")
        for key, entry in aligned(value).items():
            name = prefix + (key.decode("utf-8") if isinstance(key, bytes) else str(key))
            entry = opened(entry)
            self._budget -= 1
            if self._budget < 0:
                raise DataError(f"{self.path}: its parts contain each other too often")
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

    def _shape(self, key: str) -> tuple[int, ...]:
        """Return an array's shape, without reading it where that is known."""
        value = self._values[key]
        if isinstance(value, Lazy | np.ndarray) and shape_of(value):
            return shape_of(value)
        stored = self._stored(key)
        return self._read(key).shape if stored is None else stored.shape

    def _read(self, key: str) -> Array:
        """Return an array; raises DataError if the entry is none."""
        value = self._values[key]
        if isinstance(value, Lazy):
            value = value.matrix(self.where(key))
        elif isinstance(value, list | tuple):
            value = self._listed(value, key)
        elif not isinstance(value, str | bytes | np.ndarray | _NUMBER):
            raise DataError(f"{self.where(key)}: is no array but {type(value).__name__}")
        values = np.asarray(value)
        if values.dtype == object and not all(isinstance(one, str) for one in values.reshape(-1)):
            raise DataError(f"{self.where(key)}: numbers that no NumPy type can hold")
        return values

    def _opened(self, value: Sequence[Any], key: str) -> list[Any]:
        """Return the entries of a list, those that are read on demand as arrays."""
        entries = [opened(one) for one in value]
        sizes = (math.prod(shape_of(one)) for one in entries if not isinstance(one, np.ndarray))
        require_memory(8 * sum(sizes), self.where(key))
        return [one.matrix(self.where(key)) if isinstance(one, Lazy) else one for one in entries]

    def _listed(self, value: Sequence[Any], key: str) -> Array:
        """Return a list of numbers, of texts, or of rows, as an array."""
        rows = _filled_gaps(self._opened(value, key))
        if rows and all(isinstance(row, str | bytes) for row in rows):
            return texts(rows)
        if {len(shape_of(row)) for row in rows} == {2} and len({*map(shape_of, rows)}) == 1:
            return np.asarray(rows)
        parts = [part for row in rows if isinstance(row, list | tuple) for part in row]
        if any(isinstance(part, str) for part in parts):
            return joined(rows)
        if not all(isinstance(row, _NUMBER | np.ndarray | list | tuple) for row in rows) or not all(
            isinstance(part, _NUMBER) for part in parts
        ):
            raise DataError(f"{self.where(key)}: a list of anything but numbers, texts or rows of numbers")
        return joined(rows) if len({shape_of(row) for row in rows}) > 1 else np.asarray(rows)

    def _stored(self, key: str) -> Stored | None:
        """Return a matrix of numbers, or a list of vectors, to be read in blocks."""
        value = self._values[key]
        if isinstance(value, Lazy):
            require_memory(4 * math.prod(shape_of(value)), self.where(key))
            return value.stored()
        rows = _filled_gaps(value) if isinstance(value, list | tuple) else []
        shapes = {shape_of(row) for row in rows}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1 or not _are_numbers(rows[0]):
            return None
        ((width,),) = shapes
        require_memory(4 * len(rows) * width, self.where(key))
        step = max(1, BLOCK // (8 * width))

        def blocks() -> Iterator[Array]:
            for start in range(0, len(rows), step):
                block = self._listed(rows[start : start + step], key)
                if block.dtype.kind not in "biuf":
                    raise DataError(f"{self.where(key)}: a list of rows of which some hold no numbers")
                yield block

        return Stored((len(rows), width), False, blocks())

    def _read_cells(self, key: str) -> list[Array]:
        """Return the arrays of a list."""
        value = self._values[key]
        if not isinstance(value, list | tuple):
            raise DataError(f"{self.where(key)}: expected a list of arrays")
        return [*map(np.asarray, self._opened(value, key))]


class Pickle(Nested):
    """A pickle of arrays, lists and dicts."""

    def __init__(self, path: Path) -> None:
        """Unpickle all but large arrays."""
        with as_data_error(str(path)):
            size = path.stat().st_size
            require_memory(size, str(path))
            try:
                root = unpickled(lambda: path.open("rb"), 0, size)
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
    shapes: list[Any] = [getattr(one, "shape", ()) for one in entries if one is not None]
    few_rows = all(len(shape) == 2 and shape[0] <= MOST_ROWS for shape in shapes)
    if len(shapes) >= FEWEST and few_rows and len({shape[1] for shape in shapes}) == 1:
        return []  # such as five captions for each sample
    several = any(len(shape) == 2 and shape[0] > 1 for shape in shapes)
    return entries if several or (nested and any(_views_in(one, nested=False) for one in entries)) else []


def _are_numbers(row: Any) -> bool:
    """Return whether a vector that is no list of texts has entries, and all of them are numbers."""
    if isinstance(row, list | tuple):
        return bool(row) and all(isinstance(one, _NUMBER) for one in row)
    return shape_of(row) != (0,) and getattr(opened(row), "dtype", np.dtype("f4")).kind in "biuf"


def _filled_gaps(rows: Sequence[Any]) -> Sequence[Any]:
    """Return rows with NaN where one is None, or an empty text where one is None or NaN."""
    gaps = [row is None or (isinstance(row, float) and math.isnan(row)) for row in rows]
    known = next((row for row, gap in zip(rows, gaps, strict=True) if not gap), 0.0)
    if isinstance(known, str | bytes):
        return ["" if gap else row for row, gap in zip(rows, gaps, strict=True)]
    missing = np.full(shape_of(known), math.nan)
    return [missing if row is None else row for row in rows] if any(row is None for row in rows) else rows
