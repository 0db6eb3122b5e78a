"""Dicts whose keys are ids of samples, and Karpathy's JSON of pictures with sentences, as arrays with ids."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import require_memory
from bench.data.formats.file_arrays import Lazy
from bench.data.formats.pickles import opened
from bench.data.formats.records import grouped
from bench.data.words import WHAT_OF, words_of

FEWEST: Final = 8
"""Entries that a dict of samples has at least; one of arrays has fewer, or matrices."""
MOST_ROWS: Final = 10
"""Rows, such as captions, that a sample has at most; more are words of a text."""
_LABELS: Final = ("label", "labels", "category", "categories", "class")


def columns_of(value: Any) -> dict[str, Any] | None:
    """Return the columns of a list of dicts of single values, or of a dict of such dicts, which has ids.

    Numbered columns of numbers are one matrix, as in other tables. Beside numbers or texts, a column may hold
    a matrix for each sample, such as five captions. None where an entry has no value; None in all if it is no
    table.
    """
    keyed = isinstance(value, dict) and len(value) >= FEWEST
    entries = [*value.values()] if keyed else value if isinstance(value, list | tuple) else []
    rows = [opened(one) for one in entries]
    if not rows or not all(
        isinstance(row, dict) and all(isinstance(key, str) for key in row) for row in rows
    ):
        return None
    found = {key: [row.get(key) for row in rows] for key in dict.fromkeys(key for row in rows for key in row)}
    tables = [key for key, column in found.items() if any(map(_is_table, column))]
    if tables and not _hold_matrices(found, tables):
        return None
    stacked = {key: _stacked(found[key], key) for key in tables}
    joined = _joined({**found, **stacked})
    return {"ids": _ids([*value]), **joined} if keyed else joined


def _joined(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns with those of numbers called ``name_0``, ``name_1``, ... as rows of one matrix."""
    numbers = {
        key: True
        for key, column in columns.items()
        if not key.isdigit() and all(isinstance(one, int | float | np.number | None) for one in column)
    }
    found: dict[str, Any] = {}
    group_of = {key: (name, keys) for name, keys in grouped(numbers, "").items() for key in keys}
    for key, column in columns.items():
        name, keys = group_of.get(key, (key, [key]))
        rows = zip(*(columns[one] for one in keys), strict=True)
        found[name] = column if keys == [key] else [None if {*row} == {None} else [*row] for row in rows]
    return found


def aligned(value: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return a dict with the dicts of samples in it as lists, in one order where they have the same ids.

    A dict of samples has a vector for each id; or a label or the like, if it is beside one of vectors, or
    is alone and called labels.
    """
    entries = {key: opened(one) for key, one in value.items()}
    dicts = {key: one for key, one in entries.items() if isinstance(one, dict) and len(one) >= FEWEST}
    single = {key: one for key, one in dicts.items() if not any(map(_is_table, one.values()))}
    vectors = {key: one for key, one in single.items() if _are_vectors([*one.values()])}
    lone = [key for key in single if len(entries) == 1 and "labels" in map(WHAT_OF.get, words_of(str(key)))]
    if not vectors and not lone:
        return value
    first = single[next(iter(vectors or lone))]
    samples = {key: one for key, one in single.items() if key in vectors or one.keys() & first.keys()}
    orders = {key: first if one.keys() == first.keys() else one for key, one in samples.items()}
    lists = {key: [one[sample] for sample in orders[key]] for key, one in samples.items()}
    if len(samples) > 1 and all(order is first for order in orders.values()):
        return {"ids": _ids([*first]), **value, **lists}
    return {**value, **lists, **{f"{key}_ids": _ids([*order]) for key, order in orders.items()}}


def of_sentences(root: Any) -> dict[str, Any] | None:
    """Return splits, ids and labels of pictures and sentences in Karpathy's JSON; None for any other.

    The sentences' rows are in the order of their numbers where these are 0 to M - 1, else of the file.

    Raises:
        DataError: if an entry is no picture with sentences and a split.
    """
    images = root.get("images") if isinstance(root, dict) else None
    if not isinstance(images, list) or not images or not isinstance(images[0], dict):
        return None
    if not {"split", "sentences"} <= {*images[0]} and not {"split", "sentids"} <= {*images[0]}:
        return None
    try:
        numbers = [
            image["sentids"] if "sentids" in image else [one["sentid"] for one in image["sentences"]]
            for image in images
        ]
        pairs = [(number, row) for row, listed in enumerate(numbers) for number in listed]
        splits = [str(image["split"]) for image in images]
    except (KeyError, TypeError) as error:
        raise DataError(f"'images' has an entry without split, sentids or sentences ({error})") from None
    if sorted(number for number, _ in pairs) == [*range(len(pairs))]:
        pairs.sort()
    rows = [row for _, row in pairs]
    found: dict[str, Any] = {"image_split": splits, "text_split": [splits[row] for row in rows]}
    found |= {"image_ids": [*range(len(images))], "text_ids": rows}
    return found | {key: [image.get(key) for image in images] for key in _LABELS if key in images[0]}


def single(values: Array, *, matrix: bool = False) -> Any:
    """Return the number, vector, text or, if allowed, matrix of a sample in MATLAB; None if it is empty."""
    if values.dtype == object:
        return "".join(values.tolist())
    if values.size > max(values.shape, default=1):
        if matrix and values.ndim == 2:
            return values
        raise ValueError("a matrix where one value is expected")
    return values.reshape(-1) if values.size > 1 else values.item() if values.size else None


def _ids(keys: Sequence[Any]) -> list[Any]:
    """Return ids as whole numbers, or all as texts."""
    if all(isinstance(key, int) for key in keys):
        return [*keys]
    return [key.decode("utf-8") if isinstance(key, bytes) else str(key) for key in keys]


def shape_of(cell: Any) -> tuple[int, ...]:
    """Return the shape of an array or of rows of numbers, or the length of a list; () for anything else."""
    if not isinstance(cell, list | tuple):
        return tuple(getattr(opened(cell), "shape", ()))
    lengths = {_length(row) for row in cell} if cell and _length(cell[0]) else {0}
    return (len(cell), *lengths) if len(lengths) == 1 and lengths != {0} else (len(cell),)


def _length(row: Any) -> int:
    """Return the length of a row that begins with a number; 0 for anything else."""
    numbers = isinstance(row, list | tuple) and row and isinstance(row[0], int | float | np.generic)
    return len(row) if numbers else 0


def _are_vectors(cells: Sequence[Any]) -> bool:
    """Return whether values are vectors of numbers of one length above 1."""
    shapes = {shape_of(cell) for cell in cells}
    if len(shapes) != 1 or shapes & {(), (0,), (1,)}:
        return False
    lists = [cell for cell in cells if isinstance(cell, list | tuple)]
    return all(isinstance(one, int | float | np.generic) for cell in lists for one in cell)


def _hold_matrices(columns: Mapping[str, Sequence[Any]], chosen: Sequence[str]) -> bool:
    """Return whether columns of samples hold matrices of one shape; some other column holds single values."""
    shapes = {key: {shape_of(cell) for cell in column} for key, column in columns.items()}
    return (
        len(columns[chosen[0]]) >= FEWEST
        and all(len(shapes[key]) == 1 and len(*shapes[key]) == 2 for key in chosen)
        and any(shapes[key] == {()} for key in columns if key not in chosen)
    )


def _stacked(cells: Sequence[Any], key: str) -> Array:
    """Return matrices of one shape, one for each sample, as one array."""
    entries = [opened(cell) for cell in cells]
    require_memory(8 * len(entries) * math.prod(shape_of(entries[0])), key)
    return np.stack([one.matrix(key) if isinstance(one, Lazy) else one for one in entries])


def _is_table(cell: Any) -> bool:
    """Return whether a value is more than a number, a text or a row of such."""
    if isinstance(cell, list | tuple):
        return any(isinstance(one, list | tuple | dict) for one in cell[:1])
    lazy = isinstance(cell, Lazy) and not hasattr(cell, "shape")
    return isinstance(cell, dict) or lazy or len(shape_of(cell)) > 1
