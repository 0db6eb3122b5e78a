"""Arrays ``(n, k, d)`` of a text modality: k rows, such as five captions, for each of n pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError
from bench.data.formats.array_file import ArrayFile
from bench.data.formats.samples import MOST_ROWS
from bench.data.formats.stored import Rows, cut_in_memory
from bench.data.keys import Keys, Role
from bench.data.words import MODALITY_OF


class _List(NamedTuple):
    """Ids or the like of n entries of k rows each."""

    key: str
    entries: int
    times: int


class Stacked(ArrayFile):
    """The arrays of a file, of which those ``(n, k, d)`` are matrices ``(n k, d)``, with their lists.

    Attributes:
        times: k by part and modality.
    """

    def __init__(self, source: ArrayFile, keys: Keys) -> None:
        """Find the arrays by their shapes; in ``keys``, their lists get keys with an entry for each row."""
        super().__init__(source.path)
        self._source, self.times = source, dict[tuple[str, str], int]()
        self._matrices, self._lists = dict[str, tuple[int, ...]](), dict[str, _List]()
        for role, key in [*keys.roles.items()]:
            part, what, name = role
            if what != "features" or MODALITY_OF.get(name.lower()) != "text":
                continue
            shape = tuple(length for length in source.shape(key) if length > 1)
            if len(shape) != 3:
                continue
            labels = source.shape(str(keys.of(part, "labels", name)))
            if shape[0] not in labels and shape[2] in labels:
                shape = shape[::-1]
            if shape[1] > MOST_ROWS:
                continue
            self._matrices[key], self.times[part, name] = shape, shape[1]
            for listed in ("ids", "missing", "present"):
                if (of_all := keys.of(part, listed, name)) is not None:
                    made = keys.roles[Role(part, listed, name)] = f"{of_all} of each {name}"
                    self._lists[made] = _List(of_all, *shape[:2])

    def where(self, key: str) -> str:
        """Return how messages name an array: by its key in the file."""
        return self._source.where(self._lists[key].key if key in self._lists else key)

    def keys(self) -> list[str]:
        """Return the keys of the file and of the lists."""
        return [*self._source.keys(), *self._lists]

    def _shape(self, key: str) -> tuple[int, ...]:
        """Return the shape with a row for each of k."""
        if key in self._matrices:
            count, times, width = self._matrices[key]
            return count * times, width
        return self._read(key).shape if key in self._lists else self._source.shape(key)

    def _read(self, key: str) -> Array:
        """Return a matrix, a list with an entry for each row, or an array as it is."""
        if key in self._matrices:
            return self._as_matrix(self._source.array(key), key)
        if key not in self._lists:
            return self._source.array(key)
        name, count, times = self._lists[key]
        values = self._source.array(name).reshape(-1)
        return np.repeat(values, times) if len(values) == count else values

    def _as_matrix(self, values: Array, key: str) -> Array:
        """Return an array ``(n, k, d)`` as a matrix ``(n k, d)``."""
        shape = self._matrices[key]
        values = values.reshape([length for length in values.shape if length > 1])
        return (values if values.shape == shape else values.T).reshape(-1, shape[2])

    def _read_matrices(self, key: str, transposed: bool, parts: Rows) -> dict[str, Array]:
        """Return rows of an array by part, a stacked one as a matrix."""
        if key in self._matrices:
            return cut_in_memory(self._as_matrix(self._source.matrix(key), key), transposed, parts)
        return self._source.matrices(key, transposed, parts)

    def labels(self, slot: tuple[str, str], values: Array, rows: int) -> Array:
        """Return labels with one for each of the rows; given are as many, one for each k, or ``(n, k)``."""
        times = self.times[slot]
        count = rows // times
        if values.ndim < 2 or 1 in values.shape:
            values = values.reshape(-1)
        several = values.shape[:2] == (count, times)
        if several and (values.ndim == 3 or not np.isin(values, (0, 1)).all()):
            return values.reshape(rows, *values.shape[2:])
        return np.repeat(values, times, axis=0) if len(values) == count else values

    def first_labels(self, part: str, labels: Mapping[str, Array]) -> dict[str, Array]:
        """Return the labels of the first of each k rows."""
        return {name: rows[:: self.times.get((part, name), 1)] for name, rows in labels.items()}

    def ids(self, part: str, labels: Mapping[str, Array]) -> dict[str, NDArray[np.int64]]:
        """Return ids where a modality has k rows for each row of the others; empty where none has."""
        counts = {len(rows) for rows in self.first_labels(part, labels).values()}
        if len(counts) > 1 or not any(of_part == part for of_part, _ in self.times):
            return {}
        return {name: np.repeat(np.arange(*counts), self.times.get((part, name), 1)) for name in labels}


def not_stacked(shape: tuple[int, ...], part: str, name: str, where: str) -> DataError:
    """Return the refusal of an array with more dimensions, which may be anything, such as pixels or words."""
    if len(shape) > 3:
        return DataError(
            f"{where}: features must be a matrix (n, d), found shape {shape}; reduce each item to a vector, "
            "such as pictures in files by data extract"
        )
    count, times, width = shape
    return DataError(
        f"{where}: features must be a matrix (n, d), found shape {shape}. If these are {times} rows for each "
        f"of {count} items, store reshape(-1, {width}) with a label for each row, '{part}_{name}_ids' = "
        f"numpy.repeat(numpy.arange({count}), {times}), and numpy.arange({count}) as the ids of other "
        "modalities; else reduce each item to a vector"
    )
