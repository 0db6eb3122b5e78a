"""Arrays that hold the rows of all splits: cut by a list of words, by row numbers or by masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError
from bench.data.formats.array_file import ArrayFile, are_texts, texts
from bench.data.formats.stored import Rows
from bench.data.keys import Keys, Role
from bench.data.partition import fixed_generator, stratified_rows
from bench.data.words import part_named, words_of


def cut(source: ArrayFile, keys: Keys) -> tuple[ArrayFile, Keys, list[str]]:
    """Cut arrays of all rows into the parts that ``keys.split`` or ``keys.rows`` names, or by ``keys.share``.

    Returns:
        The arrays by part, their keys, and what was assumed of row numbers.

    Raises:
        DataError: if a list names no parts or no rows, or an array has another number of rows.
    """
    notes: list[str] = []
    if keys.split:
        by_count = _by_words(source, keys.splits)
    elif keys.share:
        count = _count(source, keys)
        by_count = {count: _drawn(source, keys, count, notes)}
    else:
        count = _count(source, keys)
        by_count = {count: _by_numbers(source, keys, count, notes)}
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
            lists = keys.splits or [*keys.rows.values()]
            raise DataError(f"{source.where(key)}: shape {shape} for {counts} rows ({', '.join(lists)})")
        for part, rows in by_count[count].items():
            name = f"{part}_{key}"
            whole[name] = _Rows(key, rows, shape[0] != count)
            made.roles[Role(part, role.what, role.modality)] = name
    _require_same_order(source, keys)
    return _Cut(source, whole), made, notes


def _require_same_order(source: ArrayFile, keys: Keys) -> None:
    """Refuse arrays of as many rows whose ids stand in different orders: one list cannot cut them all.

    Raises:
        DataError: saying what to do.
    """
    ids: dict[int, tuple[str, Array]] = {}
    for role, key in keys.roles.items():
        if role.what == "ids":
            values = source.array(key).reshape(-1)
            known, first = ids.setdefault(len(values), (key, values))
            if not np.array_equal(first, values):
                raise DataError(
                    f"{source.path}: {known!r} and {key!r} differ, and the rows of both are cut by the same "
                    "list; sort both by id, or store train and test apart"
                )


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
        """Remember what to cut.

        Args:
            source: of the arrays of all rows.
            whole: the rows, by their key.
        """
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
        if key not in self._whole:
            return self._source.shape(key)
        name, rows, turned = self._whole[key]
        shape = self._source.shape(name)
        return (len(rows), *(shape[-2::-1] if turned else shape[1:]))

    def _read(self, key: str) -> Array:
        if key not in self._whole:
            return self._source.array(key)
        name, rows, turned = self._whole[key]
        values = self._source.array(name)
        return np.asarray((values.T if turned else values)[rows])

    def _read_matrices(self, key: str, transposed: bool, parts: Rows) -> dict[str, Array]:
        if transposed or [*parts.values()] != [None] or key not in self._whole:
            return super()._read_matrices(key, transposed, parts)
        if key not in self._ready:
            name, _, turned = self._whole[key]
            same = {made: one.rows for made, one in self._whole.items() if one.key == name}
            self._ready |= self._source.matrices(name, turned, same)
        return dict.fromkeys(parts, self._ready.pop(key))


def _by_words(source: ArrayFile, keys: Sequence[str]) -> dict[int, dict[str, NDArray[np.intp]]]:
    """Return the rows of each part that lists name, by the number of all rows.

    Raises:
        DataError: if two lists of one length differ.
    """
    found: dict[int, dict[str, NDArray[np.intp]]] = {}
    for key in keys:
        parts = _of_list(source, key)
        count = sum(map(len, parts.values()))
        known = found.setdefault(count, parts)
        if any(not np.array_equal(known.get(part, ()), rows) for part, rows in parts.items()):
            raise DataError(f"{source.path}: {' and '.join(keys)} name different parts for the same rows")
    return found


def _of_list(source: ArrayFile, key: str) -> dict[str, NDArray[np.intp]]:
    """Return the rows of each part that a list of words names."""
    where = source.where(key)
    listed = source.array(key)
    if not are_texts(listed):
        found = ", ".join(map(str, np.unique(listed)[:8].tolist()))
        raise DataError(
            f"{where}: the part of each row must be a word such as train or test, found {found}; write "
            "train, validation, test or gallery in their place"
        )
    words = texts(listed.reshape(-1).tolist())
    parts = {word: part_named(word) for word in dict.fromkeys(words.tolist())}
    unknown = [word for word, part in parts.items() if not part]
    if unknown:
        raise DataError(f"{where}: {unknown[0]!r} is no part; write train, validation, test or gallery")
    missing = [part for part in ("train", "test") if part not in parts.values()]
    if missing:
        raise DataError(f"{where}: no row is of the part {missing[0]}")
    row_parts = np.array([parts[word] for word in words.tolist()])
    return {part: np.flatnonzero(row_parts == part) for part in dict.fromkeys(parts.values())}


def _drawn(source: ArrayFile, keys: Keys, count: int, notes: list[str]) -> dict[str, NDArray[np.intp]]:
    """Return a share of the rows of each class for test, drawn with a fixed seed, and the rest for train."""
    key = next(key for role, key in keys.roles.items() if role.what == "labels")
    values = source.array(key)
    labels = texts(values.reshape(-1).tolist()) if are_texts(values) else values
    if labels.ndim == 2:
        labels = labels.reshape(-1) if 1 in labels.shape else labels if len(labels) == count else labels.T
    if len(labels) != count:
        raise DataError(f"{source.where(key)}: {len(labels)} labels for {count} rows")
    total = round(keys.share * count)
    test = stratified_rows(labels, total, fixed_generator("test"), least=1, spare=1)
    notes.append(f"{len(test)} of {count} rows are drawn for test, by class and with a fixed seed")
    return {"train": np.setdiff1d(np.arange(count), test), "test": test}


def _count(source: ArrayFile, keys: Keys) -> int:
    """Return the number of rows: the length that all arrays share, the larger of two.

    Raises:
        DataError: if they share none.
    """
    shapes = {key: source.shape(key) for role, key in keys.roles.items() if not role.part}
    shared = set.intersection(*({*shape} for shape in shapes.values()))
    if not shared:
        raise DataError(f"{source.path}: arrays of all rows have no number of rows in common: {shapes}")
    return int(max(shared))


def _by_ids(source: ArrayFile, key: str, ids: str) -> NDArray[np.intp]:
    """Return the rows whose ids a list names."""
    known, named = (source.array(one).reshape(-1).tolist() for one in (ids, key))
    rows = {one: row for row, one in enumerate(known)}
    unknown = [one for one in named if one not in rows]
    if unknown or len(rows) < len(known):
        wrong = f"{unknown[0]!r} is not among the ids {ids!r}" if unknown else f"ids occur twice in {ids!r}"
        raise DataError(f"{source.where(key)}: {wrong}")
    return np.array([rows[one] for one in named], dtype=np.intp)


def _by_numbers(source: ArrayFile, keys: Keys, count: int, notes: list[str]) -> dict[str, NDArray[np.intp]]:
    """Return the rows of each part by lists of their numbers, from 0 or 1, of their ids, or by masks."""
    lists, ids = keys.rows, keys.roles.get(Role("", "ids", ""))
    read: dict[str, NDArray[np.intp]] = {}
    masks: list[str] = []
    numbered: list[str] = []
    for part, key in lists.items():
        values = source.array(key).reshape(-1)
        if ids and (are_texts(values) or words_of(key)[-1] == "ids"):
            read[part] = _by_ids(source, key, ids)
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
        notes.append(f"rows that are not of {' or '.join(masks)} are taken for test")
    if not len(read.get("test", ())):
        raise DataError(
            f"{source.path}: {lists['train']!r} says which rows are of train, and nothing says which "
            "are of test; add a list 'test_index'"
        )
    return _from_zero(source, read, numbered, count, notes) if numbered else read


def _from_zero(
    source: ArrayFile,
    read: dict[str, NDArray[np.intp]],
    numbered: Sequence[str],
    count: int,
    notes: list[str],
) -> dict[str, NDArray[np.intp]]:
    """Return row numbers as numbers from 0, if those of the parts in ``numbered`` seem to count from 1."""
    low = min(int(read[part].min()) for part in numbered)
    high = max(int(read[part].max()) for part in numbered)
    if low < 0 or high > count or (low == 0 and high == count):
        raise DataError(
            f"{source.path}: numbers of rows reach from {low} to {high}, and the arrays have {count} rows"
        )
    matlab = source.path.suffix.lower() == ".mat" or high == count
    if low and matlab:
        notes.append(f"numbers of rows ({low} to {high} of {count}) are counted from 1")
        return {part: rows - 1 if part in numbered else rows for part, rows in read.items()}
    if low:
        notes.append(f"numbers of rows ({low} to {high} of {count}) are counted from 0")
    return read
