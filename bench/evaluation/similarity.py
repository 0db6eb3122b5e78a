"""Similarities of a block of queries with the whole gallery: cosine, or what a method has learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.contract import Array, RefusedEmbeddings
from bench.contract.data import read_only
from bench.evaluation.arrays import Indices, Precision, Vector, check_finite, to_array
from bench.evaluation.order import Arrangement, arrange
from bench.evaluation.relevance import LabelSets
from bench.evaluation.threads import run_blocks

_STEP_ITEMS = 1 << 17  # numbers at a time where a pass needs float64 scratch space, to stay in the cache
_ASKED_ROWS = 256  # queries at a time where a method scores pairs itself
_WORTH_THREADS = 16  # parts; fewer are done before threads have started


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison: its items in their arrangement, each distinct row once.

    Attributes:
        arrangement: places of the items.
        rows: ``(m, d)`` the distinct rows; embeddings are scaled by powers of two.
        squares: ``(m,)`` squared norms of the rows, 1 for rows of zeros, whose similarities then come out as
            0; empty where cosine is not wanted.
    """

    arrangement: Arrangement
    rows: Array
    squares: Array


def embedded_side(
    embeddings: Array, labels: LabelSets, precision: Precision, what: str, threads: int | None = None
) -> Side:
    """Arrange embeddings ``(n, d)`` for cosine similarity.

    Raises:
        RefusedEmbeddings: for NaN or infinite values.
    """
    if embeddings.dtype.itemsize > 8:  # extended precision: what exceeds float64 must be seen as infinite
        with np.errstate(over="ignore"):
            embeddings = embeddings.astype(np.float64)
    scaled = np.empty(embeddings.shape, dtype=precision)
    squares = np.empty(len(scaled), dtype=precision)

    def scale(part: slice) -> None:
        """Fill in some scaled rows and their squared norms; refuse them if they cannot be ranked."""
        wide = embeddings[part].astype(np.float64)
        largest = np.abs(wide).max(axis=1)
        if not bool(np.isfinite(largest).all()):
            check_finite(embeddings, what)
        scaled[part] = _scaled(wide, largest)
        squares[part] = np.square(scaled[part], dtype=np.float64).sum(axis=1) + (largest == 0)

    step = max(1, _STEP_ITEMS // embeddings.shape[1])
    parts = [slice(start, start + step) for start in range(0, len(scaled), step)]
    run_blocks(scale, parts, threads if len(parts) >= _WORTH_THREADS else 1)
    arrangement = arrange(scaled, labels)
    return Side(arrangement, scaled[arrangement.distinct], squares[arrangement.distinct])


def raw_side(features: Array, labels: LabelSets, modality: str) -> Side:
    """Arrange raw features ``(n, d)`` for a similarity that a method has learned.

    The rows come out in the order of `row_order`, since the method sees their positions.
    """
    arrangement = arrange(features, labels).shuffled(modality)
    return Side(arrangement, features[arrangement.distinct], np.empty(0))


def _scaled(rows: Array, largest: Vector) -> Array:
    """Scale float64 rows, in place, by powers of two to a largest magnitude in [1/2, 1).

    That is exact, and makes them safe to multiply and to square.
    """
    _, exponent = np.frexp(largest[:, None])
    half = -exponent // 2  # in two steps, since a power of two can overflow where the product does not
    rows *= np.ldexp(1.0, half)
    rows *= np.ldexp(1.0, -exponent - half)
    rows += 0.0  # turns -0.0 into 0.0: they are equal, but not bit by bit
    return rows


class Similarities(ABC):
    """Gives similarities with the gallery, block by block."""

    @abstractmethod
    def block(self, places: Indices) -> Any:
        """Return the similarities of the queries at ``places`` with all n gallery places, ``(b, n)``.

        The caller may write to the result.
        """


class CosineSimilarities(Similarities):
    """The cosine, squared with its sign kept: the same ranking, and ties come out exact.

    The inner product of two rows divided by a norm would round; for whole-numbered embeddings such as
    codes of -1 and 1 the inner product, its square and the squared norm are exact, so that equal
    cosines are equal numbers. The query's norm changes no ranking and is left out.
    """

    def __init__(self, queries: Side, gallery: Side) -> None:
        """Compare two sides of one width."""
        self._queries = queries
        self._gallery = gallery
        self._lift = lift_for(queries.rows)

    def block(self, places: Indices) -> Array:
        """Return signed squared cosines ``(b, n)``, up to a positive factor per query."""
        gallery = self._gallery
        queries = self._queries.rows[self._queries.arrangement.members(places)] * self._lift
        block: Array = queries @ gallery.rows.T
        for row in block:  # row by row, so that all passes but the first hit the cache
            row *= np.abs(row)
            row /= gallery.squares
        member = gallery.arrangement.member
        return block if member is None else block[:, member]


class LearnedSimilarities(Similarities):
    """What a method's own similarity says, asked for a block of queries at a time."""

    def __init__(self, queries: Side, gallery: Side, similarity: Callable[[Array, Array], Any]) -> None:
        """Compare raw features by ``similarity(queries, gallery) -> (b, m)``."""
        self._queries = queries
        self._gallery = gallery
        self._similarity = similarity

    def of_all_rows(self) -> Array:
        """Return learned similarities of the sides' distinct rows, ``(m_queries, m_gallery)``.

        Raises:
            RefusedEmbeddings: for a wrong shape, or NaN.
        """
        rows = self._queries.rows
        blocks = [rows[start : start + _ASKED_ROWS] for start in range(0, len(rows), _ASKED_ROWS)]
        return np.concatenate([self._asked(block) for block in blocks])

    def _asked(self, rows: Array) -> Array:
        expected = (len(rows), len(self._gallery.rows))
        return check_similarities(self._similarity(read_only(rows), read_only(self._gallery.rows)), expected)

    def block(self, places: Indices) -> Array:
        """Return learned similarities ``(b, n)``.

        Raises:
            RefusedEmbeddings: for a wrong shape, or NaN.
        """
        values = self._asked(self._queries.rows[self._queries.arrangement.members(places)])
        member = self._gallery.arrangement.member
        return values.copy() if member is None else values[:, member]


class KeptSimilarities(Similarities):
    """Learned similarities of two sides' distinct rows, all at hand."""

    def __init__(self, queries: Side, gallery: Side, values: Array) -> None:
        """Use ``values`` ``(m_queries, m_gallery)``, in the order of the sides' rows."""
        self._queries = queries
        self._gallery = gallery
        self._values = values

    def block(self, places: Indices) -> Array:
        """Return kept similarities ``(b, n)``."""
        values = self._values[self._queries.arrangement.members(places)]
        member = self._gallery.arrangement.member
        return values if member is None else values[:, member]


class GivenSimilarities(Similarities):
    """A matrix that the caller has."""

    def __init__(self, values: Array, queries: Arrangement, gallery: Arrangement) -> None:
        """Use ``values`` ``(n_queries, n_gallery)`` in the caller's order."""
        self._values = values
        self._queries = queries
        self._gallery = gallery

    def block(self, places: Indices) -> Array:
        """Return the given similarities in place order."""
        return self._values[np.ix_(self._queries.order[places], self._gallery.order)]


class CdistCosineSimilarities(Similarities):
    """Cosine as the field's released evaluators compute it: 1 minus SciPy's distance, in float64.

    SciPy goes through the pairs one by one, so that equal rows come out as equal numbers. It gives NaN for
    rows of zeros; their distance to everything is 1 here.
    """

    def __init__(self, queries: Side, gallery: Side) -> None:
        """Compare two sides of one width."""
        self._queries = queries
        self._gallery = gallery
        self._gallery_zeros = ~gallery.rows.any(axis=1)

    def block(self, places: Indices) -> Array:
        """Return negated cosine distances ``(b, n)``."""
        from scipy.spatial.distance import cdist  # here, since it takes as long as all else to import

        rows = self._queries.rows[self._queries.arrangement.members(places)]
        distances = cdist(rows, self._gallery.rows, "cosine")
        distances[~rows.any(axis=1)] = 1.0
        distances[:, self._gallery_zeros] = 1.0
        member = self._gallery.arrangement.member
        return np.negative(distances if member is None else distances[:, member])


class ArgsortOrder(Similarities):
    """Other similarities, with tied items put into the order that NumPy's default sort gives them.

    That order depends on the gallery's order and, the sort being unstable, on the machine's processor.
    """

    def __init__(self, similarities: Similarities, gallery: Arrangement) -> None:
        """Sort what ``similarities`` says in the caller's order of the gallery."""
        self._similarities = similarities
        self._order = gallery.order

    def block(self, places: Indices) -> Array:
        """Return negated ranks ``(b, n)``, no two in a row equal."""
        values = self._similarities.block(places)
        distances = np.empty_like(values)
        distances[:, self._order] = -values
        ranking = distances.argsort(axis=1)
        ranks = np.empty(values.shape)
        np.put_along_axis(ranks, ranking, -np.arange(values.shape[1], dtype=np.float64)[None], axis=1)
        return np.asarray(ranks[:, self._order])


def lift_for(rows: Array) -> Any:
    """Return a power of two that puts inner products with ``rows`` below 2**60.

    Their squares then stay below the overflow of float32, and small ones do not vanish.
    """
    return rows.dtype.type(2.0 ** (60 - rows.shape[1].bit_length()))


def check_similarities(values: Any, shape: tuple[int, int]) -> Array:
    """Return similarities as a floating-point matrix of the expected shape.

    Raises:
        RefusedEmbeddings: if the shape is another, or a value is NaN.
    """
    matrix = to_array(values)
    if matrix.shape != shape or matrix.dtype.kind not in "fiub":
        raise RefusedEmbeddings(
            f"similarities are {matrix.dtype} of shape {matrix.shape}; expected numbers {shape}"
        )
    if matrix.dtype.kind != "f" or matrix.dtype.itemsize < 4:
        matrix = matrix.astype(np.float64)
    if np.isnan(matrix).any():
        raise RefusedEmbeddings("similarities contain NaN; they cannot be ranked")
    return matrix
