"""Similarities of queries with a gallery: cosine, given, or what a method has learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.contract import Array, RefusedEmbeddings
from bench.evaluation.inputs import Indices, LabelSets, Precision, Vector, not_finite
from bench.evaluation.order import CanonicalOrder, canonical_order
from bench.evaluation.threads import run_blocks

Compare = Callable[[Indices], Array]
"""Similarities ``(b, m)`` of some distinct query rows ``(b,)`` with all distinct gallery rows."""

Block = Callable[[Indices], Any]
"""Similarities ``(b, n)`` of the queries at positions ``(b,)`` with all gallery positions; the caller may
write to them. A NumPy array, or a tensor where the ranking is done by torch."""

_STEP_ITEMS = 1 << 17  # numbers at a time where a pass needs float64 scratch space, to stay in the cache
_WORTH_THREADS = 16  # parts; fewer are done before threads have started


@dataclass(frozen=True, eq=False)
class Side:
    """Queries or gallery of a comparison: items in canonical order, each distinct row once.

    Attributes:
        order: canonical order of the items.
        rows: ``(m, d)`` the distinct rows; embeddings are scaled by powers of two.
        squares: ``(m,)`` squared norms of the rows, 1 for rows of zeros, whose similarities then come out as
            0; empty for raw features, whose similarity is learned.
    """

    order: CanonicalOrder
    rows: Array
    squares: Array

    def confined(self, items: Indices, modality: str) -> Side:
        """Return a side with only some of its items ``(m,)``, in the caller's order."""
        position = np.empty(len(self.order), dtype=np.intp)
        position[self.order.order] = np.arange(len(self.order))
        rows = self.rows[self.order.members(position[items])]
        labels = LabelSets(self.order.labels.sets, self.order.labels.codes[items])
        if len(self.squares) == 0:
            return raw_side(rows, labels, modality)
        return embedded_side(
            rows, labels, "float32" if rows.dtype == np.float32 else "float64", "the gallery"
        )


def embedded_side(
    embeddings: Array, labels: LabelSets, precision: Precision, what: str, threads: int | None = None
) -> Side:
    """Put embeddings ``(n, d)`` in canonical order for cosine similarity.

    Raises:
        RefusedEmbeddings: for NaN or infinite values.
    """
    if embeddings.dtype.itemsize > 8:  # extended precision: what exceeds float64 must be seen as infinite
        with np.errstate(over="ignore"):
            embeddings = embeddings.astype(np.float64)
    scaled = np.empty(embeddings.shape, dtype=precision)
    squares = np.empty(len(scaled), dtype=precision)

    def scale(part: slice) -> None:
        wide = embeddings[part].astype(np.float64)
        largest = np.abs(wide).max(axis=1)
        if not bool(np.isfinite(largest).all()):
            raise RefusedEmbeddings(
                f"{what} {not_finite(embeddings)}; cosine similarity is not defined for them"
            )
        scaled[part] = _scaled(wide, largest)
        squares[part] = np.square(scaled[part], dtype=np.float64).sum(axis=1) + (largest == 0)

    step = max(1, _STEP_ITEMS // embeddings.shape[1])
    parts = [slice(start, start + step) for start in range(0, len(scaled), step)]
    run_blocks(scale, parts, threads if len(parts) >= _WORTH_THREADS else 1)
    order = canonical_order(scaled, labels)
    return Side(order, scaled[order.distinct], squares[order.distinct])


def raw_side(features: Array, labels: LabelSets, modality: str) -> Side:
    """Put raw features ``(n, d)`` in canonical order for a similarity that a method has learned.

    The rows come out in the order of `row_order`, since the method sees their positions.
    """
    order = canonical_order(features, labels).shuffled(modality)
    return Side(order, features[order.distinct], np.empty(0))


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


def expanded(compare: Compare, queries: CanonicalOrder, gallery: CanonicalOrder) -> Block:
    """Return similarities by position from those of the distinct rows."""

    def block(positions: Indices) -> Array:
        values = compare(queries.members(positions))
        return values if gallery.member is None else values[:, gallery.member]

    return block


def cosine(queries: Side, gallery: Side) -> Compare:
    """Return the cosine, squared with its sign kept, up to a factor per query: ties come out exact.

    The inner product of two rows divided by a norm would round; for whole-numbered embeddings such as
    codes of -1 and 1 the inner product, its square and the squared norm are exact, so that equal
    cosines are equal numbers. The query's norm changes no ranking and is left out.
    """
    lift = lift_for(queries.rows)

    def compare(rows: Indices) -> Array:
        values: Array = (queries.rows[rows] * lift) @ gallery.rows.T
        for row in values:  # row by row, so that all passes but the first hit the cache
            row *= np.abs(row)
            row /= gallery.squares
        return values

    return compare


def lift_for(rows: Array) -> Any:
    """Return a power of two that puts inner products with ``rows`` below 2**60.

    Their squares then stay below the overflow of float32, and small ones do not vanish.
    """
    return rows.dtype.type(2.0 ** (60 - rows.shape[1].bit_length()))


def scipy_cosine(queries: Side, gallery: Side) -> Compare:
    """Return the cosine as the field's released evaluators compute it: minus SciPy's distance, in float64.

    SciPy goes through the pairs one by one, so that equal rows come out as equal numbers. It gives NaN for
    rows of zeros; their distance to everything is 1 here.
    """

    def compare(rows: Indices) -> Array:
        from scipy.spatial.distance import cdist  # takes as long to import as everything else

        chosen = queries.rows[rows]
        distances = cdist(chosen, gallery.rows, "cosine")
        distances[~chosen.any(axis=1)] = 1.0
        distances[:, ~gallery.rows.any(axis=1)] = 1.0
        return np.negative(distances)

    return compare


def argsort_ranks(block: Block, gallery: CanonicalOrder) -> Block:
    """Return negated ranks, no two in a row equal: tied items stand as NumPy's default sort leaves them.

    That order depends on the gallery's order and, the sort being unstable, on the machine's processor.
    """

    def ranked(positions: Indices) -> Array:
        values = block(positions)
        distances = np.empty_like(values)
        distances[:, gallery.order] = -values
        ranks = np.empty(values.shape)
        descending = -np.arange(values.shape[1], dtype=np.float64)[None]
        np.put_along_axis(ranks, distances.argsort(axis=1), descending, axis=1)
        return np.asarray(ranks[:, gallery.order])

    return ranked
