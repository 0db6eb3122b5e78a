"""Label files of released code: a wrong label for every training row, in the dataset's order.

| layout | released by |
|---|---|
| ``.npy``, ``.mat`` or any other file of arrays: class numbers ``(n,)``, of all modalities | RONO |
| ``.mat`` with ``noisy_label``: one-hot rows ``(n, C)``, of all modalities | NIRNL, RSHNL |
| ``.json``: a list of class numbers for each modality, or one for all | MRL |

Classes may count from 0 or from 1. Nothing of a file is executed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.conditions.base import Edit, edit_of
from bench.contract import Array, DataError, Split
from bench.data.checks import class_numbers
from bench.data.formats import open_arrays, require_regular
from bench.data.formats.array_file import as_data_error, require_memory

NOISY: Final = "noisy_label"
"""Key of NIRNL's and RSHNL's files."""


def read_label_file(path: Path, split: Split, order: Sequence[str], *, unlabelled: bool) -> dict[str, Edit]:
    """Return edits that give training rows the labels of a file; rows without a label stay without.

    ``order`` is that of the dataset's modalities, for files with a list for each. With ``unlabelled`` -1 may
    take labels away.

    Raises:
        DataError: if it has not one known class for each training row.
    """
    read = _lists if path.suffix.lower() == ".json" else _arrays
    found = {name: (values, where) for name, values, where in read(path, split, order)}
    for name, (values, where) in found.items():
        rows = values.size if values.ndim == 1 or 1 in values.shape else len(values)
        if rows != len(split[name]):
            raise DataError(
                f"{where}: {rows} labels, and {name} has {len(split[name])} training rows; a label file has "
                "one for each, in the dataset's order (the paper profile leaves no row out)"
            )
    labels = (_matrices if split.multi_label else _numbers)(found, split, unlabelled)
    edits = {}
    for name, part in split.items():
        known = part.labelled if not split.multi_label else part.labelled[:, None]
        kind = np.int64 if (labels[name] < 0).any() else part.labels.dtype
        edits[name] = edit_of(part, labels=np.where(known, labels[name], -1).astype(kind))
    return edits


_Found = Mapping[str, tuple[Array, str]]
"""By modality: what a file holds, and where, for messages."""


def _arrays(path: Path, split: Split, _: Sequence[str]) -> Iterator[tuple[str, Array, str]]:
    """Yield modality, array and where it is from; an array of all modalities once for each."""
    with open_arrays(path) as source:
        keys = source.keys()
        keyed = {name: key for name in split for key in (name, f"{name}_labels") if key in keys}
        if len(keyed) < len(split):
            one = NOISY if NOISY in keys else keys[0]
            if len(keys) != 1 and one != NOISY:
                raise DataError(
                    f"{path}: of its arrays {', '.join(keys[:8])} none is called {NOISY}; keep the "
                    "labels alone"
                )
            keyed = dict.fromkeys(split, one)
        arrays = {key: source.array(key) for key in dict.fromkeys(keyed.values())}
        for name, key in keyed.items():
            yield name, arrays[key], source.where(key)


def _lists(path: Path, split: Split, order: Sequence[str]) -> Iterator[tuple[str, Array, str]]:
    """Yield modality, class numbers and where they are from, of a JSON file."""
    with as_data_error(str(path)):
        require_regular(path)
        require_memory(16 * path.stat().st_size, str(path))
        lists = msgspec.json.decode(path.read_bytes(), type=list[list[int] | int])
        if all(isinstance(entry, int) for entry in lists):
            lists = [[entry for entry in lists if isinstance(entry, int)]] * len(order)
        arrays = [np.array(entry) for entry in lists if isinstance(entry, list)]
    if len(arrays) != len(lists) or len(arrays) != len(order):
        raise DataError(
            f"{path}: {len(lists)} lists, and the dataset has the modalities {', '.join(order)}; a file has "
            "a list of class numbers for each of them, or one for all"
        )
    for name, values in zip(order, arrays, strict=True):
        if name in split:
            yield name, values, f"{path}, {name}"


def _numbers(found: _Found, split: Split, unlabelled: bool) -> dict[str, NDArray[np.int64]]:
    """Return class numbers ``(n,)`` from 0; all modalities count from the same number.

    Where both 0 and 1 would do, it is the one with which more rows keep their label.
    """
    n_classes = split.n_classes
    flat = {name: _flat(values, n_classes, where) for name, (values, where) in found.items()}
    known = {
        name: values != -1 if unlabelled else np.ones(len(values), bool) for name, values in flat.items()
    }
    listed = np.concatenate([values[known[name]] for name, values in flat.items()])
    low, high = (listed.min(), listed.max()) if len(listed) else (0, 0)
    if low == 0 and high == n_classes:
        raise DataError(
            f"{next(iter(found.values()))[1]}: {int((listed == high).sum())} labels are {high}, and the "
            f"{n_classes} classes are 0 to {n_classes - 1}: an off-by-one error of the draw, as in "
            "some released code; draw the file again"
        )
    first = int(low >= 1 and high == n_classes)
    if low >= 1 and high < n_classes:
        kept = [
            sum(int((flat[name] - shift == split[name].labels).sum()) for name in flat) for shift in (0, 1)
        ]
        first = int(kept[1] > kept[0])
    numbers = {name: np.full(len(values), -1, dtype=np.int64) for name, values in flat.items()}
    for name, values in flat.items():
        if known[name].any():
            given = values[known[name]]
            numbers[name][known[name]] = class_numbers(given, found[name][1], n_classes, first)
    return numbers


def _flat(values: Array, n_classes: int, where: str) -> Array:
    """Return labels ``(n,)`` as they are, or from one-hot rows: of C columns, or one more."""
    if values.dtype.kind not in "biuf":
        raise DataError(f"{where}: labels must be whole numbers, found values of type {values.dtype}")
    if values.ndim < 2 or 1 in values.shape:
        return values.reshape(-1)
    if values.ndim > 2 or values.shape[1] not in (n_classes, n_classes + 1):
        raise DataError(
            f"{where}: labels must be class numbers (n,) or one-hot rows (n, {n_classes}), found "
            f"{values.shape}"
        )
    if not ((values == 0) | (values == 1)).all() or (values.sum(axis=1) != 1).any():
        raise DataError(f"{where}: one-hot rows must hold a single 1")
    numbers = values.argmax(axis=1)
    if values.shape[1] == n_classes:
        return np.asarray(numbers)
    if (numbers == 0).any():
        raise DataError(
            f"{where}: {n_classes + 1} columns for {n_classes} classes, and {int((numbers == 0).sum())} rows "
            "are of the first, which is no class; draw the file again"
        )
    return np.asarray(numbers - 1)


def _matrices(found: _Found, split: Split, unlabelled: bool) -> dict[str, NDArray[np.int64]]:
    """Return 0/1 matrices ``(n, C)``, of multi-label data."""
    matrices, n_classes = {}, split.n_classes
    for name, (values, where) in found.items():
        if values.ndim != 2 or values.shape[1] != n_classes or values.dtype.kind not in "biuf":
            raise DataError(f"{where}: labels must be a 0/1 matrix (n, {n_classes}), found {values.shape}")
        known = (values != -1).any(axis=1) if unlabelled else np.ones(len(values), bool)
        if not np.isin(values[known], (0, 1)).all():
            raise DataError(f"{where}: labels must be 0 or 1")
        matrices[name] = values.astype(np.int64)
    return matrices
