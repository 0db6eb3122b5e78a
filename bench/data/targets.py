"""Labels in any common form, converted to class numbers from 0 or 0/1 matrices.

All lists of labels of a dataset decide together: numbers from 0 or 1 or any others, one-hot rows, 0/1 or +-1
matrices, names; in rows or in columns. A note states every conversion.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError
from bench.data.formats.array_file import LISTS, are_texts, texts

_MOST_CLASSES: Final = 100_000
_LISTED: Final = 12
_MARKERS: Final = frozenset(("na", "n/a", "#n/a", "<na>", "nan", "null", "none"))
"""Words, in lower case, that some programs write where a value is missing."""
_UNKNOWN: Final = (0, 255, 65535)
"""Numbers that some files write where a row has no label."""

Slot = tuple[str, str]
"""Part and modality."""


@dataclass
class Raw:
    """A list of labels as read.

    Attributes:
        values: the array.
        where: file and key, for messages.
        features: shape of the features that it belongs to; empty where not known.
    """

    values: Array
    where: str
    features: tuple[int, ...] = ()


@dataclass
class Targets:
    """Labels as the contract has them.

    Attributes:
        labels: class numbers ``(n,)`` or 0/1 ``(n, C)``; -1 where a row has none.
        n_classes: number of classes C.
        names: of the classes; empty where they are numbers from 0.
        notes: sentences on what was understood.
    """

    labels: dict[Slot, Array]
    n_classes: int
    names: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def targets_of(
    path: Path, raw: Mapping[Slot, Raw], multi_label: bool | None = None, names: Sequence[str] = ()
) -> Targets:
    """Return the labels of all parts and modalities.

    ``multi_label`` is None if nothing states whether rows may have several classes; ``names`` of classes are
    in the order of their numbers or columns.

    Raises:
        DataError: if they are no labels, or do not fit together.
    """
    return _Labels(path, raw, multi_label, names).targets()


class _Labels:
    """All lists of labels of a dataset, being converted."""

    def __init__(
        self, path: Path, raw: Mapping[Slot, Raw], multi_label: bool | None, names: Sequence[str]
    ) -> None:
        self.path, self.raw, self.multi_label, self.names = path, raw, multi_label, names
        self.notes: list[str] = []

    def targets(self) -> Targets:
        """Return the labels as class numbers or matrices."""
        if self.multi_label is not False:
            self._split_lists()
        shaped = self._numbers_of_one_hot({slot: self._shaped(one) for slot, one in self.raw.items()})
        dimensions = {values.ndim for values in shaped.values()}
        if dimensions == {2}:
            found = self._matrices(shaped)
        elif dimensions == {1}:
            if self.multi_label:
                raise DataError(f"{self.path}: multi_label is true, but its labels are one for each row")
            named = {values.dtype == object for values in shaped.values()}
            if len(named) > 1:
                raise DataError(f"{self.path}: some labels are names and others numbers; use one for all")
            found = self._by_name(shaped) if named == {True} else self._by_number(shaped)
        else:
            listed = ", ".join(f"{one.where} {np.shape(one.values)}" for one in self.raw.values())
            kinds = "all class numbers (n,) or all 0/1 matrices (n, C)"
            raise DataError(f"{self.path}: labels must be {kinds}, found {listed}")
        if self.names and not are_texts(np.asarray(shaped[next(iter(shaped))])):
            found.names = self._named(found)
        found.notes = self.notes
        return found

    def _split_lists(self) -> None:
        """Turn texts that list several classes each into 0/1 matrices, and note the classes' names."""
        listed: dict[Slot, list[str]] = {}
        for slot, one in self.raw.items():
            values = np.asarray(one.values)
            if not are_texts(values):
                return
            listed[slot] = texts(values.reshape(-1).tolist()).tolist()
        cells = {cell for of_slot in listed.values() for cell in of_slot}
        mark = next((mark for mark in LISTS if any(mark in cell for cell in cells)), "")
        if not mark:
            return
        words = {cell: [word.strip() for word in cell.split(mark) if word.strip()] for cell in cells}
        present = {word for of_cell in words.values() for word in of_cell}
        present -= (missing := self._missing(present))
        words = {cell: [word for word in of_cell if word not in missing] for cell, of_cell in words.items()}
        known = sorted(present, key=lambda one: (not one.isdigit(), int(one) if one.isdigit() else 0, one))
        if len(known) > _MOST_CLASSES:
            raise DataError(f"{next(iter(self.raw.values())).where}: lists of {len(known)} different labels")
        number = {word: index for index, word in enumerate(known)}
        made: dict[Slot, Raw] = {}
        for slot, of_slot in listed.items():
            matrix = np.zeros((len(of_slot), len(known)), dtype=np.int8)
            for row, cell in enumerate(of_slot):
                matrix[row, [number[word] for word in words[cell]]] = 1
                matrix[row] -= not words[cell]
            made[slot] = Raw(matrix, self.raw[slot].where, self.raw[slot].features)
        self.notes.append(f"labels are lists of classes, separated by {mark!r}: {_listed(known)}")
        self.raw, self.names = made, self.names or known

    def _numbers_of_one_hot(self, shaped: dict[Slot, Array]) -> dict[Slot, Array]:
        """Return one-hot rows as class numbers where other labels are numbers; else all as given.

        Raises:
            DataError: if the numbers do not show whether they count from 0 or from 1.
        """
        matrices = [values for values in shaped.values() if values.ndim == 2]
        numbers = [values for values in shaped.values() if values.ndim == 1 and values.dtype.kind in "biuf"]
        widths = {values.shape[1] for values in matrices}
        one_hot = all(((one == 0) | (one == 1)).all() and (one.sum(axis=1) == 1).all() for one in matrices)
        if not one_hot or len(widths) != 1 or len(matrices) + len(numbers) < len(shaped) or not numbers:
            return shaped
        width, known = widths.pop(), np.unique(np.concatenate(numbers))
        known = known[known != -1]
        if not known.size or known[0] < 0 or known[-1] > width or (known[0] == 0 and known[-1] == width):
            return shaped
        if known[0] and known[-1] < width:
            raise DataError(
                f"{self.path}: labels are one-hot rows of {width} columns in one array, and numbers from "
                f"{known[0]:g} to {known[-1]:g} in another, which may count from 0 or from 1; write numbers "
                "from 0, or one-hot rows, in all"
            )
        first = int(known[0] != 0)
        self.notes.append(
            f"labels are one-hot rows in one array and numbers from {first} in another: the same classes"
        )
        return {
            slot: values if values.ndim == 1 else values.argmax(axis=1) + first
            for slot, values in shaped.items()
        }

    def _named(self, found: Targets) -> tuple[str, ...]:
        """Return the names of the classes that are left."""
        names = self.names
        if len(names) == found.n_classes:
            return tuple(names)
        whole = all(name.lstrip("-").isdigit() for name in found.names)
        numbers = [int(name) for name in found.names] if whole else []
        if numbers and min(numbers) >= 0 and max(numbers) < len(names):
            return tuple(names[number] for number in numbers)
        raise DataError(f"{self.path}: {len(names)} names of classes for {found.n_classes} classes")

    def _shaped(self, raw: Raw) -> Array:
        """Return labels as ``(n,)`` or ``(n, C)``."""
        values = np.asarray(raw.values)
        if values.size == 0 or values.ndim == 0:
            raise DataError(f"{raw.where}: there are no labels, the shape is {values.shape}")
        if are_texts(values):
            return texts(name.strip() for name in texts(values.reshape(-1).tolist()))
        if values.dtype.kind not in "biuf":
            raise DataError(
                f"{raw.where}: labels must be integers, 0/1 or names, found values of type {values.dtype}"
            )
        if values.ndim > 2:
            values = values.reshape([length for length in values.shape if length > 1] or [1])
        if values.ndim > 2:
            raise DataError(
                f"{raw.where}: labels must be one number or row per sample, found {raw.values.shape}"
            )
        if values.ndim == 2 and 1 in values.shape and not self.multi_label:
            return values.reshape(-1)
        if values.ndim == 2 and self._are_columns(values.shape, raw.features):
            self.notes.append(f"{raw.where}: columns are samples; the matrix is transposed")
            return values.T
        return values

    def _are_columns(self, labels: tuple[int, ...], features: tuple[int, ...]) -> bool:
        """Return whether columns of a matrix are samples, by its width in all parts, or by its features."""
        if len(features) != 2 or labels[1] not in features:
            return False
        shapes = [{*np.shape(one.values)} for one in self.raw.values() if np.ndim(one.values) == 2]
        widths = set.intersection(*shapes)
        if len(widths) == 1:
            return labels[0] in widths and labels[1] not in widths
        return labels[0] != features[0] and (labels[1] == features[0] or labels[0] != features[1])

    def _by_number(self, shaped: Mapping[Slot, Array]) -> Targets:
        """Return one class for each row, numbered in the order of its numbers."""
        whole = {slot: _whole(values, self.raw[slot].where) for slot, values in shaped.items()}
        sets = {slot: set(np.unique(values).tolist()) for slot, values in whole.items()}
        every = set().union(*sets.values())
        unlabelled = {-1}
        if min(every) < -1 or every == {-1, 1}:
            if -1 in every and every != {-1, 1}:
                raise DataError(
                    f"{self.path}: labels reach from {min(every)} to {max(every)}; -1 stands for no label, "
                    "so number the classes from 0 or 1"
                )
            unlabelled = set()
        self._require_same_count(sets)
        self._require_no_shift(whole)
        classes = sorted(every - unlabelled)
        tested = set().union(*(numbers for (part, _), numbers in sets.items() if part != "train"))
        if len(tested) > 1:
            self.notes += [
                f"label {number} is in training rows only and taken for a class; -1 states no label"
                for number in {*classes[:1], *classes[-1:]} - tested & {*_UNKNOWN}
            ]
        self._require_some(classes)
        if classes == [*range(len(classes))]:
            return Targets({**whole}, len(classes))
        order = np.array(classes)
        counted = classes == [*range(1, len(classes) + 1)]
        how = "are counted from 1; 1 becomes 0" if counted else f"{_listed(classes)} become 0, 1, ..."
        self.notes.append(f"labels {how}")
        numbered: dict[Slot, Array] = {
            slot: np.where(np.isin(values, order), np.searchsorted(order, values), -1).astype(np.int64)
            for slot, values in whole.items()
        }
        return Targets(numbered, len(classes), tuple(map(str, classes)))

    def _by_name(self, shaped: Mapping[Slot, Array]) -> Targets:
        """Return one class for each row, numbered in the order of names."""
        words = {name for values in shaped.values() for name in values.tolist() if name}
        missing = self._missing(words)
        present = sorted(words - missing)
        number = {name: index for index, name in enumerate(present)} | dict.fromkeys({"", *missing}, -1)
        self._require_some(present)
        numbers: dict[Slot, Array] = {}
        for slot, values in shaped.items():
            if slot[0] == "train" and 10 <= len(values) == len({*values.tolist()}):
                raise DataError(f"{self.raw[slot].where}: all {len(values)} labels differ; are these ids?")
            numbers[slot] = np.array([number[name] for name in values.tolist()], dtype=np.int64)
        self.notes.append(f"classes are numbered in the order of their names: {_listed(present)}")
        return Targets(numbers, len(present), tuple(present))

    def _missing(self, words: Collection[str]) -> set[str]:
        """Return the words that mean "no label": markers such as NA, if all other words are numbers.

        Among names of classes, such a word is a class, and a note states it.
        """
        markers = {word for word in words if word.lower() in _MARKERS}
        others = {*words} - markers
        if markers and others and all(word.lstrip("+-").replace(".", "", 1).isdigit() for word in others):
            self.notes.append(f"rows with the label {_listed(sorted(markers))} among numbers have no label")
            return markers
        if markers:
            self.notes.append(
                f"the label {_listed(sorted(markers))} is a class, as any other word is; if it marks rows "
                "without a label, leave it empty there"
            )
        return set()

    def _require_some(self, classes: Sequence[object]) -> None:
        """Refuse labels of no class, or of too many."""
        if not classes:
            raise DataError(f"{self.path}: no row has a label")
        if len(classes) > _MOST_CLASSES:
            raise DataError(
                f"{self.path}: {len(classes)} different labels are more than {_MOST_CLASSES} classes"
            )

    def _require_same_count(self, sets: Mapping[Slot, set[int]]) -> None:
        """Refuse labels that one modality (or part) counts from another number than the next."""
        for index in (1, 0):
            groups: dict[str, set[int]] = {}
            for slot, numbers in sets.items():
                groups[slot[index]] = groups.get(slot[index], set()) | numbers
            (first, reference), *others = groups.items()
            for name, numbers in others:
                shift = min(numbers) - min(reference)
                if shift and len(numbers) > 1 and numbers == {number + shift for number in reference}:
                    where = next(one.where for slot, one in self.raw.items() if slot[index] == name)
                    raise DataError(
                        f"{where}: labels reach from {min(numbers)} to {max(numbers)}, those of {first!r} "
                        f"from {min(reference)} to {max(reference)}; count both from the same number"
                    )

    def _require_no_shift(self, labels: Mapping[Slot, NDArray[np.int64]]) -> None:
        """Refuse labels that differ from those of another modality by the same number in all rows."""
        for (part, name), values in labels.items():
            for other, reference in labels.items():
                if other[0] != part or len(values) != len(reference) or len(np.unique(values)) < 2:
                    continue
                shift = values[0] - reference[0]
                if shift < 0 and (values - reference == shift).all():
                    raise DataError(
                        f"{self.raw[part, name].where}: labels reach from {values.min()} to {values.max()}, "
                        f"in the same rows those of {other[1]!r} from {reference.min()} to "
                        f"{reference.max()}; count both from the same number"
                    )

    def _matrices(self, shaped: Mapping[Slot, Array]) -> Targets:
        """Return label matrices, or class numbers where every row has exactly one class."""
        widths, multi_label = {values.shape[1] for values in shaped.values()}, self.multi_label
        if len(widths) != 1:
            raise DataError(
                f"{self.path}: label matrices have {sorted(widths)} columns; all need one per class"
            )
        labels = self._zero_one(shaped)
        sums = np.concatenate([values.sum(axis=1, dtype=np.int64) for values in labels.values()])
        without, width = int((sums == 0).sum()), widths.pop()
        tested = [values.sum(axis=1) for (part, _), values in labels.items() if part != "train"]
        at_most_one = bool((sums <= 1).all()) and bool((sums == 1).any())
        one_each = at_most_one and all((one != 0).all() for one in tested)
        if multi_label is False and not at_most_one:
            raise DataError(
                f"{self.path}: multi_label is false, but rows have up to {int(sums.max())} classes"
            )
        if multi_label or not (one_each or (multi_label is False and at_most_one)):
            if without and not multi_label:
                more = "; if these are unlabelled, state multi_label=false" if at_most_one else ""
                self.notes.append(f"multi-label: {without} rows have no class{more}")
            return Targets(labels, width)
        used = np.flatnonzero(sum((values > 0).sum(axis=0) for values in labels.values()))
        numbers: dict[Slot, Array] = {
            slot: np.where(values.max(axis=1) == 1, values[:, used].argmax(axis=1), -1).astype(np.int64)
            for slot, values in labels.items()
        }
        if multi_label is None:
            self.notes.append(
                "labels are one-hot and taken for single labels; a key multi_label = true states the other"
            )
        if dropped := width - len(used):
            self.notes.append(f"{dropped} of {width} columns of the labels have no row and are dropped")
        return Targets(numbers, len(used), tuple(map(str, used)) if dropped else ())

    def _zero_one(self, shaped: Mapping[Slot, Array]) -> dict[Slot, Array]:
        """Return matrices of 0 and 1, with rows of -1 where a row has no label."""
        signed = False
        found: dict[Slot, Array] = {}
        for slot, values in shaped.items():
            unknown = (values == -1).all(axis=1)
            if values.dtype.kind == "f":
                unknown |= np.isnan(values).all(axis=1)
            known = values[~unknown]
            plus_minus = bool(((known == 1) | (known == -1)).all()) and bool((known == -1).any())
            if not plus_minus and not ((known == 0) | (known == 1)).all():
                wrong = next(one for one in known.reshape(-1).tolist() if one not in (0, 1))
                raise DataError(
                    f"{self.raw[slot].where}: each entry of a matrix of labels {values.shape} must be 0 or 1 "
                    f"(or -1 or 1), found {wrong}; write 1 where a row has the class of the column, or one "
                    "class number a row"
                )
            signed |= plus_minus
            matrix = (values == 1).astype(np.int8 if unknown.any() else np.uint8)
            matrix[unknown] = -1 if unknown.any() else 0
            found[slot] = matrix
        if signed:
            self.notes.append("label matrices hold 1 and -1; -1 is taken for 0, a row of -1 for no label")
        return found


def _whole(values: Array, where: str) -> NDArray[np.int64]:
    """Return labels as integers; NaN stands for no label, as -1 does."""
    if values.dtype.kind == "f":
        known = np.where(np.isnan(values), -1.0, values)
        wrong = known[~np.isfinite(known) | (known != np.floor(known)) | (np.abs(known) > 2**53)]
        if len(wrong):
            raise DataError(f"{where}: labels must be whole numbers, found {wrong[0]}")
        return known.astype(np.int64)
    if values.dtype.kind == "u" and values.size and int(values.max()) >= 2**63:
        raise DataError(f"{where}: labels must be below 2^63, found {values.max()}")
    return values.astype(np.int64)


def _listed(classes: Sequence[object]) -> str:
    """Return classes in words, the first ones of many."""
    shown = ", ".join(str(one)[:40] for one in classes[:_LISTED])
    return shown if len(classes) <= _LISTED else f"{shown} and {len(classes) - _LISTED} more"
