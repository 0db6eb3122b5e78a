"""Which rows of different modalities show the same thing: by stated ids, or by counts and labels alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError
from bench.data.formats.array_file import ArrayFile, are_texts, texts


def stated_ids(
    source: ArrayFile, keys: Mapping[str, str], labels: Mapping[str, Array]
) -> dict[str, NDArray[np.int64]]:
    """Return the ids of the labelled rows of each modality as integers; texts are numbered over all.

    Raises:
        DataError: if they are not one whole number or text for each row.
    """
    raw: dict[str, Array] = {}
    for name, key in keys.items():
        values = source.array(key).reshape(-1)
        if len(values) != len(labels[name]):
            raise DataError(f"{source.where(key)}: {len(values)} ids for {len(labels[name])} rows")
        raw[name] = texts(values.tolist()) if are_texts(values) else values
        whole = values.dtype.kind in "biu" or (
            values.dtype.kind == "f" and bool((np.isfinite(values) & (values == np.floor(values))).all())
        )
        if not whole and raw[name].dtype != object:
            raise DataError(f"{source.where(key)}: ids must be whole numbers or texts")
    if len({values.dtype == object for values in raw.values()}) > 1:
        raise DataError(f"{source.path}: ids are texts in one modality and numbers in another")
    if any(values.dtype == object for values in raw.values()):
        known = {
            name: index for index, name in enumerate(sorted({one for ids in raw.values() for one in ids}))
        }
        return {name: np.array([known[one] for one in ids], dtype=np.int64) for name, ids in raw.items()}
    return {name: values.astype(np.int64) for name, values in raw.items()}


def labels_by_ids(
    source: ArrayFile,
    labels: Array,
    slot: tuple[str, str],
    ids: Mapping[str, str | None],
    of_labels: str | None,
) -> Array | None:
    """Return the labels of a modality's rows by their ids, from one list for all modalities.

    Args:
        source: of the arrays.
        labels: one for each row or id.
        slot: part and modality.
        ids: key of the ids of each modality, where it has some.
        of_labels: key of the ids of the labels, or of all modalities, if there is one.

    Returns:
        The labels ``(n,)`` or ``(n, C)``; None if ids do not decide: the list is in the order of the rows,
        or no list of ids belongs to it.

    Raises:
        DataError: if an id has no label, or several.
    """
    part, name = slot
    key = ids[name]
    labels = labels.reshape(-1) if labels.shape[:1] == (1,) else labels
    if key is None or not labels.ndim:
        return None
    wanted = source.array(key).reshape(-1)
    counts = {len(wanted), *(source.array(one).size for one in (*ids.values(), of_labels) if one)}
    if labels.ndim == 2 and len(labels) not in counts and labels.shape[1] in counts:  # columns are samples
        labels = labels.T
    if of_labels is not None and of_labels != key:
        rows = _rows_of(wanted, source.array(of_labels).reshape(-1), len(labels))
        if rows is None:
            raise DataError(
                f"{source.path}: not all ids in {key!r} are, once each, in {of_labels!r} of the labels"
            )
        return np.asarray(labels[rows])
    if len(wanted) != len(labels):
        lists = (source.array(other).reshape(-1) for other in ids.values() if other)
        found = (_rows_of(wanted, known, len(labels)) for known in lists)
        return next((np.asarray(labels[rows]) for rows in found if rows is not None), None)
    if of_labels is None:
        _require_one_order(source, labels, ids, part)
    return None


def _rows_of(ids: Array, known: Array, count: int) -> list[int] | None:
    """Return the rows of ids in a list of ``count`` different ones; None if it is another, or lacks one."""
    row_of = {one: row for row, one in enumerate(known.tolist())}
    wanted = ids.tolist()
    complete = len(row_of) == len(known) == count and row_of.keys() >= {*wanted}
    return [row_of[one] for one in wanted] if complete else None


def _require_one_order(source: ArrayFile, labels: Array, ids: Mapping[str, str | None], part: str) -> None:
    """Refuse, by a DataError, one list of labels for modalities whose ids are in different orders."""
    first, *others = [source.array(key).reshape(-1) for key in dict.fromkeys(ids.values()) if key]
    for other in others:
        if len(first) == len(other) == len(labels) and are_texts(first) == are_texts(other):
            _, rows, same = np.intersect1d(first, other, return_indices=True)
            if (labels[rows] != labels[same]).any():
                names = " and ".join(name for name, key in ids.items() if key)
                raise DataError(
                    f"{source.path}: {part} has one list of labels, and the ids of {names} are in different "
                    f"orders; give each modality separate labels, such as '{part}_{next(iter(ids))}_labels'"
                )


def repeated_ids(labels: Mapping[str, Array]) -> dict[str, NDArray[np.int64]]:
    """Return ids where each row of one modality has equally many of the others, in order, with its label.

    So captions of pictures are stored. Empty where labels differ, or rows are sorted by class, which fit then
    whether they correspond or not.
    """
    fewest = min(labels.values(), key=len)
    if sorted_by_class(fewest):
        return {}
    ids = {name: np.repeat(np.arange(len(fewest)), len(rows) // len(fewest)) for name, rows in labels.items()}
    fit = all(
        len(ids[name]) == len(rows) and bool((fewest[ids[name]] == rows).all())
        for name, rows in labels.items()
    )
    return ids if fit else {}


def sorted_by_class(labels: Array) -> bool:
    """Return whether rows are sorted by class and have several classes."""
    numbers = labels if labels.ndim == 1 else np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
    return len(numbers) > 2 and bool((np.diff(numbers) >= 0).all()) and bool(numbers[0] != numbers[-1])
