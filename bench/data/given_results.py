"""Embeddings or similarities of items that another program computed, in files of any format in `formats`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from bench.contract import Array, DataError, Dataset, DatasetCard, Fact, Modality, Split, UsageError
from bench.data.checks import label_matrix
from bench.data.formats import ArrayFile, open_arrays

_LABELS: Final = ("_labels", "_label")
_JOINTS: Final = ("_", ">", "2", "_to_")
"""Between two modalities in the name of a similarity matrix, such as ``image_text``."""
_GALLERY: Final = "gallery_"
_FORM: Final = "FILE, or MODALITY=FILE:KEY_OF_EMBEDDINGS:KEY_OF_LABELS for each modality"

Pair = tuple[str, str]


class _Keys(NamedTuple):
    """Names of arrays in a file, by modality or by direction."""

    rows: dict[str, str]
    gallery: dict[str, str]
    matrices: dict[Pair, str]
    labels: dict[str, str]
    ids: dict[str, str]


@dataclass(frozen=True)
class GivenResults:
    """What files hold of items.

    Attributes:
        rows: modality -> embeddings ``(n, d)``; those of a gallery split follow those of the queries.
        matrices: (query modality, gallery modality) -> similarities ``(n_queries, n_items)``, higher is
            nearer; there are either these or ``rows``.
        labels: class numbers ``(n,)`` or 0/1 rows ``(n, C)`` by modality, where they are stated.
        ids: integers ``(n,)`` likewise; items with the same id show the same thing.
    """

    rows: Mapping[str, Array]
    matrices: Mapping[Pair, Array]
    labels: Mapping[str, Array]
    ids: Mapping[str, Array]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the file's order, or in that of the dataset."""
        return _modalities(self.rows, self.matrices)

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
        keys = _keys(source, dataset)
    return GivenKind(_modalities(keys.rows, keys.matrices), bool(keys.matrices))


def holds_similarities(path: Path) -> bool:
    """Return whether a file with labels holds similarities, and not embeddings."""
    try:
        return kind_of_given(path).similarities
    except DataError:  # reported when it is read as embeddings
        return False


def read_embeddings(words: Sequence[str]) -> GivenResults:
    """Read embeddings and labels of at least two modalities.

    Args:
        words: the path of a file as `read_given` describes; or ``image=file.mat:features:labels`` for each
            modality.

    Raises:
        UsageError: for words of another form, or fewer than two modalities.
        DataError: if a file or an array is not as described.
    """
    rows: dict[str, Array] = {}
    labels: dict[str, Array] = {}
    ids: dict[str, Array] = {}
    for word in words:
        modality, equals, rest = word.partition("=")
        path, *keys = rest.rsplit(":", 2)
        if not equals or Path(word).is_file():
            given = read_given(Path(word).expanduser())
        elif not modality or len(keys) != 2 or not all((path, *keys)):
            raise UsageError(f"--embeddings {word!r} is neither a file nor of the form {_FORM}")
        else:
            with open_arrays(Path(path).expanduser()) as source:
                known = {modality: read_labels(source, keys[1])}
                found = {modality: _matrix(source, keys[0], len(known[modality]))}
            given = GivenResults(found, {}, known, {})
        for name in rows.keys() & given.rows.keys():
            raise UsageError(f"the embeddings of {name!r} are given twice; give each modality one file")
        rows |= given.rows
        labels |= given.labels
        ids |= given.ids
    if len(rows) < 2:
        raise UsageError(
            f"embeddings of {', '.join(rows) or 'no modality'} were found, and retrieval across modalities "
            f"needs two; write {_FORM}"
        )
    return GivenResults(rows, {}, labels, ids)


def read_given(path: Path, test: Split | None = None, gallery: Split | None = None) -> GivenResults:
    """Read embeddings or similarities of the rows of a test split, in its order.

    A file holds ``{modality}`` ``(n, d)`` for each modality, and ``gallery_{modality}`` where the dataset has
    a gallery split; or similarities such as ``image_text`` ``(n_image, n_text)``, of which one serves both
    directions. ``{modality}_labels`` and ``{modality}_ids`` may be beside them, and ``_labels`` must be where
    no split states which rows these are. Nothing of the file is ever executed.

    Raises:
        DataError: if an array is not as described, or not of the rows of the split; in one sentence.
    """
    with open_arrays(path) as source:
        keys = _keys(source, tuple(test or ()))
        names = _modalities(keys.rows, keys.matrices)
        labels = {name: read_labels(source, key) for name, key in keys.labels.items()}
        sizes = {name: len(test[name]) for name in names} if test else {}
        sizes = sizes or {name: len(values) for name, values in labels.items()}
        for name, values in labels.items():
            if test is not None:
                _require_same_labels(source.where(keys.labels[name]), values, test[name].labels)
        ids = {name: read_ids(source, key, sizes[name]) for name, key in keys.ids.items()}
        items = sizes if gallery is None else {name: len(gallery[name]) for name in names}
        rows = {name: _matrix(source, key, sizes[name]) for name, key in keys.rows.items()}
        for name in rows if gallery is not None else ():
            if name not in keys.gallery:
                raise DataError(
                    f"{path}: the array {_GALLERY}{name} is missing; test rows of the dataset rank a gallery"
                )
            rows[name] = np.concatenate([rows[name], _matrix(source, keys.gallery[name], items[name])])
        matrices = {
            (query, other): _matrix(source, key, sizes[query], items[other])
            for (query, other), key in keys.matrices.items()
        }
    for query, other in permutations(names if matrices else (), 2):
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
            raise DataError(f"{path}: labels are below 0; leave out rows without a label")
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


def read_ids(source: ArrayFile, key: str, n_rows: int) -> Array:
    """Return ids ``(n,)``, also from one row or column.

    Raises:
        DataError: unless they are whole numbers, one for each row.
    """
    values = source.array(key)
    is_whole = values.dtype.kind in "iu" or (values.dtype.kind == "f" and (np.abs(values) < 2**63).all())
    if values.size != n_rows or not is_whole or (values != np.floor(values)).any():
        raise DataError(
            f"{source.where(key)}: ids must be {n_rows} whole numbers, found {values.dtype} of {values.shape}"
        )
    return values.reshape(-1).astype(np.int64)


def read_labels(source: ArrayFile, key: str) -> Array:
    """Return class numbers ``(n,)``, also from one row or column, or a 0/1 matrix.

    Raises:
        DataError: if they are neither.
    """
    values = source.array(key)
    if values.ndim == 2 and 1 not in values.shape:
        return label_matrix(values, source.where(key))
    is_number = values.dtype.kind in "iub" or (values.dtype.kind == "f" and np.isfinite(values).all())
    if values.ndim not in (1, 2) or not is_number or (values != np.floor(values)).any():
        raise DataError(
            f"{source.where(key)}: labels must be whole numbers (n,) or a 0/1 matrix (n, C), found "
            f"{values.dtype} of {values.shape}"
        )
    return np.asarray(values.reshape(-1))


def _modalities(rows: Mapping[str, object], matrices: Mapping[Pair, object]) -> tuple[str, ...]:
    """Return the modalities of embeddings, or of similarities."""
    return tuple(rows or dict.fromkeys(name for pair in matrices for name in pair))


def _keys(source: ArrayFile, dataset: Sequence[str]) -> _Keys:
    """Find arrays of a dataset's modalities, or of labelled ones; raises DataError for none or two kinds."""
    path, keys = source.path, source.keys()
    labelled = dict.fromkeys(key.removesuffix(end) for key in keys for end in _LABELS if key.endswith(end))
    labels = {name: next(name + end for end in _LABELS if name + end in keys) for name in labelled}
    of_all = next((end[1:] for end in _LABELS if end[1:] in keys), "")
    if of_all and not labels and not dataset:  # whose rows are known
        shape = source.shape(of_all)
        count = shape[0] if len(shape) == 2 and 1 not in shape else max(shape, default=0)
        shapes = {name: source.shape(name) for name in keys if not name.startswith((of_all, _GALLERY))}
        labels = {name: of_all for name, shape in shapes.items() if len(shape) == 2 and shape[0] == count}
    names = [name for name in (dataset or labels) if name]
    rows = {name: name for name in names if name in keys}
    matrices = {
        (query, other): f"{query}{joint}{other}"
        for query, other in permutations(names, 2)
        for joint in _JOINTS
        if f"{query}{joint}{other}" in keys
    }
    if len(rows) < 2 and not matrices:
        without = "any modality (no array is called labels, or ends in _labels)"
        of = f"the modalities {', '.join(names)}" if names else without
        shown = ", ".join(sorted(keys)[:8]) or "none"
        raise DataError(
            f"{path}: it has no embeddings of two of {of}, and no similarities such as image_text; its "
            f"arrays: {shown}"
        )
    if len(rows) > 1 and matrices:
        raise DataError(f"{path}: it has embeddings and similarities; put each in a separate file")
    rows = rows if len(rows) > 1 else {}
    kept = _modalities(rows, matrices)
    return _Keys(
        rows,
        {name: _GALLERY + name for name in rows if _GALLERY + name in keys},
        matrices,
        {name: key for name, key in labels.items() if name in kept},
        {name: f"{name}_ids" for name in kept if f"{name}_ids" in keys},
    )


def _matrix(source: ArrayFile, key: str, n_rows: int, n_columns: int | None = None) -> Array:
    """Return a matrix of numbers of this shape; raises DataError if it is none."""
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
    """Require that labels name the same classes, perhaps by other numbers, as 0/1, or with unused columns."""
    if len(given) != len(known):
        raise DataError(f"{where}: {len(given)} labels, but the dataset has {len(known)} test rows")
    if given.ndim == 2 and known.ndim == 1 and (given.sum(axis=1) == 1).all():
        given = given.argmax(axis=1)
    if given.ndim != known.ndim:
        same = False
    elif given.ndim == 2:
        same = np.array_equal(given[:, given.any(axis=0)], known[:, known.any(axis=0)])
    else:
        couples = {*zip(given.tolist(), known.tolist(), strict=True)}
        same = len(couples) == len(np.unique(given)) == len(np.unique(known))
    if not same:
        raise DataError(f"{where}: the labels are not those of the dataset's test rows, in their order")
