"""Nearest embeddings of queries: exactly, or by an inverted file of FAISS."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, Similarity, UsageError
from bench.evaluation.similarity import similarities, unit_rows

BLOCK: Final = 1 << 14
"""Gallery rows that are compared at a time."""

_ROWS_PER_CELL: Final = 39
"""Rows that FAISS needs for each cell of an inverted file."""

_MOST_PER_CELL: Final = 64
"""Rows for each cell that the cells are learned from."""


_ROUNDING: Final = 1e-6
"""Difference of similarities (relative above 1) that single precision, that of FAISS, does not show."""


class Nearest(NamedTuple):
    """The nearest items of each query, the nearest first; equally near ones by their row."""

    rows: NDArray[np.int64]  # ``(n_queries, k)``; -1 where an index found fewer
    scores: NDArray[np.float64]  # ``(n_queries, k)``


def nearest_of(blocks: Iterable[tuple[int, Array]], top: int) -> Nearest:
    """Return the nearest of blocks of similarities ``(n_queries, b)``, each with its first gallery row."""
    rows: Array | None = None
    scores: Array = np.empty(0)
    for first, part in blocks:
        here = np.broadcast_to(first + np.arange(part.shape[1]), part.shape)
        rows = here if rows is None else np.concatenate([rows, here], axis=1)
        scores = part if rows is here else np.concatenate([scores, part], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        rows, scores = np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)
    assert rows is not None, "a gallery has rows"
    return Nearest(rows, scores.astype(np.float64))


def exact(similarity: Similarity, queries: Array, gallery: Array, top: int) -> Nearest:
    """Compare every query ``(q, d)`` with every item ``(n, d)``, a block of items at a time."""
    starts = range(0, len(gallery), BLOCK)
    return nearest_of(
        ((start, similarities(similarity, queries, gallery[start : start + BLOCK])) for start in starts), top
    )


class FaissIndex:
    """An inverted file over embeddings: a query looks into the cells that are nearest to it.

    Attributes:
        title: kind of index, cells, and cells that are looked into.
    """

    def __init__(self, similarity: Similarity, gallery: Array) -> None:
        """Build the index, of the root of n cells: more would take longer to build than they save.

        Raises:
            UsageError: if FAISS is not installed, or has no such similarity.
        """
        faiss = faiss_module()
        if similarity == "hamming":
            raise UsageError(
                "FAISS can index cosines, inner products and Euclidean distances only; search exactly"
            )
        self._similarity = similarity
        rows = self._prepared(gallery)
        count = len(rows)
        cells = max(1, min(int(count**0.5), count // _ROWS_PER_CELL))
        metric = faiss.METRIC_L2 if similarity == "euclidean" else faiss.METRIC_INNER_PRODUCT
        self._index: Any = faiss.index_factory(rows.shape[1], f"IVF{cells},Flat", metric)
        self._index.cp.max_points_per_centroid = _MOST_PER_CELL
        self._index.train(rows)
        self._index.add(rows)
        self._index.nprobe = probed = min(cells, max(4, cells // 16))
        self.title = f"FAISS, inverted file of {cells} cells, {probed} of them per query"

    def nearest(self, queries: Array, top: int) -> Nearest:
        """Return the nearest items that the index finds."""
        scores, rows = self._index.search(self._prepared(queries), top)
        if self._similarity == "euclidean":
            scores = -np.sqrt(np.maximum(scores, 0.0))
        return Nearest(rows.astype(np.int64), scores.astype(np.float64))

    def _prepared(self, rows: Array) -> NDArray[np.float32]:
        scaled = unit_rows(rows) if self._similarity == "cosine" else rows
        return np.ascontiguousarray(scaled, dtype=np.float32)


def faiss_module() -> Any:
    """Return the module of FAISS.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise UsageError(
            "approximate search needs the package faiss-cpu: pip install 'cross-modal-bench[search]'"
        ) from error


def recall(similarity: Similarity, queries: Array, gallery: Array, found: Nearest) -> float:
    """Return the mean share of the nearest items that were found, of as many as were asked for.

    An item that is as near as the last exact one counts as found: rounding decides which of equally near
    items an index returns, and supervised embeddings have many.
    """
    nearest = exact(similarity, queries, gallery, found.rows.shape[1])
    shares = []
    for query, rows, (*_, last) in zip(queries, found.rows, nearest.scores, strict=True):
        reached = similarities(similarity, query[None], gallery[rows[rows >= 0]])
        shares.append((reached >= last - _ROUNDING * max(1.0, abs(last))).sum() / nearest.rows.shape[1])
    return float(np.mean(shares))
