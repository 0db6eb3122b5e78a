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
    """Return whether rows of several classes are in the order of these."""
    numbers = labels if labels.ndim == 1 else np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
    return len(numbers) > 2 and bool((np.diff(numbers) >= 0).all()) and bool(numbers[0] != numbers[-1])
