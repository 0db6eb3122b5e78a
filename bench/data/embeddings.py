"""Embeddings computed elsewhere: one file for all modalities, or a file and two keys for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from bench.contract import Array, DataError, UsageError
from bench.data.checks import label_matrix
from bench.data.formats import ArrayFile, open_arrays

_SUFFIXES: Final = ("_labels", "_label")
_FORM: Final = "FILE, or MODALITY=FILE:KEY_OF_EMBEDDINGS:KEY_OF_LABELS for each modality"


class Embedded(NamedTuple):
    """One modality's items.

    Attributes:
        rows: ``(n, d)`` embeddings, as stored.
        labels: ``(n,)`` class numbers, or ``(n, C)`` 0/1.
        ids: ``(n,)`` integers: items with the same id show the same thing; None where the file has none.
    """

    rows: Array
    labels: Array
    ids: Array | None = None


@dataclass(frozen=True)
class Location:
    """File and keys of a modality's embeddings, labels and ids."""

    modality: str
    path: Path
    rows: str
    labels: str
    ids: str | None = None


def read_embeddings(words: Sequence[str]) -> dict[str, Embedded]:
    """Read embeddings and labels of at least two modalities from files of any format in `formats`.

    Nothing of a file is executed. A file alone holds ``{modality}`` ``(n, d)`` and ``{modality}_labels`` (or
    ``_label``) for each modality, and perhaps ``{modality}_ids``; its other arrays are left alone.

    Args:
        words: a file's path, or ``image=file.mat:features:labels`` for each modality.

    Raises:
        UsageError: for words of another form, or fewer than two modalities.
        DataError: if a file or an array is not as described.
    """
    found: dict[str, Embedded] = {}
    for word in words:
        for location in _locations(word):
            if location.modality in found:
                raise UsageError(
                    f"the embeddings of {location.modality!r} are given twice; give each modality one file"
                )
            found[location.modality] = _read(location)
    if len(found) < 2:
        raise UsageError(
            f"embeddings of {', '.join(found) or 'no modality'} were found, and retrieval across modalities "
            f"needs two; write {_FORM}"
        )
    return found


def _locations(word: str) -> Iterator[Location]:
    modality, equals, rest = word.partition("=")
    if not equals or Path(word).is_file():
        yield from _in_one_file(Path(word).expanduser())
        return
    path, *keys = rest.rsplit(":", 2)
    if not modality or len(keys) != 2 or not all((path, *keys)):
        raise UsageError(f"--embeddings {word!r} is neither a file nor of the form {_FORM}")
    yield Location(modality, Path(path).expanduser(), *keys)


def _in_one_file(path: Path) -> Iterator[Location]:
    with open_arrays(path) as source:
        keys = source.keys()
    labelled = {key: key + suffix for suffix in reversed(_SUFFIXES) for key in keys if key + suffix in keys}
    if len(labelled) < 2:
        raise DataError(
            f"{path}: of its arrays {', '.join(keys) or '(none)'}, fewer than two have labels beside them, "
            f"such as 'image' and 'image_labels'; rename them, or write {_FORM}"
        )
    for rows in [key for key in keys if key in labelled]:
        yield Location(rows, path, rows, labelled[rows], f"{rows}_ids" if f"{rows}_ids" in keys else None)


def _read(location: Location) -> Embedded:
    with open_arrays(location.path) as source:
        rows = source.array(location.rows)
        labels = read_labels(source, location.labels)
        ids = None if location.ids is None else read_ids(source, location.ids, len(rows))
        where = source.where(location.rows)
    if rows.ndim != 2 or 0 in rows.shape or rows.dtype.kind not in "biuf":
        raise DataError(f"{where}: embeddings must be numbers (n, d), found {rows.dtype} of {rows.shape}")
    if len(rows) != len(labels):
        raise DataError(f"{where}: {len(rows)} rows, but {len(labels)} labels in {location.labels!r}")
    return Embedded(rows, labels, ids)


def read_ids(source: ArrayFile, key: str, n_rows: int) -> Array:
    """Return ids ``(n,)``, also where they lie in one row or column.

    Raises:
        DataError: unless they are whole numbers, one for each row.
    """
    values = source.array(key)
    if values.size != n_rows or values.dtype.kind not in "iuf" or (values != np.floor(values)).any():
        raise DataError(
            f"{source.where(key)}: ids must be {n_rows} whole numbers, found {values.dtype} of {values.shape}"
        )
    return values.reshape(-1).astype(np.int64)


def read_labels(source: ArrayFile, key: str) -> Array:
    """Return class numbers ``(n,)``, also where they lie in one row or column, or a 0/1 matrix.

    Raises:
        DataError: if they are neither.
    """
    values = source.array(key)
    if values.ndim == 2 and 1 not in values.shape:
        return label_matrix(values, source.where(key))
    whole = values.dtype.kind in "iub" or (
        values.dtype.kind == "f" and bool((values == np.floor(values)).all())
    )
    if values.ndim not in (1, 2) or not whole:
        raise DataError(
            f"{source.where(key)}: labels must be whole numbers (n,) or a 0/1 matrix (n, C), found "
            f"{values.dtype} of {values.shape}"
        )
    return np.asarray(values.reshape(-1))
