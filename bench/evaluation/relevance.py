"""Who is relevant to whom: class numbers and 0/1 label matrices as sets of labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, UsageError
from bench.evaluation.arrays import Indices, to_array


@dataclass(frozen=True, eq=False)
class LabelSets:
    """The labels of n items, each distinct set of labels kept once.

    Attributes:
        sets: ``(g,)`` class numbers, or ``(g, C)`` booleans; distinct, in a fixed order.
        codes: ``(n,)`` which set every item has.
    """

    sets: Array
    codes: Indices

    def relevant_to(self, labels: Array) -> NDArray[np.bool_]:
        """Return which of the sets ``(g,)`` share a label with the set ``labels`` of a query."""
        if self.sets.ndim == 1:
            return np.asarray(self.sets == labels)
        return np.asarray((self.sets & labels).any(axis=1))

    def count_relevant(self, gallery: LabelSets) -> Indices:
        """Return how many items of ``gallery`` share a label with each item ``(n,)``."""
        sizes = np.bincount(gallery.codes, minlength=len(gallery.sets))
        counts = [int(sizes[gallery.relevant_to(labels)].sum()) for labels in self.sets]
        return np.asarray(counts, dtype=np.intp)[self.codes]

    def check_comparable(self, other: LabelSets) -> None:
        """Refuse to compare class numbers with label matrices, or matrices of different widths.

        Raises:
            UsageError: if the two are not of one kind.
        """
        if self.sets.shape[1:] != other.sets.shape[1:]:
            mine, others = (("n", *sets.shape[1:]) for sets in (self.sets, other.sets))
            raise UsageError(
                f"query labels are of shape {_shape(mine)} and gallery labels {_shape(others)}; "
                "both must be class numbers (n,) or 0/1 matrices (n, C) with the same C"
            )


def label_sets(labels: Any, n_items: int, what: str) -> LabelSets:
    """Read labels: ``(n,)`` integers, or ``(n, C)`` 0/1 for items with several classes.

    Raises:
        UsageError: for another shape, another number of rows or other values.
    """
    array = to_array(labels)
    if array.ndim not in (1, 2) or len(array) != n_items:
        raise UsageError(
            f"{what} must be ({n_items},) integers or ({n_items}, C) 0/1, not of shape {array.shape}"
        )
    return _class_numbers(array, what) if array.ndim == 1 else _multi_hot(array, what)


def _class_numbers(array: Array, what: str) -> LabelSets:
    if array.dtype.kind not in "iub" and not (
        array.dtype.kind == "f" and bool((array == np.floor(array)).all())
    ):
        raise UsageError(f"{what} must be whole numbers, not {array.dtype}")
    sets, codes = np.unique(array, return_inverse=True)
    return LabelSets(sets, codes.reshape(-1))


def _multi_hot(array: Array, what: str) -> LabelSets:
    chosen = array == 1
    if array.shape[1] == 0 or not bool((chosen | (array == 0)).all()):
        raise UsageError(f"{what} given as a matrix must hold 0 and 1 only, in at least one column")
    packed = np.ascontiguousarray(np.packbits(chosen, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).reshape(-1)
    _, first, codes = np.unique(keys, return_index=True, return_inverse=True)
    return LabelSets(np.asarray(chosen[first]), codes.reshape(-1))


def _shape(sizes: tuple[Any, ...]) -> str:
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"
