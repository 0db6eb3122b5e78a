"""Retrieval measures of two sets of embeddings, or of a matrix of similarities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.contract import Array, Similarity, UsageError
from bench.evaluation.inputs import (
    Indices,
    Matrix,
    Precision,
    Vector,
    as_rows,
    check_ids,
    check_similarities,
    cuda_device_of,
    label_sets,
)
from bench.evaluation.matches import Matches
from bench.evaluation.measures import interpolated_precision_measure, precision_at_measure
from bench.evaluation.order import canonical_order
from bench.evaluation.protocols import Denominator, EmptyRule, Protocol, check_cutoff
from bench.evaluation.ranking import Ranking
from bench.evaluation.scale import Scale
from bench.evaluation.similarity import embedded_side
from bench.evaluation.ties import TieRule

RECALL_LEVELS: tuple[float, ...] = tuple(level / 10 for level in range(11))
"""The eleven standard recall levels 0, .1, ..., 1."""


def rank_embeddings(
    queries: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    *,
    query_ids: Any = None,
    gallery_ids: Any = None,
    similarity: Similarity = "cosine",
    dtype: Precision = "float32",
    threads: int | None = None,
) -> Ranking:
    """Return the ranking of a gallery by embeddings; see `average_precision` for the arguments.

    With ids ``(n,)`` of both, equal for the same object, it has the measures of instance level.

    Raises:
        UsageError: for shapes or options that do not fit.
        RefusedEmbeddings: for embeddings that are NaN or infinite.
    """
    if dtype not in ("float32", "float64"):
        raise UsageError(f"dtype must be 'float32' or 'float64', not {dtype!r}")
    left, right = as_rows(queries, "queries"), as_rows(gallery, "gallery")
    if left.shape[1] != right.shape[1]:
        raise UsageError(
            f"queries have {left.shape[1]} columns and the gallery {right.shape[1]}; they must agree"
        )
    wanted = label_sets(query_labels, len(left), "query labels")
    offered = label_sets(gallery_labels, len(right), "gallery labels")
    wanted.check_comparable(offered)
    ids = _ids(query_ids, len(left), gallery_ids, len(right))
    scale = Scale.of(similarity, (left, right))
    return Ranking.of_sides(
        embedded_side(left, wanted, dtype, "queries", threads, ids=ids[0], scale=scale),
        embedded_side(right, offered, dtype, "gallery", threads, ids=ids[1], scale=scale),
        threads=threads,
        device=cuda_device_of(queries, gallery),
    )


def rank_similarities(
    similarities: Any,
    query_labels: Any,
    gallery_labels: Any,
    *,
    query_ids: Any = None,
    gallery_ids: Any = None,
    threads: int | None = None,
) -> Ranking:
    """Return the ranking of a gallery by similarities ``(n_queries, n_gallery)``, higher is nearer.

    The other arguments are those of `rank_embeddings`.

    Raises:
        UsageError: for shapes or options that do not fit.
        RefusedEmbeddings: for similarities that are NaN.
    """
    n_queries, n_gallery = as_rows(similarities, "similarities").shape
    values = check_similarities(similarities, (n_queries, n_gallery))
    wanted = label_sets(query_labels, n_queries, "query labels")
    offered = label_sets(gallery_labels, n_gallery, "gallery labels")
    wanted.check_comparable(offered)
    queries, gallery = canonical_order(None, wanted), canonical_order(None, offered)

    def block(positions: Indices) -> Array:
        return values[np.ix_(queries.order[positions], gallery.order)]

    matches = Matches.by_ids(*_ids(query_ids, n_queries, gallery_ids, n_gallery), gallery)
    return Ranking(queries, gallery, block, block, threads=threads, matches=matches)


def _ids(queries: Any, n_queries: int, gallery: Any, n_gallery: int) -> tuple[Array | None, Array | None]:
    """Check the ids of both sides, or of neither."""
    if (queries is None) != (gallery is None):
        raise UsageError("ids are needed of the queries and of the gallery, or of neither")
    return check_ids(queries, n_queries, "query ids"), check_ids(gallery, n_gallery, "gallery ids")


def average_precision(
    queries: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    k: int | None = None,
    denominator: Denominator = "hits",
    ties: TieRule = "expected",
    *,
    similarity: Similarity = "cosine",
    dtype: Precision = "float32",
    empty: EmptyRule = "zero",
    threads: int | None = None,
) -> Vector:
    """Return the average precision of every query, ``(n_queries,)``.

    AP@k = (sum of the precisions at the hits among the first k items) / denominator. Ties count by the exact
    expectation over all orders of the tied items, so that the gallery's order is irrelevant. The cosine with
    a row of zeros is 0: as a query it ties all items; as an item it ranks between positive and negative ones.

    Args:
        queries: ``(n_queries, d)`` embeddings, NumPy or torch (on a CUDA device the work is done there).
        gallery: ``(n_gallery, d)`` embeddings.
        query_labels: ``(n_queries,)`` integers, or ``(n_queries, C)`` 0/1: relevant = a shared label.
        gallery_labels: the same for the gallery.
        k: cut-off, a rank of the gallery; None for the full ranking.
        denominator: ``hits`` found in the top k, ``min`` (min(R, k)), ``relevant`` (R, all relevant items),
            or ``first``: the mean over the first min(R, k) relevant items, wherever they rank.
        ties: ``expected``, or the bounds ``optimistic`` and ``pessimistic``: the best and worst order. To
            reproduce a printed number, ``argsort``: the order of tied items after NumPy's unstable sort of
            SciPy's cosine distances, as in released evaluators; it depends on the gallery's order and on the
            processor.
        similarity: ``cosine``, ``dot`` (inner product), ``euclidean`` (least distance first), or ``hamming``
            (fewest different positions first; codes of 0 and 1, or of -1 and 1).
        dtype: precision of the similarities; results are float64 in any case.
        empty: ``zero``: a query without relevant items has 0; ``skip``: NaN, and with ``hits`` also if
            no order brings a relevant item into the top k.
        threads: CPU threads, None for as many as the process may use; the result does not depend on it.

    Raises:
        BenchError: as `rank_embeddings`.

    Reference: McSherry and Najork, ECIR 2008, for the expectation under ties.
    """
    rule = Protocol(k, denominator, ties, empty)
    ranking = rank_embeddings(
        queries, gallery, query_labels, gallery_labels, similarity=similarity, dtype=dtype, threads=threads
    )
    return ranking.evaluate([rule])[0][rule.id]


def mean_average_precision(
    queries: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    k: int | None = None,
    denominator: Denominator = "hits",
    ties: TieRule = "expected",
    *,
    similarity: Similarity = "cosine",
    dtype: Precision = "float32",
    empty: EmptyRule = "zero",
    threads: int | None = None,
) -> float:
    """Return the mean of `average_precision` over queries; takes the same arguments.

    With ``empty="skip"`` the mean is over the queries that were not skipped, NaN if all were.
    """
    rule = Protocol(k, denominator, ties, empty)
    ranking = rank_embeddings(
        queries, gallery, query_labels, gallery_labels, similarity=similarity, dtype=dtype, threads=threads
    )
    return rule.aggregate(ranking.evaluate([rule])[0][rule.id])


def average_precision_of_similarities(
    similarities: Any,
    query_labels: Any,
    gallery_labels: Any,
    k: int | None = None,
    denominator: Denominator = "hits",
    ties: TieRule = "expected",
    *,
    empty: EmptyRule = "zero",
    threads: int | None = None,
) -> Vector:
    """Return `average_precision` ``(n_queries,)`` where similarities ``(n_queries, n_gallery)`` are given.

    Higher is nearer, equal values are tied; all other arguments are those of `average_precision`.

    Raises:
        BenchError: as `rank_similarities`.
    """
    rule = Protocol(k, denominator, ties, empty)
    ranking = rank_similarities(similarities, query_labels, gallery_labels, threads=threads)
    return ranking.evaluate([rule])[0][rule.id]


def precision_at_k(
    queries: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    ks: Sequence[int],
    *,
    similarity: Similarity = "cosine",
    dtype: Precision = "float32",
    empty: EmptyRule = "zero",
    threads: int | None = None,
) -> Matrix:
    """Return the expected precision among the first k items, ``(n_queries, len(ks))``.

    P@k = hits among the first k items / k, also where the gallery has fewer than k items; the
    expectation is over all orders of tied items. A query without relevant items has 0, or NaN with
    ``empty="skip"``. All arguments but the ranks ``ks`` are those of `average_precision`.

    Raises:
        BenchError: as `rank_embeddings`.
    """
    for k in ks:
        check_cutoff(k)
    ranking = rank_embeddings(
        queries, gallery, query_labels, gallery_labels, similarity=similarity, dtype=dtype, threads=threads
    )
    cuts = [*map(int, ks)]
    return ranking.measure([precision_at_measure(cuts, empty)], top=max(cuts, default=None))[0]


def precision_recall(
    queries: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    levels: Sequence[float] = RECALL_LEVELS,
    *,
    similarity: Similarity = "cosine",
    dtype: Precision = "float32",
    empty: EmptyRule = "zero",
    threads: int | None = None,
) -> Matrix:
    """Return the interpolated precision at recall levels, ``(n_queries, len(levels))``.

    With e_i the expected number of hits among the first i items, over all orders of tied items, the
    value at level l is the largest e_i / i over the ranks i at which the expected recall e_i / R is at
    least l. Without ties that is the usual interpolated precision. The curve of a direction is the mean
    over queries. A query without relevant items has 0, or NaN with ``empty="skip"``. All arguments but
    the recall ``levels`` (0 to 1) are those of `average_precision`.

    Raises:
        BenchError: as `rank_embeddings`, or for levels out of range.
    """
    if not all(0.0 <= level <= 1.0 for level in levels):
        raise UsageError(f"recall levels lie between 0 and 1, not {list(levels)}")
    ranking = rank_embeddings(
        queries, gallery, query_labels, gallery_labels, similarity=similarity, dtype=dtype, threads=threads
    )
    return ranking.measure([interpolated_precision_measure([*map(float, levels)], empty)])[0]
