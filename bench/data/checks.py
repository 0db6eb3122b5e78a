"""Checks of arrays and splits: a bad one gets a sentence with file, key, finding and expectation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError, DatasetCard, Modality, Split
from bench.data.formats import ArrayFile
from bench.data.partition import PARTS

_BLOCK = 4096


def feature_matrix(values: Array, where: str) -> NDArray[np.float32]:
    """Return features as a float32 matrix ``(n, d)`` in C order; ``where`` is file and key, for messages.

    Raises:
        DataError: if it is no matrix of finite real numbers with at least one row and column.
    """
    if values.dtype.kind not in "biuf":
        raise DataError(f"{where}: features must be real numbers, found values of type {values.dtype}")
    if values.ndim != 2:
        raise DataError(f"{where}: features must be a matrix (n, d), found shape {values.shape}")
    if 0 in values.shape:
        raise DataError(f"{where}: the matrix is empty, its shape is {values.shape}")
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(values, dtype=np.float32)
    for start in range(0, len(matrix), _BLOCK):
        finite = np.isfinite(matrix[start : start + _BLOCK])
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            value = values[start + row, column]
            raise DataError(
                f"{where}: row {start + row}, column {column} is {value}; all features must be finite "
                "in float32"
            )
    return matrix


def class_numbers(
    values: Array, where: str, n_classes: int, first: int = 0, *, whole_floats: bool = True
) -> NDArray[np.int64]:
    """Return labels as class numbers ``(n,)`` counted from 0, int64.

    ``values`` are ``(n,)``, ``(n, 1)`` or ``(1, n)``, and count from ``first``, 0 or 1. With ``whole_floats``
    floating-point numbers without a fraction will do, as MATLAB writes them.

    Raises:
        DataError: if they are no whole numbers, or outside ``first .. first + C - 1``.
    """
    if values.size == 0:
        raise DataError(f"{where}: there are no labels, the shape is {values.shape}")
    if values.ndim > 2 or (values.ndim == 2 and 1 not in values.shape) or values.ndim == 0:
        raise DataError(f"{where}: labels must be one number per row, found shape {values.shape}")
    numbers = values.reshape(-1)
    if numbers.dtype.kind == "f" and whole_floats:
        strange = numbers[~np.isfinite(numbers) | (numbers != np.floor(numbers))]
        if len(strange):
            raise DataError(f"{where}: labels must be whole numbers, found {strange[0]}")
    elif numbers.dtype.kind not in "iu":
        raise DataError(f"{where}: labels must be integers, found values of type {numbers.dtype}")
    numbers = numbers.astype(np.int64)
    low, high = int(numbers.min()), int(numbers.max())
    if low < first or high > first + n_classes - 1:
        hint = ""
        if first == 0 and low >= 1 and high == n_classes:
            hint = "; they seem to be counted from 1, subtract 1"
        elif first == 1 and low == 0 and high <= n_classes - 1:
            hint = "; they seem to be counted from 0"
        raise DataError(
            f"{where}: labels reach from {low} to {high}, expected {first} to {first + n_classes - 1}{hint}"
        )
    return numbers - first


def first_class(source: ArrayFile, keys: Iterable[str], n_classes: int) -> int:
    """Return whether a file's labels count from 0 or from 1, where its publisher does not state it.

    All its lists of labels decide together: they count from 1 where none is 0 and one is ``n_classes``.

    Raises:
        DataError: if a list is missing or unreadable.
    """
    lists = [source.array(key) for key in keys]
    filled = [labels for labels in lists if labels.size and labels.dtype.kind in "iuf"]
    if not filled:
        return 0
    low, high = min(labels.min() for labels in filled), max(labels.max() for labels in filled)
    return int(low >= 1 and high == n_classes)


def label_matrix(values: Array, where: str) -> NDArray[np.uint8]:
    """Return multi-label targets as a 0/1 matrix ``(n, C)``, uint8; a row may have no class.

    Raises:
        DataError: if anything but 0 and 1 is in it.
    """
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"{where}: multi-label targets must be a matrix (n, C), found shape {values.shape}")
    if values.dtype.kind not in "biuf" or not ((values == 0) | (values == 1)).all():
        raise DataError(f"{where}: multi-label targets must be 0 or 1 only")
    return np.ascontiguousarray(values, dtype=np.uint8)


def read_modality(
    source: ArrayFile, card: DatasetCard, name: str, features: str, labels: str, *, first: int = 0
) -> Modality:
    """Read and check a modality's features and class numbers, which have two keys and count from ``first``.

    Raises:
        DataError: if either is missing, unreadable or not what the card is sure of.
    """
    arrays = (source.array(features), source.where(features), source.array(labels), source.where(labels))
    return checked_modality(card, name, *arrays, first)


def checked_modality(
    card: DatasetCard,
    name: str,
    features: Array,
    features_where: str,
    labels: Array,
    labels_where: str,
    first: int = 0,
) -> Modality:
    """Check one modality's features and class numbers as read; arguments as for `read_modality`.

    Raises:
        DataError: if they are not what the card is sure of, or their rows differ in number.
    """
    numbers = class_numbers(labels, labels_where, card.n_classes.value, first)
    expected = next(modality.dimension for modality in card.modalities if modality.name == name)
    known = features.ndim == 2 and expected.status == "confirmed" and expected.value is not None
    if known and features.shape[1] != expected.value:
        turned = "; it seems to be transposed" if features.shape == (expected.value, len(numbers)) else ""
        raise DataError(
            f"{features_where}: rows are {features.shape[1]} wide, expected {expected.value}{turned}"
        )
    matrix = feature_matrix(features, features_where)
    if len(matrix) != len(numbers):
        raise DataError(
            f"{features_where}: {len(matrix)} rows, but {len(numbers)} labels in {labels_where}; "
            "both must have one entry per sample"
        )
    return Modality(matrix, numbers)


def stated_rows(card: DatasetCard, part: str) -> dict[str, int]:
    """Return how many rows of each modality the card gives to ``part``; 0 where it does not state them."""
    index = PARTS.index(part)
    return {modality.name: (modality.rows.value or (0, 0, 0))[index] for modality in card.modalities}


def cut_block(
    block: Mapping[str, Modality], first_rows: Mapping[str, int], path: Path
) -> tuple[dict[str, Modality], dict[str, Modality]]:
    """Return the first rows of a block and the rest: publishers release validation and test rows together.

    Raises:
        DataError: if nothing would be left for the second piece.
    """
    first, rest = dict[str, Modality](), dict[str, Modality]()
    for name, modality in block.items():
        if len(modality) <= first_rows[name]:
            raise DataError(
                f"{path}: the test block has {len(modality)} {name} rows; it must have more than "
                f"{first_rows[name]} to be cut into validation and test"
            )
        first[name] = modality.take(np.arange(first_rows[name]))
        rest[name] = modality.take(np.arange(first_rows[name], len(modality)))
    return first, rest


def check_splits(card: DatasetCard, splits: Mapping[str, Split], where: str) -> tuple[str, ...]:
    """Compare the splits that a loader returned with its card.

    Returns:
        A sentence for every count or width that differs from what the card only supposes.

    Raises:
        DataError: if one differs from what the card is sure of, or the splits do not fit together.
    """
    if not set(PARTS) <= set(splits) <= {*PARTS, "gallery"}:
        raise DataError(f"{where}: the loader must return {', '.join(PARTS)}, not {', '.join(splits)}")
    names = tuple(modality.name for modality in card.modalities)
    notes: list[str] = []
    for part, split in splits.items():
        if tuple(split) != names:
            raise DataError(f"{where}: {part} has the modalities {tuple(split)}, the card says {names}")
        if split.pairing == "natural":
            require_equal_labels(split, f"{where}, {part}")
    for modality in card.modalities:
        widths = {part: split[modality.name].dimension for part, split in splits.items()}
        if len(set(widths.values())) != 1:
            raise DataError(f"{where}: {modality.name} features have different widths: {widths}")
        width, supposed = widths["train"], modality.dimension.value
        if supposed is not None and width != supposed:
            notes.append(f"{modality.name} features are {width} wide; the card supposes {supposed}")
        counts = tuple(len(splits[part][modality.name]) for part in PARTS)
        if modality.rows.value is not None and counts != modality.rows.value:
            finding = f"{modality.name} has {'/'.join(map(str, counts))} rows"
            expected = "/".join(map(str, modality.rows.value))
            if modality.rows.status == "confirmed":
                raise DataError(
                    f"{where}: {finding} (train/validation/test), expected {expected}; "
                    "this is not the published partition. Bring other data as a feature bundle"
                )
            notes.append(f"{finding}; the card supposes {expected}")
    return tuple(notes)


def require_equal_labels(split: Split, where: str) -> None:
    """Check that paired rows carry the same labels in all modalities.

    Raises:
        DataError: naming the first row that does not.
    """
    (first, reference), *others = split.items()
    for name, modality in others:
        different = modality.labels != reference.labels
        rows = np.flatnonzero(different if different.ndim == 1 else different.any(axis=1))
        if len(rows):
            raise DataError(
                f"{where}: row {rows[0]} is class {reference.labels[rows[0]]} as {first} but "
                f"{modality.labels[rows[0]]} as {name}; the rows are not pairs"
            )
