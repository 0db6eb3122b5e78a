"""A folder of files of arrays, and arrays of several files under other names (the base of recipes)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import ArrayFile, require_distinct
from bench.data.formats.stored import Rows
from bench.data.words import has_known_word

Opener = Callable[[Path], AbstractContextManager[ArrayFile]]


class Part(NamedTuple):
    """An array of a file, or a cell of its cell array."""

    source: ArrayFile
    key: str
    cell: int | None = None

    def array(self) -> Array:
        """Return the array."""
        if self.cell is None:
            return self.source.array(self.key)
        cells = self.source.cells(self.key)
        if self.cell >= len(cells):
            raise DataError(
                f"{self.source.where(self.key)}: {len(cells)} cells, and cell {self.cell} is named"
            )
        return cells[self.cell]


class Renamed(ArrayFile):
    """Arrays of open files under other names."""

    def __init__(
        self, path: Path, parts: Mapping[str, Part], values: Mapping[str, Array] | None = None
    ) -> None:
        """Remember the array of a file, or the value, of each key."""
        super().__init__(path)
        self._parts, self._values = dict(parts), dict(values or {})

    def where(self, key: str) -> str:
        """Return how messages name an array: by its file."""
        part = self._parts.get(key)
        return super().where(key) if part is None else part.source.where(part.key)

    def keys(self) -> list[str]:
        """Return the names."""
        return [*self._parts, *self._values]

    def _shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of a value, or of the array of a file."""
        if key in self._values:
            return np.shape(self._values[key])
        part = self._parts[key]
        return part.source.shape(part.key) if part.cell is None else part.array().shape

    def _read(self, key: str) -> Array:
        """Return a value, or the array of a file."""
        if key in self._values:
            return self._values[key]
        return self._parts[key].array()

    def _read_matrices(self, key: str, transposed: bool, parts: Rows) -> dict[str, Array]:
        """Return rows of a file's array as that file reads them."""
        part = self._parts.get(key)
        if part is None or part.cell is not None:
            return super()._read_matrices(key, transposed, parts)
        return part.source.matrices(part.key, transposed, parts)

    def _read_cells(self, key: str) -> list[Array]:
        """Return the cells of a file's cell array."""
        if key in self._values:
            return super()._read_cells(key)
        part = self._parts[key]
        return part.source.cells(part.key)


class Folder(Renamed):
    """All arrays of several files: called as their file where it has one, else ``file/key``."""

    def __init__(self, path: Path, files: Sequence[Path], opened: Opener) -> None:
        """Open all files."""
        with ExitStack() as stack:
            parts: list[tuple[str, Part]] = []
            for file in files:
                source = stack.enter_context(opened(file))
                stem = file.stem
                if file.parent != path and path in file.parents:
                    stem = "/".join(file.relative_to(path).with_suffix("").parts)
                keys, alone = source.keys(), len(files) == 1
                single = len(keys) == 1 and (has_known_word(stem) or not has_known_word(keys[0]))
                names = keys if alone else [stem] if single else [f"{stem}/{key}" for key in keys]
                parts += [(name, Part(source, key)) for name, key in zip(names, keys, strict=True)]
            require_distinct([name for name, _ in parts], path)
            self._stack = stack.pop_all()
        super().__init__(path, dict(parts))

    def close(self) -> None:
        """Close all files."""
        self._stack.close()
