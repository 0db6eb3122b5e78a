"""Snapshot of a cell for figures: curves, a sample of the common space, first results of some queries.

Which rows are shown depends on the data alone, so that methods can be compared on them, and so does the size
of what is kept: it is bounded, however large the test split.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, Dataset, Method, Shown, Split, opened_by_harness
from bench.data.partition import fixed_generator, stratified_rows
from bench.evaluation import Direction, Evaluation
from bench.evaluation.independence import compare_rows
from bench.evaluation.measures import interpolated_precision_measure, precision_at_measure
from bench.evaluation.similarity import similarities, unit_rows
from bench.evaluation.ties import Measure
from bench.records.snapshot import Curves, Gallery, RowDetails, Snapshot, Space

RANKS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
LEVELS: Final = tuple(level / 20 for level in range(21))
MEASURES: Final[Mapping[str, Measure]] = {
    "precision": precision_at_measure(RANKS),
    "interpolated": interpolated_precision_measure(LEVELS),
}
"""Measures of `evaluate`, besides its protocols, that a snapshot needs."""

CLASSES: Final = 10
POINTS: Final = 400
"""Rows of the sample of the common space, over all modalities; half of them at most are of one."""
DIMENSIONS: Final = 32
RESULTS: Final = 10
COLOURS: Final = 256
"""With so many colours hardly a difference is visible, and the file is a quarter as large."""
TEXT: Final = 120
"""Characters of an item's text."""

_Rows = NDArray[np.int64]


def snapshot_of(method: Method, dataset: Dataset, evaluation: Evaluation) -> Snapshot:
    """Return the snapshot of a method and its evaluation on test rows, with `MEASURES` and ``map@all``."""
    with opened_by_harness():
        test, gallery, items = dataset.test, dataset.gallery, dataset.items
    classes = {name: classes_of(modality.labels) for name, modality in test.items()}
    queries = {name: _query_rows(dataset, test, name, classes[name]) for name in test}
    galleries = tuple(
        _gallery(method, test, evaluation, direction, queries[direction.query])
        for direction in evaluation.directions
        if gallery is None  # first results are shown of test rows only
    )
    ranked = test if gallery is None else gallery
    seen: dict[str, list[NDArray[np.int32]]] = {name: [np.empty(0, np.int32)] for name in test}
    for part in galleries:
        seen[part.query].append(part.rows)
        seen[part.gallery].append(part.results.reshape(-1))
    rows = {name: np.unique(np.concatenate(found).astype(np.int64)) for name, found in seen.items()}
    space = _space(dataset, test, evaluation.embeddings, classes) if evaluation.embeddings else None
    no_space = f"{method.card.title} compares by a similarity that it has learned, and not in a common space"
    return Snapshot(
        sizes={name: max(len(modality), len(ranked[name])) for name, modality in test.items()},
        n_classes=test.n_classes,
        class_names=tuple(items.classes),
        curves=tuple(
            _curves(direction, len(ranked[direction.gallery])) for direction in evaluation.directions
        ),
        space=space,
        no_space="" if space else no_space,
        galleries=galleries,
        details={name: _details(rows[name], classes[name], items.shown.get(name)) for name in test},
    )


def classes_of(labels: Array) -> _Rows:
    """Return the class ``(n,)`` of every row: of several, ``(n, C)`` 0/1, the rarest, of none class 0."""
    if labels.ndim == 1:
        return labels.astype(np.int64)
    has = labels == 1
    rarity = np.empty(has.shape[1], dtype=np.int64)
    rarity[np.argsort(has.sum(axis=0), kind="stable")] = np.arange(has.shape[1])[::-1]
    return np.asarray(np.where(has, rarity + 1, 0).argmax(axis=1))


def _curves(direction: Direction, size: int) -> Curves:
    ranks = np.asarray([rank for rank in RANKS if rank <= size], dtype=np.int32)
    # A mean of ones may come out a rounding above one.
    precision, interpolated = (
        np.clip(direction.measured[name].mean(axis=0), 0.0, 1.0) for name in ("precision", "interpolated")
    )
    names = direction.query, direction.gallery
    return Curves(*names, ranks, precision[: len(ranks)], np.asarray(LEVELS), interpolated)


def _query_rows(dataset: Dataset, test: Split, name: str, classes: _Rows) -> _Rows:
    """Return the queries of a modality that a gallery shows: classes in turn, the largest first.

    Where rows are pairs, they are the same in every modality.
    """
    generator = _generator("gallery", dataset, test, name)
    counts = np.bincount(classes)
    order = generator.permutation(len(classes))
    turn = np.empty(len(classes), dtype=np.int64)  # how many of a row's class come before it
    for number in np.flatnonzero(counts):
        members = order[classes[order] == number]
        turn[members] = np.arange(len(members))
    ranked = np.lexsort((classes, -counts[classes], turn))
    return np.asarray(ranked[: 12 if len(test) == 2 else 6])


def _gallery(
    method: Method, test: Split, evaluation: Evaluation, direction: Direction, rows: _Rows
) -> Gallery:
    """Return the first results of some queries; equally similar items are in the order of their rows."""
    query, gallery = direction.query, direction.gallery
    if evaluation.embeddings:
        left, right = evaluation.embeddings[query][rows], evaluation.embeddings[gallery]
        similarity = similarities(evaluation.similarity or "cosine", left, right).round(12)
    else:
        left, right = test[query].features[rows], test[gallery].features
        similarity = compare_rows(method, query, left, gallery, right)
    results = np.argsort(-similarity, axis=1, kind="stable")[:, :RESULTS]
    wanted, offered = test[query].labels[rows], test[gallery].labels[results]
    relevant = wanted[:, None] == offered
    if relevant.ndim == 3:
        relevant = ((wanted[:, None] == 1) & (offered == 1)).any(axis=2)
    ap, shown = direction.ap["map@all"][rows], rows.astype(np.int32)
    return Gallery(query, gallery, shown, ap, results.astype(np.int32), relevant)


def _details(rows: _Rows, classes: _Rows, shown: Shown | None) -> RowDetails:
    """Return class and item of some rows."""
    known = rows.astype(np.int32), classes[rows].astype(np.int32)
    if shown is None:
        return RowDetails(*known)
    if isinstance(shown, np.ndarray):
        pixels, palette = with_palette(shown[rows])
        return RowDetails(*known, pixels=pixels, palette=palette)
    texts = (shown[int(row)] for row in rows)
    short = tuple(text if len(text) <= TEXT else text[: TEXT - 1] + "…" for text in texts)
    return RowDetails(*known, texts=short)


def with_palette(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return pictures ``(m, height, width, 3)`` in at most `COLOURS` colours that they share.

    These are the number of every point's colour ``(m, height, width)``, and the colours ``(c, 3)``.
    """
    from PIL import Image  # only where a dataset has pictures

    count, height, width, _ = pictures.shape
    stacked = Image.fromarray(np.ascontiguousarray(pictures).reshape(count * height, width, 3))
    reduced = stacked.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    numbers = np.asarray(reduced, dtype=np.uint8).reshape(count, height, width)
    colours = np.asarray(reduced.getpalette(), dtype=np.uint8).reshape(-1, 3)[: int(numbers.max()) + 1]
    return numbers, colours


def _space(
    dataset: Dataset, test: Split, embeddings: Mapping[str, Array], classes: Mapping[str, _Rows]
) -> Space:
    """Return a sample of the largest classes, in the principal directions of all modalities together."""
    from scipy.linalg import eigh  # planning cells need not wait for it

    counts = sum(np.bincount(numbers, minlength=test.n_classes) for numbers in classes.values())
    largest = np.argsort(-np.asarray(counts), kind="stable")[:CLASSES]
    limit = POINTS // len(test)
    sample: dict[str, _Rows] = {}
    for name, numbers in classes.items():
        rows = np.flatnonzero(np.isin(numbers, largest))
        if len(rows) > limit:
            rows = rows[stratified_rows(numbers[rows], limit, _generator("space", dataset, test, name))]
        if len(rows):
            sample[name] = rows
    stacked = np.concatenate([unit_rows(embeddings[name][rows]) for name, rows in sample.items()])
    centred = stacked - stacked.mean(axis=0)
    wide = centred.shape[1] > centred.shape[0]
    gram = centred @ centred.T if wide else centred.T @ centred
    size = len(gram)
    values, vectors = eigh(gram, subset_by_index=[max(0, size - DIMENSIONS), size - 1])
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    points = vectors * np.sqrt(values) if wide else centred @ vectors
    # An eigenvector's sign means nothing; it is fixed so that the same rows give the same bytes.
    largest = np.abs(points).argmax(axis=0)
    points *= np.where(points[largest, np.arange(points.shape[1])] < 0, -1.0, 1.0)
    ends, total = np.cumsum([len(rows) for rows in sample.values()])[:-1], float(np.trace(gram))
    return Space(
        {name: rows.astype(np.int32) for name, rows in sample.items()},
        {name: classes[name][rows].astype(np.int32) for name, rows in sample.items()},
        dict(zip(sample, np.split(points.astype(np.float32), ends), strict=True)),
        min(1.0, float(values.sum()) / total) if total > 0 else 1.0,
    )


def _generator(what: str, dataset: Dataset, test: Split, name: str) -> np.random.Generator:
    return fixed_generator(what, dataset.name, "pairs" if test.paired else name)
