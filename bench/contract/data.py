"""Features, labels and ids as a plug-in author sees them: modalities and splits.

Features are matrices with one row per sample. Labels are either class numbers ``(n,)`` counted from 0,
or 0/1 matrices ``(n, C)`` where a sample may belong to several classes; -1 (in a matrix, a row of -1) marks a
training row whose label is not known. Rows of different modalities with the same id show the same thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import DataError

Array = NDArray[Any]
Pairing = Literal["none", "natural", "partial", "class-matched"]


@dataclass(frozen=True, eq=False)
class Modality:
    """The samples of one modality.

    Both arrays are read-only views of what was given: all methods and all states of a method share them.

    Attributes:
        features: ``(n, d)`` floating point.
        labels: ``(n,)`` integers from 0, or ``(n, C)`` 0/1 for multi-label data; -1 where a row has no label.
        ids: ``(n,)`` integers: rows of the split with the same id, in any modality, show the same thing. None
            where nothing is known of that.
    """

    features: Array
    labels: Array
    ids: Array | None = None

    def __post_init__(self) -> None:
        """Refuse shapes that no later step could work with."""
        if self.features.ndim != 2:
            raise DataError(f"features must be a matrix (n, d), not of shape {self.features.shape}")
        if self.labels.ndim not in (1, 2):
            raise DataError(f"labels must be (n,) or (n, C), not of shape {self.labels.shape}")
        if len(self.features) != len(self.labels):
            raise DataError(f"{len(self.features)} feature rows but {len(self.labels)} label rows")
        ids = self.ids
        if ids is not None and (ids.shape != (len(self.features),) or ids.dtype.kind not in "iu"):
            raise DataError(
                f"ids must be {len(self.features)} integers, one for each row, not {ids.dtype} of "
                f"shape {ids.shape}"
            )
        for name, values in vars(self).items():
            object.__setattr__(self, name, None if values is None else read_only(values))

    def __len__(self) -> int:
        return len(self.features)

    @property
    def dimension(self) -> int:
        """Width of the feature vectors."""
        return int(self.features.shape[1])

    @property
    def multi_label(self) -> bool:
        """Whether labels are a 0/1 matrix."""
        return self.labels.ndim == 2

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which rows ``(n,)`` have a label."""
        return labelled(self.labels)

    def take(self, rows: Array) -> Modality:
        """Return the samples at ``rows`` (indices or a mask), in that order."""
        ids = None if self.ids is None else self.ids[rows]
        return Modality(self.features[rows], self.labels[rows], ids)


def labelled(labels: Array) -> NDArray[np.bool_]:
    """Return which rows ``(n,)`` of some labels have one."""
    return np.asarray(labels >= 0 if labels.ndim == 1 else (labels >= 0).all(axis=1))


def read_only(array: Array) -> Array:
    """Return a view of an array, without a copy, that refuses to be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, eq=False)
class Split(Mapping[str, Modality]):
    """A named part of a dataset: modality name -> samples.

    Attributes:
        modalities: in the dataset's order.
        n_classes: number of classes C of the whole dataset, also where a split misses some.
        pairing: ``natural`` if row i of every modality shows the same thing; ``partial`` if some rows
            correspond by their ids; ``class-matched`` for pseudo-pairs of rows of the same class; ``none``
            otherwise. If all modalities have ids, these decide between ``natural``, ``partial`` and ``none``.
    """

    modalities: Mapping[str, Modality]
    n_classes: int
    pairing: Pairing = "none"

    def __post_init__(self) -> None:
        """Check declared pairs; number natural pairs without ids."""
        if not self.modalities:
            raise DataError("a split needs at least one modality")
        counts = {name: len(modality) for name, modality in self.modalities.items()}
        if self.paired and len(set(counts.values())) != 1:
            raise DataError(f"paired modalities must have equally many rows, not {counts}")
        if self.pairing == "class-matched":
            return
        ids = [modality.ids for modality in self.modalities.values()]
        if self.pairing == "natural" and all(given is None for given in ids):
            numbers = np.arange(next(iter(counts.values())))
            numbered = {name: replace(one, ids=numbers) for name, one in self.modalities.items()}
            object.__setattr__(self, "modalities", numbered)
            return
        known = [given for given in ids if given is not None]
        if len(known) == len(ids) and all(np.array_equal(known[0], other) for other in known[1:]):
            object.__setattr__(self, "pairing", "natural")
        elif self.pairing == "natural":
            raise DataError("paired modalities must have the same ids, in the same order")
        else:
            shared = any(len(np.intersect1d(a, b)) for a, b in combinations(known, 2))
            object.__setattr__(self, "pairing", "partial" if shared else "none")

    def __getitem__(self, name: str) -> Modality:
        return self.modalities[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.modalities)

    def __len__(self) -> int:
        return len(self.modalities)

    @property
    def paired(self) -> bool:
        """Whether row i means the same sample, or the same class, in every modality."""
        return self.pairing in ("natural", "class-matched")

    @property
    def multi_label(self) -> bool:
        """Whether samples may belong to several classes."""
        return next(iter(self.modalities.values())).multi_label

    def targets(self, name: str) -> NDArray[np.float32]:
        """Return the labels of a modality as a 0/1 matrix ``(n, n_classes)``, float32."""
        labels = self.modalities[name].labels
        if labels.ndim == 2:
            return np.maximum(labels.astype(np.float32), 0.0)
        rows = np.zeros((len(labels), self.n_classes), dtype=np.float32)
        known = np.flatnonzero(labels >= 0)
        rows[known, labels[known]] = 1.0
        return rows

    def pairs(self, a: str, b: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows of modality ``a`` and of modality ``b`` that correspond, two arrays ``(p,)``.

        A row takes part once for each row of the other modality with its id; in pairs
        (`paired`), row i goes with row i. The order is that of ``a``.
        """
        left, right = self.modalities[a], self.modalities[b]
        if self.paired:
            return np.arange(len(left)), np.arange(len(left))
        if left.ids is None or right.ids is None:
            return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
        order = np.argsort(right.ids, kind="stable")
        begin = np.searchsorted(right.ids, left.ids, "left", sorter=order)
        counts = np.searchsorted(right.ids, left.ids, "right", sorter=order) - begin
        offsets = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(np.arange(len(left)), counts), order[np.repeat(begin, counts) + offsets]

    def aligned(self) -> Split:
        """Return the rows that correspond in all modalities, side by side: natural pairs.

        Each id that every modality has gives as many rows as the modality with most rows of it; the others
        repeat theirs in turn, as a picture is repeated for each of its captions. The order is that of the
        first modality's ids. Rows of other ids are left out.

        Raises:
            DataError: if no id occurs in all modalities.
        """
        if (rows := self.aligned_or_none()) is None:
            raise DataError(f"no id occurs in all of {', '.join(self)}: no rows correspond")
        return rows

    def aligned_or_none(self) -> Split | None:
        """Return what `aligned` does, or None if no id occurs in all modalities."""
        if self.paired:
            return self
        groups = [_rows_by_id(modality.ids) for modality in self.modalities.values()]
        common = [number for number in groups[0] if all(number in group for group in groups[1:])]
        if not common:
            return None
        most = [max(len(group[number]) for group in groups) for number in common]
        return self.take(
            {
                name: np.concatenate([np.resize(group[n], m) for n, m in zip(common, most, strict=True)])
                for name, group in zip(self, groups, strict=True)
            }
        )

    def labelled(self) -> Split:
        """Return the rows that have a label; the split itself where all have."""
        rows = {name: modality.labelled for name, modality in self.modalities.items()}
        if all(known.all() for known in rows.values()):
            return self
        return self.take({name: np.flatnonzero(known) for name, known in rows.items()})

    def select(self, names: tuple[str, ...]) -> Split:
        """Return the same rows with only the modalities ``names``, in that order."""
        return self._with({name: self.modalities[name] for name in names}, self.paired)

    def take(self, rows: Mapping[str, Array]) -> Split:
        """Return chosen rows of each modality. Ids stay; pseudo-pairs stay where all indices are equal."""
        chosen = {name: modality.take(rows[name]) for name, modality in self.modalities.items()}
        first = next(iter(rows.values()))
        together = all(np.array_equal(first, other) for other in rows.values())
        return self._with(chosen, self.paired and together)

    def _with(self, modalities: Mapping[str, Modality], side_by_side: bool) -> Split:
        pairing: Pairing = "class-matched" if side_by_side and self.pairing == "class-matched" else "none"
        return Split(modalities, self.n_classes, pairing)


def _rows_by_id(ids: Array | None) -> dict[int, NDArray[np.intp]]:
    """Return the rows of each id, in the order of their first rows."""
    if ids is None:
        return {}
    numbers, first, counts = np.unique(ids, return_index=True, return_counts=True)
    rows = np.split(np.argsort(ids, kind="stable"), np.cumsum(counts)[:-1])
    return {int(numbers[i]): rows[i] for i in np.argsort(first)}
