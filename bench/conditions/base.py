"""Contract of conditions: a card, and an edit of a dataset before a method gets it.

A condition edits a split: which rows stay, with which labels, ids and features. What it draws depends on the
dataset, the modalities, the condition and the seed, never on the level or the method: all methods get the
same rows, and what is changed at one level is changed at every higher one.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError, Modality, Split, Unsupported
from bench.data.partition import fixed_generator

Group = Literal["noise", "pairs", "labels", "modalities", "classes"]
Level = float | str

MOST: Final = 1000.0
"""Highest level of a condition whose levels are no shares, such as the factor of a long tail."""


@dataclass(frozen=True)
class ConditionCard:
    """Card of a condition: what it changes, and which publications use it.

    Attributes:
        name: as typed before ``@``.
        title: as printed.
        group: ``noise``, ``pairs``, ``labels``, ``modalities`` or ``classes``.
        changes: what happens to the data at level r, in a sentence.
        levels: usual levels in publications; numbers, or names of modalities.
        variants: variants of the condition by name; the first is the default, written without its name.
        sources: publications and code that use it.
        departures: departures from these sources.
        training_only: whether the test data is unchanged.
        lower_is_harder: whether lower levels change more.
        in_files: whether a file of rows, labels and ids of training rows can hold the change.
    """

    name: str
    title: str
    group: Group
    changes: str
    levels: tuple[Level, ...]
    variants: Mapping[str, str] = field(default_factory=dict)
    sources: str = ""
    departures: tuple[str, ...] = ()
    training_only: bool = True
    lower_is_harder: bool = False
    in_files: bool = True


@dataclass(frozen=True)
class Draws:
    """Generators of a condition.

    Attributes:
        scope: what the draws depend on: dataset, modalities, condition and seed; its variants share them.
    """

    scope: tuple[str, ...]

    def generator(self, stream: str) -> np.random.Generator:
        """Return a fresh generator that depends on the scope and ``stream`` alone."""
        return fixed_generator("condition", *self.scope, stream)

    def first(self, stream: str, share: float, count: int) -> NDArray[np.intp]:
        """Return ``share`` of ``count`` numbers in the order drawn; a larger share only adds to them."""
        return self.generator(stream).permutation(count)[: round(share * count)]

    def mask(self, stream: str, share: float, count: int) -> NDArray[np.bool_]:
        """Return a mask ``(count,)`` of the numbers of `first`."""
        chosen = np.zeros(count, dtype=bool)
        chosen[self.first(stream, share, count)] = True
        return chosen


@dataclass(frozen=True, eq=False)
class Edit:
    """The changed rows of a modality.

    Attributes:
        rows: ``(m,)`` rows that stay, in this order.
        labels: ``(m,)`` or ``(m, C)`` their labels.
        ids: ``(m,)`` their ids; None for none.
        features: ``(m, d)`` their features, if these change.
    """

    rows: NDArray[np.intp]
    labels: Array
    ids: Array | None
    features: Array | None = None


@dataclass(frozen=True, eq=False)
class Edited:
    """A changed split.

    Attributes:
        edits: by modality.
        effective: level that was reached, measured on the rows.
        n_classes: number of classes that a method gets; None for as before.
    """

    edits: Mapping[str, Edit]
    effective: Level
    n_classes: int | None = None

    def of(self, split: Split) -> Split:
        """Return the split that results; nothing that was removed can be reached from it."""
        modalities = {}
        for name, edit in self.edits.items():
            features = split[name].features if edit.features is None else edit.features
            if edit.features is None and not np.array_equal(edit.rows, np.arange(len(features))):
                features = features[edit.rows]
            modalities[name] = Modality(features, edit.labels, edit.ids)
        return Split(modalities, self.n_classes or split.n_classes)


class Condition(ABC):
    """A change of a dataset.

    Attributes:
        card: what it changes.
        variant: the protocol that is followed, of ``card.variants``.
    """

    card: ClassVar[ConditionCard]

    def __init__(self, variant: str = "") -> None:
        """Keep the variant; empty for the default."""
        self.variant = variant or next(iter(self.card.variants), "")

    @classmethod
    def named_level(cls, level: str) -> str:
        """Return the spelling of a named level in the id of a cell: one for each meaning.

        Raises:
            ValueError: if it is no level.
        """
        return level

    @property
    def highest(self) -> float:
        """Highest level: 1 if the usual levels are shares."""
        numbers = [level for level in self.card.levels if not isinstance(level, str)]
        return MOST if max(numbers, default=1.0) > 1 else 1.0

    def edit(self, split: Split, level: Level, draws: Draws) -> Edited:
        """Return changed training rows, or validation rows that are treated alike.

        Raises:
            Unsupported: if the condition cannot be applied to such data.
        """
        return unchanged(split, level)

    def reached(self, split: Split, edits: Mapping[str, Edit]) -> Level:
        """Return the level that was reached in rows: the share of them that is gone or not as before."""
        total, as_before = sum(map(len, split.values())), 0
        for name, modality in split.items():
            edit = edits[name]
            same = edit.labels == modality.labels[edit.rows]
            same = same if same.ndim == 1 else same.all(axis=1)
            if modality.ids is not None and edit.ids is not None:
                same = same & (edit.ids == modality.ids[edit.rows])
            as_before += int(same.sum())
        return (total - as_before) / total

    def read(self, split: Split, edits: Mapping[str, Edit]) -> Edited:
        """Return training rows changed by the edits of a file."""
        return Edited(edits, self.reached(split, edits))

    def read_indices(self, path: Path, split: Split) -> Edited:
        """Return training rows changed by an index file of released code.

        Raises:
            DataError: if the condition has no such files, or the file belongs to other rows.
        """
        raise DataError(
            f"{path} holds neither rows nor ids, which {self.card.name} needs; write a file with "
            "`python -m bench data condition --write`"
        )

    def edit_test(
        self, test: Split, gallery: Split | None, train: Split, level: Level, draws: Draws
    ) -> tuple[Edited, Edited | None]:
        """Return changed test rows and gallery; for conditions of the test.

        Without a gallery the test rows are ranked against each other. ``train`` are the training rows before
        the condition.
        """
        return unchanged(test, level), None if gallery is None else unchanged(gallery, level)


def unchanged(split: Split, level: Level = 0.0) -> Edited:
    """Return an edit that changes nothing."""
    return Edited({name: edit_of(modality) for name, modality in split.items()}, level)


def edit_of(
    modality: Modality,
    rows: Array | None = None,
    labels: Array | None = None,
    ids: Array | None = None,
) -> Edit:
    """Return an edit that keeps ``rows``, or all, with new ``labels`` or ``ids`` of all rows if given."""
    kept = np.arange(len(modality)) if rows is None else np.asarray(rows, dtype=np.intp)
    labels = modality.labels if labels is None else labels
    ids = modality.ids if ids is None else ids
    return Edit(kept, labels[kept], None if ids is None else ids[kept])


def ids_of(split: Split) -> dict[str, NDArray[np.int64]]:
    """Return ids ``(n,)`` of every modality; rows without any get numbers that occur nowhere else."""
    known = [modality.ids for modality in split.values() if modality.ids is not None]
    fresh = 1 + max((int(ids.max()) for ids in known if len(ids)), default=-1)
    given: dict[str, NDArray[np.int64]] = {}
    for name, modality in split.items():
        if modality.ids is not None:
            given[name] = modality.ids.astype(np.int64)
        else:
            given[name] = np.arange(fresh, fresh + len(modality))
            fresh += len(modality)
    return given


def require_single_label(condition: Condition, split: Split) -> None:
    """Refuse multi-label data.

    Raises:
        Unsupported: naming the condition for such data, if it is noise.
    """
    if split.multi_label:
        instead = "; use label-noise-multi instead" if condition.card.group == "noise" else ""
        raise Unsupported(f"{condition.card.name} takes data of one class per row{instead}")


def require_pairs(condition: Condition, split: Split) -> None:
    """Refuse rows of which none corresponds to a row of another modality.

    Raises:
        Unsupported: naming the condition.
    """
    held = np.concatenate([np.unique(ids) for ids in ids_of(split).values()])
    if len(np.unique(held)) == len(held):
        raise Unsupported(f"{condition.card.name} needs rows that correspond, and there are none")


def label_of_ids(split: Split, ids: Mapping[str, Array]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct ids ``(m,)`` in ascending order, and the label of the first row of each."""
    numbers, first = np.unique(np.concatenate(list(ids.values())), return_index=True)
    labels = np.concatenate([modality.labels for modality in split.values()])
    return numbers.astype(np.int64), labels[first]


def relabelled(split: Split, choose: Callable[[Array], Array]) -> dict[str, Edit]:
    """Return edits that change labels by id: rows of an id whose label changes get the new one.

    ``choose`` returns the new labels of all distinct ids from their present ones.
    """
    ids = ids_of(split)
    numbers, labels = label_of_ids(split, ids)
    noisy = choose(labels)
    edits = {}
    for name, modality in split.items():
        where = np.searchsorted(numbers, ids[name])
        given = np.where((noisy != labels)[where], noisy[where], modality.labels)
        edits[name] = edit_of(modality, labels=given)
    return edits
