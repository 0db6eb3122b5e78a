"""A file's arrays as a dataset: which rows correspond, which are missing, and what was only assumed.

Every modality of a split gets ids if anything states which rows show the same thing: ids in the file, a key
``paired``, or equal counts with equal labels, which are *taken* for pairs. All that was assumed or converted
is returned as short sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError, Modality, Pairing, Split
from bench.contract.data import labelled
from bench.data.checks import feature_matrix
from bench.data.correspondence import labels_by_ids, repeated_ids, sorted_by_class, stated_ids
from bench.data.cutting import cut
from bench.data.formats.array_file import ArrayFile, are_texts, texts
from bench.data.keys import Choices, Keys, Role
from bench.data.roles import roles_of
from bench.data.stacked import Stacked, not_stacked
from bench.data.targets import Raw, Slot, Targets, targets_of

VERSION: Final = 6
"""Part of the fingerprint of files in more than the plain layout of a bundle; see `is_plain`."""

_BLOCK: Final = 4096
_FLAGS: Final = {"true": True, "yes": True, "false": False, "no": False}


@dataclass
class Layout:
    """What was understood of a file.

    Attributes:
        splits: by part; validation is missing where the file has none.
        names: of the classes; empty where they are numbers from 0.
        notes: sentences on what was understood or assumed.
    """

    splits: dict[str, Split]
    names: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


def layout_of(source: ArrayFile, choices: Choices | None = None) -> Layout:
    """Read an open file as a dataset; what its user states in ``choices`` precedes guesses.

    Raises:
        DataError: if it is none, or can be read in two ways.
    """
    choices = choices or Choices()
    keys = roles_of(source, choices)
    notes = [*keys.describe()]
    for known, other in keys.same:
        if not np.array_equal(source.array(known).reshape(-1), source.array(other).reshape(-1)):
            raise DataError(
                f"{source.path}: {known!r} and {other!r} seem to be the same list, and differ; leave one "
                "out, or give each modality ids and labels, such as 'train_image_ids', 'train_image_labels'"
            )
    if keys.of_all_rows:
        source, keys, assumptions = cut(source, keys)
        notes += assumptions
    return _Reading(Stacked(source, keys), keys, choices, notes).layout()


def is_plain(source: ArrayFile) -> bool:
    """Return whether a file is a plain bundle: class numbers, equal counts, no gallery, no ids."""
    keys = roles_of(source)
    counts: dict[str, set[tuple[int, ...]]] = {}
    for role, key in keys.roles.items():
        if role.what not in ("features", "labels"):
            return False
        if role.what == "labels":
            counts.setdefault(role.part, set()).add(source.shape(key))
        elif sum(length > 1 for length in source.shape(key)) > 2:
            return False
    stated = keys.paired or keys.multi_label or keys.of_all_rows or keys.class_names or not keys.literal
    equal = all(len(shapes) == 1 and len(shape) == 1 for shapes in counts.values() for shape in shapes)
    return not stated and equal and "gallery" not in keys.parts


class _Reading:
    """One file being read."""

    def __init__(self, source: Stacked, keys: Keys, choices: Choices, notes: list[str]) -> None:
        self.source, self.keys, self.path, self.notes = source, keys, source.path, notes
        self.choices, self.by_part = choices, dict[str, list[str]]()
        self.names = [*keys.features(keys.parts[0])]

    def layout(self) -> Layout:
        """Return the dataset."""
        raw, shared = self._raw_labels()
        names: tuple[str, ...] = ()
        if self.keys.class_names:
            values = self.source.array(self.keys.class_names)
            if not are_texts(values):
                where = self.source.where(self.keys.class_names)
                raise DataError(f"{where}: names of classes must be texts")
            names = tuple(texts(values.reshape(-1).tolist()).tolist())
        multi_label = self.choices.multi_label
        if multi_label is None and self.keys.multi_label:
            multi_label = self._flag(self.keys.multi_label)
        targets = targets_of(self.path, raw, multi_label, names)
        self.notes += targets.notes
        turned = self._turned(targets)
        splits = {part: self._split(part, targets, turned, part in shared) for part in self.keys.parts}
        for name in self.names:
            widths = {part: split[name].dimension for part, split in splits.items()}
            if len(set(widths.values())) != 1:
                raise DataError(f"{self.path}: features of {name!r} have different widths: {widths}")
        self.notes += [f"{', '.join(parts)}: {sentence}" for sentence, parts in self.by_part.items()]
        return Layout(splits, targets.names, list(dict.fromkeys(self.notes)))

    def _note(self, part: str, sentence: str) -> None:
        """Note what was assumed of a part; equal sentences of several parts are joined."""
        self.by_part.setdefault(sentence, []).append(part)

    def _slots(self) -> Iterator[tuple[Slot, str]]:
        """Yield part and modality with the key of its features."""
        for part in self.keys.parts:
            for name in self.names:
                yield (part, name), self.keys.features(part)[name]

    def _raw_labels(self) -> tuple[dict[Slot, Raw], set[str]]:
        """Return the labels as read, and the parts whose modalities share them."""
        raw: dict[Slot, Raw] = {}
        read: dict[str, Array] = {}
        shared: set[str] = set()
        for slot, features in self._slots():
            key = str(self.keys.of(slot[0], "labels", slot[1]))  # checked by `roles_of`
            shared |= {slot[0]} if key in read else set()
            values = read[key] if key in read else self.source.array(key)
            read[key] = values
            of_all = self.keys.roles.get(Role(slot[0], "labels", "")) == key
            if of_all:
                ids = {name: self.keys.of(slot[0], "ids", name) for name in self.names}
                of_labels = self.keys.roles.get(Role(slot[0], "ids", ""))
                if (by_ids := labels_by_ids(self.source, values, slot, ids, of_labels)) is not None:
                    self._note(slot[0], f"rows of {slot[1]} have the labels of their ids in {key}")
                    values = by_ids
            shape = self.source.shape(features)
            if slot in self.source.times:
                values = self.source.labels(slot, values, shape[0])
            elif of_all:
                values = self._for_repeated(slot, key, values, shape)
            raw[slot] = Raw(values, self.source.where(key), shape)
        return raw, shared

    def _for_repeated(self, slot: Slot, key: str, values: Array, shape: tuple[int, ...]) -> Array:
        """Return labels of all modalities for one that has several rows for each, such as captions."""
        count = max(values.shape, default=0) if values.ndim < 2 or 1 in values.shape else len(values)
        with_ids = self.keys.of(slot[0], "ids", slot[1]) is not None
        if with_ids or len(shape) != 2 or not count or {*values.shape} & {*shape} or shape[0] % count:
            return values
        times = shape[0] // count
        self._note(
            slot[0], f"each label in {key} is that of {times} rows of {slot[1]} that follow each other"
        )
        return np.repeat(values.reshape(count, -1), times, axis=0)

    def _flag(self, key: str) -> bool:
        """Return a single true or false; raises DataError for anything else."""
        value = self.source.array(key)
        if are_texts(value) and value.size == 1:
            word = str(texts(value.reshape(-1).tolist())[0]).strip().lower()
            value = np.array(_FLAGS[word]) if word in _FLAGS else value
        if value.size != 1 or value.dtype.kind not in "biuf" or value.reshape(-1)[0] not in (0, 1):
            raise DataError(
                f"{self.source.where(key)}: must be true or false, found {value.dtype} of {value.shape}"
            )
        return bool(value.reshape(-1)[0])

    def _turned(self, targets: Targets) -> set[str]:
        """Return the modalities whose columns are samples: where only that fits the number of labels."""
        turned, upright = set[str](), set[str]()
        for slot, key in self._slots():
            shape, rows = self.source.shape(key), len(targets.labels[slot])
            if len(shape) == 2 and shape[0] != rows == shape[1]:
                turned.add(slot[1])
                self.notes.append(f"{self.source.where(key)}: columns are samples; the matrix is transposed")
            elif len(shape) == 2 and shape[0] == rows != shape[1]:
                upright.add(slot[1])
        if both := turned & upright:
            raise DataError(
                f"{self.path}: samples of {min(both)!r} are rows in one part and columns in another"
            )
        return turned

    def _split(self, part: str, targets: Targets, turned: set[str], shared: bool) -> Split:
        """Return a part: rows that are there, with features, labels and ids."""
        features = {name: self._features(part, name, name in turned) for name in self.names}
        labels = {name: targets.labels[part, name] for name in self.names}
        for name in self.names:
            self._require_rows(part, name, len(features[name]), len(labels[name]))
        missing = {name: self._missing(part, name, features[name]) for name in self.names}
        ids, pairing = self._ids(part, labels, shared)
        modalities: dict[str, Modality] = {}
        for name, gone in missing.items():
            where = self.source.where(self.keys.features(part)[name])
            matrix, numbers, known = features.pop(name), labels[name], ids.get(name)
            if gone.any():
                if gone.all():
                    feature_matrix(matrix, where)  # refuses NaN
                    raise DataError(f"{where}: all rows are declared missing")
                self.notes.append(f"{part}: {int(gone.sum())} rows without {name} are left out of it")
                matrix, numbers = matrix[~gone], numbers[~gone]
                known = None if known is None else known[~gone]
                pairing = "none"  # ids state which of the rest correspond
            modalities[name] = Modality(feature_matrix(matrix, where), numbers, known)
        split = Split(modalities, targets.n_classes, pairing)
        self._require_labelled(part, split)
        return split

    def _features(self, part: str, name: str, turned: bool) -> Array:
        """Return a modality's features as a matrix ``(n, d)``; raises DataError if they are none."""
        key = self.keys.features(part)[name]
        values, where = self.source.matrix(key, turned), self.source.where(key)
        if values.ndim > 2 and sorted(values.shape)[-3:][0] == 1:
            values = values.reshape([length for length in values.shape if length > 1])
        if are_texts(values):
            raise DataError(
                f"{where}: features must be real numbers, found texts such as "
                f"{str(values.reshape(-1)[:1])[:60]}; to make features of texts, or of files: "
                f"python -m bench data extract {self.path} --output mine.npz --{name} ENCODER"
            )
        if values.ndim > 2:
            raise not_stacked(values.shape, part, name, where)
        if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "biuf":
            return feature_matrix(values, where)
        return values

    def _require_rows(self, part: str, name: str, rows: int, labels: int) -> None:
        """Refuse features and labels of different numbers."""
        if rows == labels:
            return
        key = self.keys.of(part, "labels", name)
        where = self.source.where(self.keys.features(part)[name])
        message = f"{where}: {rows} rows, but {labels} labels in {key!r}"
        if key == self.keys.roles.get(Role(part, "labels", "")):
            message += f"; give each modality separate labels, such as '{part}_{name}_labels'"
        raise DataError(message)

    def _missing(self, part: str, name: str, features: Array) -> NDArray[np.bool_]:
        """Return which rows a modality lacks: all NaN, or declared."""
        gone = np.zeros(len(features), dtype=bool)
        if features.dtype.kind == "f" and features.shape[1]:
            for start in range(0, len(features), _BLOCK):
                block = features[start : start + _BLOCK]
                first = np.isnan(block[:, 0])
                if first.any():
                    gone[start : start + _BLOCK] = first & np.isnan(block).all(axis=1)
        if zero := int((~features.any(axis=1)).sum()):
            self._note(part, f"{zero} rows of {name} are zero and taken as data; NaN marks missing rows")
        for what in ("missing", "present"):
            if (key := self.keys.of(part, what, name)) is not None:
                values = self.source.array(key).reshape(-1)
                if values.dtype.kind not in "biuf" or len(values) != len(gone):
                    raise DataError(f"{self.source.where(key)}: one true or false for each row is expected")
                gone |= (values != 0) == (what == "missing")
        return gone

    def _ids(
        self, part: str, labels: Mapping[str, Array], shared: bool
    ) -> tuple[dict[str, NDArray[np.int64]], Pairing]:
        """Return ids of the rows, and whether they are pairs, as the file states or its labels suggest."""
        stated = self._paired(part)
        given = {name: self.keys.of(part, "ids", name) for name in labels}
        if any(given.values()):
            if stated is False:
                raise DataError(
                    f"{self.path}: {part} has ids, and states that it is not paired; leave out one"
                )
            keys = self._completed(part, given, labels, shared)
            return self._given_ids(part, stated_ids(self.source, keys, labels)), "none"
        ids = {} if stated is False else self.source.ids(part, labels)
        if ids and (shared or stated or self._seem_pairs(part, self.source.first_labels(part, labels))):
            for name in (name for of_part, name in self.source.times if of_part == part):
                self._note(part, f"all rows of one entry of {name} show the same thing")
            return ids, "none"
        counts = {name: len(rows) for name, rows in labels.items()}
        equal = len(set(counts.values())) == 1
        if stated is None and not equal:
            return self._repeated(part, labels), "none"
        if stated is None and not shared:
            stated = self._seem_pairs(part, labels)
        elif stated is None:
            stated = True
            self._note(part, "rows are pairs, as one list of labels serves all modalities")
        if stated and not equal:
            raise DataError(
                f"{self.path}: {part} states that rows are pairs, but their counts differ: {counts}"
            )
        if not stated:
            return {}, "none"
        return {name: np.arange(count) for name, count in counts.items()}, "natural"

    def _given_ids(self, part: str, ids: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
        """Note modalities whose ids have nothing in common."""
        for a, b in combinations(ids, 2):
            if not np.isin(ids[a], ids[b]).any():
                self._note(part, f"no id of {a} is among those of {b}: none of their rows correspond")
        return ids

    def _completed(
        self, part: str, keys: Mapping[str, str | None], labels: Mapping[str, Array], shared: bool
    ) -> dict[str, str]:
        """Return a key of ids for each modality: those of one serve all where rows are pairs."""
        without = [name for name, key in keys.items() if key is None]
        name, given = next((name, key) for name, key in keys.items() if key)
        equal = len({len(rows) for rows in labels.values()}) == 1
        if without and not (equal and (shared or self._paired(part))):
            raise DataError(
                f"{self.path}: {part} has ids of some modalities ({given!r}), but none of {without[0]}; add "
                f"'{part}_{without[0]}_ids', or name them '{part}_ids' if they are those of all"
            )
        if without:
            self._note(part, f"the ids of {name} are taken for those of all modalities")
        return {name: key or given for name, key in keys.items()}

    def _paired(self, part: str) -> bool | None:
        """Return whether user or file states that rows are pairs; None if neither does."""
        if self.choices.paired is not None:
            return self.choices.paired
        key = self.keys.paired.get(part, self.keys.paired.get("", ""))
        return self._flag(key) != key.lower().endswith("unpaired") if key else None

    def _seem_pairs(self, part: str, labels: Mapping[str, Array]) -> bool:
        """Return whether equal labels suggest pairs, with a note."""
        first, *others = labels.values()
        state = "a key 'paired' or '..._ids' states it"
        different, known = np.zeros(len(first), dtype=bool), labelled(first)
        for other in others:
            known = known & labelled(other)
            unequal = first != other
            different |= unequal if unequal.ndim == 1 else unequal.any(axis=1)
        different &= known
        if different.any() or not known.any():
            differ = f"{int(different.sum())} of {len(first)} differ in their labels"
            self._note(part, f"rows are not taken for pairs, as {differ}; {state}")
            return False
        caution = ", which rows sorted by class have even without pairs: if so, state paired=false"
        caution = caution if sorted_by_class(first) else ""
        self._note(part, f"rows are taken for pairs, as labels are equal in all{caution}; {state}")
        return True

    def _repeated(self, part: str, labels: Mapping[str, Array]) -> dict[str, NDArray[np.int64]]:
        """Return ids where rows of one modality seem to have several rows of another each, in order."""
        ids = repeated_ids(labels)
        state = "keys '..._ids' state which rows correspond"
        if not ids:
            counts = ", ".join(f"{len(rows)} of {name}" for name, rows in labels.items())
            self._note(part, f"rows are not taken for pairs, as their counts differ ({counts}); {state}")
            return {}
        fewest = min(map(len, ids.values()))
        repeats = ", ".join(f"{len(rows) // fewest} of {name}" for name, rows in ids.items())
        self._note(part, f"rows that follow each other are taken for the same thing ({repeats}); {state}")
        return ids

    def _require_labelled(self, part: str, split: Split) -> None:
        """Refuse rows without a label but in training, and a modality without any label."""
        for name, modality in split.items():
            without = int((~modality.labelled).sum())
            if without and part != "train":
                raise DataError(
                    f"{self.path}: {without} {part} rows of {name} have no label, and only training rows may "
                    "lack one; leave them out"
                )
            if without == len(modality):
                raise DataError(f"{self.path}: no {part} row of {name} has a label")
            if without:
                self.notes.append(f"{part}: {without} of {len(modality)} rows of {name} have no label")
