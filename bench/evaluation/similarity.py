"""Similarities of queries with a gallery: cosine, dot product, distances, or what a method has learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import local
from typing import Any, Final

import numpy as np

from bench.contract import Array, RefusedEmbeddings, Similarity
from bench.evaluation.inputs import Indices, LabelSets, Matrix, Precision, not_finite
from bench.evaluation.order import CanonicalOrder, canonical_order, inverse
from bench.evaluation.scale import Scale
from bench.evaluation.threads import run_blocks

Compare = Callable[[Indices], Array]
"""Similarities ``(b, m)`` of some distinct query rows ``(b,)`` with all distinct gallery rows."""

Block = Callable[[Indices], Any]
"""Similarities ``(b, n)`` of the queries at positions ``(b,)`` with all gallery positions; the caller may
write to them, until the thread's next call. A NumPy array, or a tensor where the ranking is done by torch."""

COSINE: Final = Scale()

_STEP_ITEMS = 1 << 17  # numbers at a time where a pass needs float64 scratch space, to stay in the cache
_MOVED_ITEMS = 1 << 24  # numbers at a time that are put in another order
_WORTH_THREADS = 16  # parts; fewer are done before threads have started


@dataclass(frozen=True, eq=False)
class Side:
    """Queries or gallery of a comparison: items in canonical order, each distinct row once."""

    order: CanonicalOrder  # canonical order of the items
    rows: Array  # ``(m, d)`` the distinct rows; embeddings are in the form of a `Scale`
    # ``(m,)`` squared norms of the rows, see `Scale.squares`; of raw features, whose similarity is learned, 0
    squares: Array
    similarity: Similarity | None  # how the rows are compared; None for raw features
    ids: Array | None = None  # ``(n,)`` of the items, in the caller's order; None where they are not known

    def confined(self, items: Indices, modality: str) -> Side:
        """Return a side with only some of its items ``(m,)``, in the caller's order."""
        members = self.order.members(inverse(self.order.order)[items])
        labels = LabelSets(self.order.labels.sets, self.order.labels.codes[items])
        ids = None if self.ids is None else self.ids[items]
        if self.similarity is None:
            return raw_side(self.rows[members], labels, modality, ids)
        order = canonical_order(self.rows[members], labels)
        chosen = members[order.distinct]
        return Side(order, self.rows[chosen], self.squares[chosen], self.similarity, ids)


def embedded_side(
    embeddings: Array,
    labels: LabelSets,
    precision: Precision,
    what: str,
    threads: int | None = None,
    *,
    ids: Array | None = None,
    scale: Scale = COSINE,
) -> Side:
    """Put embeddings ``(n, d)`` in canonical order, in the form in which they are compared.

    Raises:
        RefusedEmbeddings: for NaN or infinite values.
    """
    if embeddings.dtype.itemsize > 8:  # extended precision: what exceeds float64 must be seen as infinite
        with np.errstate(over="ignore"):
            embeddings = embeddings.astype(np.float64)
    # Powers of two are exact in float32, too; sums with a centre are not.
    working = precision if scale.similarity == "cosine" and embeddings.dtype == precision else np.float64
    scaled = np.empty(embeddings.shape, dtype=precision)
    squares = np.empty(len(scaled), dtype=precision)

    def put(part: slice) -> None:
        rows = embeddings[part].astype(working)
        largest = np.maximum(rows.max(axis=1), -rows.min(axis=1))
        if not bool(np.isfinite(largest).all()):
            raise RefusedEmbeddings(
                f"{what} {not_finite(embeddings)}; {scale.similarity} similarity is not defined for them"
            )
        final = scaled[part]
        # -0.0, which small negative numbers may have become, is equal to 0.0, but not bit by bit.
        np.add(scale.scaled(rows, largest), 0.0, out=final, dtype=final.dtype, casting="same_kind")
        squares[part] = scale.squares(final, largest)

    step = max(1, _STEP_ITEMS // embeddings.shape[1])
    parts = [slice(start, start + step) for start in range(0, len(scaled), step)]
    run_blocks(put, parts, threads if len(parts) >= _WORTH_THREADS else 1)
    order = canonical_order(scaled, labels)
    count = len(order.distinct)
    passes = -(-count * embeddings.shape[1] // _MOVED_ITEMS)
    width = -(-embeddings.shape[1] // max(1, passes))
    for start in range(0, embeddings.shape[1], width):  # in place: a gallery may fill most of the memory
        columns = slice(start, start + width)
        scaled[:count, columns] = scaled[order.distinct, columns]
    return Side(order, scaled[:count], squares[order.distinct], scale.similarity, ids)


def raw_side(features: Array, labels: LabelSets, modality: str, ids: Array | None = None) -> Side:
    """Put raw features ``(n, d)`` in canonical order for a similarity that a method has learned.

    The rows come out in the order of `row_order`, since the method sees their positions.
    """
    order = canonical_order(features, labels).shuffled(modality)
    return Side(order, features[order.distinct], np.zeros(len(order.distinct)), None, ids)


def expanded(compare: Compare, queries: CanonicalOrder, gallery: CanonicalOrder) -> Block:
    """Return similarities by position from those of the distinct rows."""

    def block(positions: Indices) -> Array:
        values = compare(queries.members(positions))
        return values if gallery.member is None else values[:, gallery.member]

    return block


def compared(queries: Side, gallery: Side) -> Compare:
    """Return the similarities of embeddings: higher is nearer, and equal ones are tied.

    Under ``dot`` and ``hamming`` they are inner products; under ``euclidean`` q.g - |g|^2 / 2, which falls as
    the distance rises. For whole-numbered embeddings all are exact, as long as the products stay below 2**24
    in float32 and 2**53 in float64. The cosine is squared with its sign kept, up to a factor per query, which
    changes no ranking: a quotient of inner product and norm would round, but for codes of -1 and 1 the
    product, its square and the squared norm are exact. For the cosine this returns only the products, from
    which `bench.evaluation.block.cosines` follow.

    A thread's next block is written where its last one was, since fresh memory takes time.
    """
    lift = lift_for(queries.rows.shape[1])
    memory = local()

    def products(left: Array) -> Array:
        size = len(left) * len(gallery.rows)
        if getattr(memory, "numbers", np.empty(0)).size < size:
            memory.numbers = np.empty(size, dtype=left.dtype)
        out: Array = memory.numbers[:size].reshape(len(left), -1)
        return np.matmul(left, gallery.rows.T, out=out)

    def compare(rows: Indices) -> Array:
        if gallery.similarity == "cosine":
            return products(queries.rows[rows] * -lift)
        values = products(queries.rows[rows])
        if gallery.similarity == "euclidean":
            values -= gallery.squares
        return values

    return compare


def lift_for(width: int) -> float:
    """Return a power of two that puts inner products of scaled rows below 2**60.

    Their squares then stay below the overflow of float32, and small ones do not vanish.
    """
    return float(2.0 ** (60 - width.bit_length()))


def sorted_by_others(queries: Side, gallery: Side) -> Compare:
    """Return similarities as the field's released evaluators compute them, in float64.

    For the cosine and for Euclidean distances they are minus SciPy's distance. SciPy goes through the pairs
    one by one, so that equal rows come out as equal numbers. Its cosine is NaN for rows of zeros; their
    distance to everything is 1 here.
    """

    def compare(rows: Indices) -> Array:
        from scipy.spatial.distance import cdist  # takes as long to import as everything else

        chosen = queries.rows[rows]
        if gallery.similarity in ("dot", "hamming"):
            return np.asarray(chosen.astype(np.float64) @ gallery.rows.T.astype(np.float64))
        distances = cdist(chosen, gallery.rows, "cosine" if gallery.similarity == "cosine" else "euclidean")
        if gallery.similarity == "cosine":
            distances[~chosen.any(axis=1)] = 1.0
            distances[:, ~gallery.rows.any(axis=1)] = 1.0
        return np.negative(distances)

    return compare


def argsort_ranks(block: Block, gallery: CanonicalOrder) -> Block:
    """Return negated ranks, no two in a row equal: tied items are in the order of NumPy's default sort.

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


def similarities(similarity: Similarity, left: Array, right: Array) -> Matrix:
    """Return the similarities ``(n, m)`` of embeddings ``(n, d)`` and ``(m, d)`` as plain numbers.

    They are cosines (0 for rows of zeros), inner products, or minus Euclidean distances, which for codes give
    the order of Hamming distances. What is ranked for measures is `compared`, where ties are exact.
    """
    if similarity == "cosine":
        return np.asarray(unit_rows(left) @ unit_rows(right).T)
    left, right = left.astype(np.float64), right.astype(np.float64)
    if similarity == "dot":
        return np.asarray(left @ right.T)
    from scipy.spatial.distance import cdist  # planning cells need not wait for it

    return np.asarray(-cdist(left, right))


def unit_rows(rows: Array) -> Matrix:
    """Scale rows to unit length, those of zeros excepted.

    That is done in two steps, so that no square overflows or vanishes.
    """
    wide = rows.astype(np.float64)
    largest = np.abs(wide).max(axis=1, keepdims=True)
    wide = wide / np.where(largest == 0, 1.0, largest)
    return np.asarray(wide / np.where(largest == 0, 1.0, np.linalg.norm(wide, axis=1, keepdims=True)))
