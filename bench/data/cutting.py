"""Arrays that hold the rows of all splits: cut by a list of words, by row numbers or by masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError
from bench.data.formats.array_file import ArrayFile, are_texts, texts
from bench.data.formats.stored import Rows
from bench.data.keys import Keys, Role
from bench.data.partition import fixed_generator, stratified_rows
from bench.data.words import part_named, words_of

_Parts = dict[str, NDArray[np.intp]]
"""Numbers of the rows of each part."""


def cut(source: ArrayFile, keys: Keys) -> tuple[ArrayFile, Keys, list[str]]:
    """Cut arrays of all rows into the parts that ``keys.split`` or ``keys.rows`` names, or by ``keys.share``.

    Returns:
        The arrays by part, their keys, and what was assumed of row numbers.

    Raises:
        DataError: if a list names no parts or no rows, or an array has another number of rows.
    """
    cutter = _Cutter(source, keys)
    by_count = cutter.by_words() if keys.split else cutter.by_share() if keys.share else cutter.by_numbers()
    cutter.extend(by_count)
    made = Keys({}, keys.paired, keys.multi_label, "", keys.class_names, unused=keys.unused, literal=False)
    whole: dict[str, _Rows] = {}
    for role, key in keys.roles.items():
        if role.part:
            made.unused.append(key)
            continue
        shape = source.shape(key)
        count = next((count for count in by_count if count in (*shape[:1], *shape[-1:])), -1)
        if count < 0:
            counts = " or ".join(map(str, by_count))
            lists = ", ".join(keys.splits or keys.rows.values())
            raise DataError(
                f"{source.where(key)}: shape {shape} for {counts} rows ({lists}); add ids of all modalities, "
                f"or a list '{role.modality}_split' of the part of each row; or name the arrays to use: "
                f"python -m bench data import {source.path} --output mine.npz --image KEY --text KEY"
            )
        for part, rows in by_count[count].items():
            name = f"{part}_{key}"
            whole[name] = _Rows(key, rows, shape[0] != count)
            made.roles[Role(part, role.what, role.modality)] = name
    cutter.require_same_order()
    return _Cut(source, whole), made, cutter.notes


class _Rows(NamedTuple):
    """Some rows of an array of all rows.

    Attributes:
        key: of the array.
        rows: their numbers.
        turned: whether the array's columns are samples.
    """

    key: str
    rows: NDArray[np.intp]
    turned: bool


class _Cut(ArrayFile):
    """Rows of the arrays of a file; each array is read once, and only its rows of the parts are kept."""

    def __init__(self, source: ArrayFile, whole: Mapping[str, _Rows]) -> None:
        super().__init__(source.path)
        self._source, self._whole = source, whole
        self._ready: dict[str, Array] = {}

    def where(self, key: str) -> str:
        """Return how messages name an array: by that of all rows."""
        return self._source.where(self._whole[key].key if key in self._whole else key)

    def keys(self) -> list[str]:
        """Return the keys of the parts' arrays, and those of the file."""
        return [*self._whole, *self._source.keys()]

    def _shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of a part's rows, or of an array as it is."""
        if key not in self._whole:
            return self._source.shape(key)
        name, rows, turned = self._whole[key]
        shape = self._source.shape(name)
        return (len(rows), *(shape[-2::-1] if turned else shape[1:]))

    def _read(self, key: str) -> Array:
        """Return a part's rows, or an array as it is."""
        if key not in self._whole:
            return self._source.array(key)
        name, rows, turned = self._whole[key]
        values = self._source.array(name)
        return np.asarray((values.T if turned else values)[rows])

    def _read_matrices(self, key: str, transposed: bool, parts: Rows) -> dict[str, Array]:
        """Return a part's rows; the others of the same array are kept until they are asked for."""
        if transposed or [*parts.values()] != [None] or key not in self._whole:
            return super()._read_matrices(key, transposed, parts)
        if key not in self._ready:
            name, _, turned = self._whole[key]
            same = {made: one.rows for made, one in self._whole.items() if one.key == name}
            self._ready |= self._source.matrices(name, turned, same)
        return dict.fromkeys(parts, self._ready.pop(key))


class _Cutter:
    """Finds the rows of each part in one of three ways, by the number of all rows."""

    def __init__(self, source: ArrayFile, keys: Keys) -> None:
        self.source, self.keys, self.notes = source, keys, list[str]()

    def extend(self, by_count: dict[int, _Parts]) -> None:
        """Give rows of another number, such as captions, the part of their id among those that have one."""
        keys = [key for role, key in self.keys.roles.items() if role[:2] == ("", "ids")]
        lists = {key: self.source.array(key).reshape(-1) for key in keys}
        known = {key: values for key, values in lists.items() if len(values) in by_count}
        for key, values in lists.items():
            for other, ids in known.items():
                parts = {part: np.isin(values, ids[rows]) for part, rows in by_count[len(ids)].items()}
                once = np.add.reduce([*parts.values()], dtype=int) == 1
                if len(values) not in by_count and once.all():
                    by_count[len(values)] = {part: np.flatnonzero(rows) for part, rows in parts.items()}
                    self.notes.append(f"rows of {key} are of the part of their id in {other}")

    def require_same_order(self) -> None:
        """Refuse arrays of as many rows whose ids are in different orders: one list cannot cut them all."""
        ids: dict[int, tuple[str, Array]] = {}
        for role, key in self.keys.roles.items():
            if role.what == "ids":
                values = self.source.array(key).reshape(-1)
                known, first = ids.setdefault(len(values), (key, values))
                if not np.array_equal(first, values):
                    raise DataError(
                        f"{self.source.path}: {known!r} and {key!r} differ, and the rows of both are cut by "
                        "the same list; sort both by id, or store train and test apart"
                    )

    def by_words(self) -> dict[int, _Parts]:
        """Return the rows of each part that lists name.

        Raises:
            DataError: if a list names something else, or two lists of one length differ.
        """
        found: dict[int, _Parts] = {}
        for key in self.keys.splits:
            listed, where = self.source.array(key), self.source.where(key)
            if not are_texts(listed):
                numbers = ", ".join(map(str, np.unique(listed)[:8].tolist()))
                raise DataError(
                    f"{where}: the split of each row must be a word such as train or test, found {numbers}; "
                    "write train, validation, test or gallery instead"
                )
            words = texts(listed.reshape(-1).tolist()).tolist()
            named = {word: part_named(word) for word in dict.fromkeys(words)}
            if unknown := [word for word, part in named.items() if not part]:
                raise DataError(
                    f"{where}: {unknown[0]!r} is no split; write train, validation, test or gallery"
                )
            if missing := [part for part in ("train", "test") if part not in named.values()]:
                raise DataError(f"{where}: no row is of the split {missing[0]}")
            of_rows = np.array([named[word] for word in words])
            parts = {part: np.flatnonzero(of_rows == part) for part in dict.fromkeys(named.values())}
            known = found.setdefault(len(words), parts)
            if any(not np.array_equal(known.get(part, ()), rows) for part, rows in parts.items()):
                lists = " and ".join(self.keys.splits)
                raise DataError(
                    f"{self.source.path}: {lists} name different splits for the same rows; sort all arrays "
                    "by id, or store train and test apart"
                )
        return found

    def by_share(self) -> dict[int, _Parts]:
        """Return a share of each class for test, drawn with a fixed seed, and the rest for train."""
        count = self._count()
        key = next(key for role, key in self.keys.roles.items() if role.what == "labels")
        values = self.source.array(key)
        labels = texts(values.reshape(-1).tolist()) if are_texts(values) else values
        if labels.ndim == 2:
            labels = labels.reshape(-1) if 1 in labels.shape else labels if len(labels) == count else labels.T
        if len(labels) != count:
            raise DataError(f"{self.source.where(key)}: {len(labels)} labels for {count} rows")
        total = round(self.keys.share * count)
        test = stratified_rows(labels, total, fixed_generator("test"), least=1, spare=1)
        self.notes.append(f"{len(test)} of {count} rows are drawn for test, by class and with a fixed seed")
        return {count: {"train": np.setdiff1d(np.arange(count), test), "test": test}}

    def _count(self) -> int:
        """Return the number of rows: the length that all arrays share, the larger of two."""
        shapes = {key: self.source.shape(key) for role, key in self.keys.roles.items() if not role.part}
        shared = set.intersection(*({*shape} for shape in shapes.values()))
        if not shared:
            raise DataError(
                f"{self.source.path}: arrays of all rows have no number of rows in common: {shapes}; store "
                "train and test apart, or lists image_split and text_split of the part of each row"
            )
        return int(max(shared))

    def by_numbers(self) -> dict[int, _Parts]:
        """Return the rows of each part by lists of their numbers, from 0 or 1, of their ids, or by masks."""
        source, lists, count = self.source, self.keys.rows, self._count()
        ids = self.keys.roles.get(Role("", "ids", ""))
        read: _Parts = {}
        masks, numbered = list[str](), list[str]()
        for part, key in lists.items():
            values = source.array(key).reshape(-1)
            if ids and (are_texts(values) or words_of(key)[-1] == "ids"):
                read[part] = self._by_ids(key, ids)
                continue
            whole = values.dtype.kind in "biuf" and bool((values == np.floor(values)).all())
            if not whole or not values.size:
                raise DataError(f"{source.where(key)}: numbers of rows are expected, found {values.dtype}")
            if len(values) == count and set(np.unique(values).tolist()) <= {0, 1}:
                read[part] = np.flatnonzero(values)
                masks.append(key)
            else:
                read[part] = values.astype(np.intp)
                numbered.append(part)
        if "test" not in read and len(masks) == len(lists):
            read["test"] = np.setdiff1d(np.arange(count), np.concatenate([*read.values()]))
            self.notes.append(f"rows that are not of {' or '.join(masks)} are taken for test")
        if not len(read.get("test", ())):
            raise DataError(
                f"{source.path}: {lists['train']!r} says which rows are of train, and nothing says which "
                "are of test; add a list 'test_index'"
            )
        if numbered:
            first = self._first([read[part] for part in numbered], count)
            read |= {part: read[part] - first for part in numbered}
        return {count: read}

    def _by_ids(self, key: str, ids: str) -> NDArray[np.intp]:
        """Return the rows whose ids a list names."""
        known, named = (self.source.array(one).reshape(-1).tolist() for one in (ids, key))
        rows = {one: row for row, one in enumerate(known)}
        unknown = [one for one in named if one not in rows]
        if unknown or len(rows) < len(known):
            wrong = (
                f"{unknown[0]!r} is not among the ids {ids!r}" if unknown else f"ids occur twice in {ids!r}"
            )
            raise DataError(f"{self.source.where(key)}: {wrong}")
        return np.array([rows[one] for one in named], dtype=np.intp)

    def _first(self, lists: list[NDArray[np.intp]], count: int) -> int:
        """Return whether lists of row numbers count from 0 or from 1."""
        low, high = min(int(one.min()) for one in lists), max(int(one.max()) for one in lists)
        if low < 0 or high > count or (low == 0 and high == count):
            reach = f"numbers of rows reach from {low} to {high}"
            raise DataError(f"{self.source.path}: {reach}, and the arrays have {count} rows")
        first = int(low > 0 and (self.source.path.suffix.lower() == ".mat" or high == count))
        if low:
            self.notes.append(f"numbers of rows ({low} to {high} of {count}) are counted from {first}")
        return first
