"""Embeddings or similarities of test rows that another program computed, all in one file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from bench.contract import Array, DataError, Dataset, DatasetCard, Fact, Modality, Split
from bench.data.embeddings import read_ids, read_labels
from bench.data.formats import ArrayFile, open_arrays

_LABELS: Final = ("_labels", "_label")
_JOINTS: Final = ("_", ">", "2", "_to_")
"""Between two modalities in the name of a similarity matrix, such as ``image_text``."""
_GALLERY: Final = "gallery_"

Pair = tuple[str, str]


class _Keys(NamedTuple):
    """Names of arrays in a file, by modality or by direction."""

    rows: dict[str, str]
    gallery: dict[str, str]
    matrices: dict[Pair, str]
    labels: dict[str, str]
    ids: dict[str, str]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Return those of which there is something to rank."""
        return tuple(self.rows or dict.fromkeys(name for pair in self.matrices for name in pair))


@dataclass(frozen=True)
class GivenResults:
    """What a file holds of test rows.

    Attributes:
        rows: modality -> embeddings ``(n, d)``; those of a gallery split follow those of the queries.
        matrices: (query modality, gallery modality) -> similarities ``(n_queries, n_items)``, higher is
            nearer; there are either these or ``rows``.
        labels: by modality, where the file states them.
        ids: likewise.
    """

    rows: Mapping[str, Array]
    matrices: Mapping[Pair, Array]
    labels: Mapping[str, Array]
    ids: Mapping[str, Array]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the file's order, or in that of the dataset."""
        return tuple(self.rows or dict.fromkeys(name for pair in self.matrices for name in pair))

    def width(self, modality: str) -> int:
        """Return the width of the embeddings, or of a matrix of similarities."""
        if self.rows:
            return int(self.rows[modality].shape[1])
        return next(int(values.shape[1]) for (query, _), values in self.matrices.items() if query == modality)


class GivenKind(NamedTuple):
    """The modalities of which a file holds something, and whether it holds similarities."""

    modalities: tuple[str, ...]
    similarities: bool


def kind_of_given(path: Path, dataset: Sequence[str] = ()) -> GivenKind:
    """Return of which modalities a file holds embeddings or similarities; see `read_given`."""
    with open_arrays(path) as source:
        keys = _keys(path, source.keys(), dataset)
    return GivenKind(keys.modalities, bool(keys.matrices))


def holds_similarities(path: Path) -> bool:
    """Return whether a file with labels holds similarities, and not embeddings."""
    try:
        return kind_of_given(path).similarities
    except DataError:  # whoever reads it as embeddings says what is wrong
        return False


def read_given(path: Path, test: Split | None = None, gallery: Split | None = None) -> GivenResults:
    """Read embeddings or similarities of the rows of a test split, in its order.

    A file holds ``{modality}`` ``(n, d)`` for each modality, and ``gallery_{modality}`` where the dataset has
    a gallery split; or similarities such as ``image_text`` ``(n_image, n_text)``, of which one serves both
    directions. ``{modality}_labels`` and ``{modality}_ids`` may be beside them, and ``_labels`` must be where
    no split says which rows these are. Nothing of the file is ever executed.

    Raises:
        DataError: if an array is not as described, or not of the rows of the split; in one sentence.
    """
    with open_arrays(path) as source:
        keys = _keys(path, source.keys(), tuple(test or ()))
        labels = {name: read_labels(source, key) for name, key in keys.labels.items()}
        sizes = {name: len(test[name]) for name in keys.modalities} if test else {}
        sizes = sizes or {name: len(values) for name, values in labels.items()}
        for name, values in labels.items():
            if test is not None:
                _require_same_labels(source.where(keys.labels[name]), values, test[name].labels)
        ids = {name: read_ids(source, key, sizes[name]) for name, key in keys.ids.items()}
        items = sizes if gallery is None else {name: len(gallery[name]) for name in keys.modalities}
        rows = {}
        for name, key in keys.rows.items():
            rows[name] = _matrix(source, key, sizes[name])
            if gallery is not None:
                if name not in keys.gallery:
                    raise DataError(
                        f"{path}: there is no array {_GALLERY}{name}, and test rows rank a gallery"
                    )
                rows[name] = np.concatenate([rows[name], _matrix(source, keys.gallery[name], items[name])])
        matrices = {
            (query, other): _matrix(source, key, sizes[query], items[other])
            for (query, other), key in keys.matrices.items()
        }
    for query, other in permutations(keys.modalities if matrices else (), 2):
        if (query, other) not in matrices:
            if gallery is not None or (other, query) not in matrices:
                raise DataError(f"{path}: there are no similarities of {query} queries with {other} items")
            matrices[query, other] = matrices[other, query].T
    return GivenResults(rows, matrices, labels, ids)


def dataset_of_file(path: Path, fingerprint: str) -> Dataset:
    """Return the dataset that a file with labels is by itself, named by the file; it has test rows alone.

    Its features are the numbers of the rows: what is ranked is in the file, see `read_given`.
    """
    given = read_given(path)
    labels = {name: given.labels[name] for name in given.modalities}
    if len({values.shape[1:] for values in labels.values()}) > 1:
        raise DataError(f"{path}: give the labels of all modalities as class numbers, or all as 0/1")
    if next(iter(labels.values())).ndim == 2:
        n_classes = next(iter(labels.values())).shape[1]
    else:
        known = np.unique(np.concatenate([*labels.values()]))
        if known[0] < 0:
            raise DataError(f"{path}: labels below 0; leave rows without a label out")
        labels = {name: np.searchsorted(known, values) for name, values in labels.items()}
        n_classes = len(known)
    ids = given.ids if given.ids.keys() >= labels.keys() else {}
    parts = {
        name: Modality(np.arange(len(values), dtype=np.float64)[:, None], values, ids.get(name))
        for name, values in labels.items()
    }
    test, name = Split(parts, n_classes), path.stem
    card = DatasetCard(name, name, (), Fact(n_classes, "confirmed"), "unknown", "unknown")
    return Dataset(name, card, test, test, "real", fingerprint, "unknown", lambda: test)


def _keys(path: Path, keys: Collection[str], dataset: Sequence[str]) -> _Keys:
    """Find the arrays of the modalities of a dataset, or of those that have labels in the file.

    Raises:
        DataError: if there is nothing to rank, or if there are two kinds of it.
    """
    labels = {key.removesuffix(end): key for end in reversed(_LABELS) for key in keys if key.endswith(end)}
    names = [name for name in (dataset or labels) if name]
    rows = {name: name for name in names if name in keys}
    matrices = {
        (query, other): f"{query}{joint}{other}"
        for query, other in permutations(names, 2)
        for joint in _JOINTS
        if f"{query}{joint}{other}" in keys
    }
    of = f"the modalities {', '.join(names)}" if names else "any modality (no array ends in _labels)"
    if len(rows) < 2 and not matrices:
        shown = ", ".join(sorted(keys)[:8]) or "none"
        raise DataError(
            f"{path}: it has no embeddings of two of {of}, and no similarities such as image_text; its "
            f"arrays: {shown}"
        )
    if len(rows) > 1 and matrices:
        raise DataError(f"{path}: it has embeddings and similarities; put each in a file of its own")
    found = _Keys(
        rows if len(rows) > 1 else {},
        {name: _GALLERY + name for name in rows if _GALLERY + name in keys},
        matrices if len(rows) < 2 else {},
        labels,
        {name: f"{name}_ids" for name in names if f"{name}_ids" in keys},
    )
    kept = found.modalities
    return found._replace(
        labels={name: key for name, key in labels.items() if name in kept},
        ids={name: key for name, key in found.ids.items() if name in kept},
    )


def _matrix(source: ArrayFile, key: str, n_rows: int, n_columns: int | None = None) -> Array:
    values = source.array(key)
    wanted = f"({n_rows}, {'d' if n_columns is None else n_columns})"
    fits = values.ndim == 2 and len(values) == n_rows and 0 not in values.shape
    if not fits or n_columns not in (None, values.shape[1]) or values.dtype.kind not in "biuf":
        raise DataError(
            f"{source.where(key)}: it must be numbers {wanted}, a row for each test row in the dataset's "
            f"order, found {values.dtype} of {values.shape}"
        )
    return values


def _require_same_labels(where: str, given: Array, known: Array) -> None:
    """Require that labels name the same classes, perhaps by other numbers.

    Raises:
        DataError: otherwise.
    """
    if len(given) != len(known):
        raise DataError(f"{where}: {len(given)} labels, but the dataset has {len(known)} test rows")
    same = given.shape == known.shape and bool((given == known).all())
    if given.ndim == known.ndim == 1 and not same:
        couples = {*zip(given.tolist(), known.tolist(), strict=True)}
        same = len(couples) == len(np.unique(given)) == len(np.unique(known))
    if not same:
        raise DataError(f"{where}: the labels are not those of the dataset's test rows, in their order")
