"""Retrieval measures of two sets of embeddings, or of a matrix of similarities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.contract import UsageError
from bench.evaluation.arrays import Matrix, Precision, Vector, accelerator_of, as_rows
from bench.evaluation.measures import (
    average_precision_measure,
    interpolated_precision_measure,
    precision_at_measure,
)
from bench.evaluation.order import arrange_by_labels
from bench.evaluation.protocol import Denominator, EmptyRule, Protocol, check_cutoff
from bench.evaluation.ranking import Measure, measure_rankings
from bench.evaluation.relevance import LabelSets, label_sets
from bench.evaluation.similarity import (
    ArgsortOrder,
    CdistCosineSimilarities,
    CosineSimilarities,
    GivenSimilarities,
    Side,
    Similarities,
    check_similarities,
    embedded_side,
)
from bench.evaluation.ties import TieRule

RECALL_LEVELS: tuple[float, ...] = tuple(level / 10 for level in range(11))
"""The eleven standard recall levels 0, .1, ..., 1."""


def average_precision(
    queries: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    k: int | None = None,
    denominator: Denominator = "hits",
    ties: TieRule = "expected",
    *,
    dtype: Precision = "float32",
    empty: EmptyRule = "zero",
    threads: int | None = None,
) -> Vector:
    """Return the average precision of every query under cosine similarity, ``(n_queries,)``.

    AP@k = (sum of the precisions at the hits among the first k items) / denominator. Items that are
    equally similar are tied, and the exact expectation over all orders of tied items is returned, so
    that the gallery's order never matters. A row of zeros has no direction: its similarity to everything
    is 0, so that as a query it ties the whole gallery, and as an item it stands between the positive and
    the negative cosines.

    Args:
        queries: ``(n_queries, d)`` embeddings, NumPy or torch (on a CUDA device the work is done there).
        gallery: ``(n_gallery, d)`` embeddings.
        query_labels: ``(n_queries,)`` integers, or ``(n_queries, C)`` 0/1: relevant = a shared label.
        gallery_labels: the same for the gallery.
        k: cut-off, a rank of the gallery; None for the full ranking.
        denominator: ``hits`` found in the top k, ``min`` (min(R, k)) or ``relevant`` (R, all relevant items).
        ties: ``expected``, or the bounds ``optimistic`` and ``pessimistic``: the best and worst order. To
            meet a printed number, ``argsort``: the order in which NumPy's unstable sort of SciPy's cosine
            distances leaves tied items, as in the field's released evaluators. Under that rule alone the
            gallery's order and the processor have a part in the result.
        dtype: precision of the similarities; results are float64 in any case.
        empty: ``zero``: a query without relevant items has 0; ``skip``: NaN, and with ``hits`` also if
            no order brings a relevant item into the top k.
        threads: CPU threads, None for as many as the process may use; the result does not depend on it.

    Raises:
        UsageError: for shapes or options that do not fit.
        RefusedEmbeddings: for embeddings that are NaN or infinite.

    Reference: McSherry and Najork, ECIR 2008, for the expectation under ties.
    """
    measure = average_precision_measure(Protocol(k, denominator, ties, empty))
    labels = query_labels, gallery_labels
    return _cosine(queries, gallery, *labels, measure, dtype, threads, by_argsort=ties == "argsort")[:, 0]


def mean_average_precision(
    queries: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    k: int | None = None,
    denominator: Denominator = "hits",
    ties: TieRule = "expected",
    *,
    dtype: Precision = "float32",
    empty: EmptyRule = "zero",
    threads: int | None = None,
) -> float:
    """Return the mean of `average_precision` over queries; takes the same arguments.

    With ``empty="skip"`` the mean is over the queries that were not skipped, NaN if all were.

    Raises:
        UsageError: for shapes or options that do not fit.
        RefusedEmbeddings: for embeddings that are NaN or infinite.
    """
    ap = average_precision(
        queries,
        gallery,
        query_labels,
        gallery_labels,
        k,
        denominator,
        ties,
        dtype=dtype,
        empty=empty,
        threads=threads,
    )
    return mean_of_queries(ap)


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
    """Return the average precision of every query, ``(n_queries,)``, where similarities are given.

    Args:
        similarities: ``(n_queries, n_gallery)``, higher is nearer; equal values are tied.
        query_labels: as in `average_precision`, as are all further arguments.
        gallery_labels: as in `average_precision`.
        k: as in `average_precision`.
        denominator: as in `average_precision`.
        ties: as in `average_precision`.
        empty: as in `average_precision`.
        threads: as in `average_precision`.

    Raises:
        UsageError: for shapes or options that do not fit.
        RefusedEmbeddings: for similarities that are NaN.
    """
    shape = as_rows(similarities, "similarities").shape
    values = check_similarities(similarities, (shape[0], shape[1]))
    wanted, offered = _labels(query_labels, gallery_labels, shape[0], shape[1])
    queries, gallery = arrange_by_labels(wanted), arrange_by_labels(offered)
    measure = average_precision_measure(Protocol(k, denominator, ties, empty))
    given: Similarities = GivenSimilarities(values, queries, gallery)
    if ties == "argsort":
        given = ArgsortOrder(given, gallery)
    return measure_rankings(given, queries, gallery, [measure], threads=threads)[0][:, 0]


def precision_at_k(
    queries: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    ks: Sequence[int],
    *,
    dtype: Precision = "float32",
    empty: EmptyRule = "zero",
    threads: int | None = None,
) -> Matrix:
    """Return the expected precision among the first k items, ``(n_queries, len(ks))``.

    P@k = hits among the first k items / k, also where the gallery has fewer than k items; the
    expectation is over all orders of tied items.

    Args:
        queries: as in `average_precision`, as are all arguments but ``ks``.
        gallery: as in `average_precision`.
        query_labels: as in `average_precision`.
        gallery_labels: as in `average_precision`.
        ks: ranks of at least 1.
        dtype: as in `average_precision`.
        empty: 0 or NaN for a query without relevant items.
        threads: as in `average_precision`.

    Raises:
        UsageError: for shapes or options that do not fit.
        RefusedEmbeddings: for embeddings that are NaN or infinite.
    """
    for k in ks:
        check_cutoff(k)
    measure = precision_at_measure([int(k) for k in ks], empty)
    return _cosine(queries, gallery, query_labels, gallery_labels, measure, dtype, threads)


def precision_recall(
    queries: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    levels: Sequence[float] = RECALL_LEVELS,
    *,
    dtype: Precision = "float32",
    empty: EmptyRule = "zero",
    threads: int | None = None,
) -> Matrix:
    """Return the interpolated precision at recall levels, ``(n_queries, len(levels))``.

    With e_i the expected number of hits among the first i items, over all orders of tied items, the
    value at level l is the largest e_i / i over the ranks i at which the expected recall e_i / R is at
    least l. Without ties that is the usual interpolated precision. The curve of a direction is the mean
    over queries.

    Args:
        queries: as in `average_precision`, as are all arguments but ``levels``.
        gallery: as in `average_precision`.
        query_labels: as in `average_precision`.
        gallery_labels: as in `average_precision`.
        levels: recall levels from 0 to 1.
        dtype: as in `average_precision`.
        empty: 0 or NaN for a query without relevant items.
        threads: as in `average_precision`.

    Raises:
        UsageError: for shapes or options that do not fit.
        RefusedEmbeddings: for embeddings that are NaN or infinite.
    """
    if not all(0.0 <= level <= 1.0 for level in levels):
        raise UsageError(f"recall levels lie between 0 and 1, not {list(levels)}")
    measure = interpolated_precision_measure([float(level) for level in levels], empty)
    return _cosine(queries, gallery, query_labels, gallery_labels, measure, dtype, threads)


def mean_of_queries(values: Vector) -> float:
    """Return the mean over the queries that were not skipped; NaN if all were."""
    counted = values[~np.isnan(values)]
    return float(counted.mean()) if len(counted) else float("nan")


def rank_sides(
    queries: Side,
    gallery: Side,
    measures: Sequence[Measure],
    *,
    device: str | None = None,
    threads: int | None = None,
    by_argsort: bool = False,
) -> list[Matrix]:
    """Apply measures to the cosine rankings of two arranged sides, on the CPU or a torch device.

    The order of ties that a sort gives, ``by_argsort``, is found on the CPU in any case.
    """
    left, right = queries.arrangement, gallery.arrangement
    if by_argsort:
        in_order = ArgsortOrder(CdistCosineSimilarities(queries, gallery), right)
        return measure_rankings(in_order, left, right, measures, threads=threads)
    if device is None:
        cosines = CosineSimilarities(queries, gallery)
        return measure_rankings(cosines, left, right, measures, threads=threads)
    from bench.evaluation.cuda import DeviceCosineSimilarities, rank_torch

    on_device = DeviceCosineSimilarities(queries, gallery, device)
    return measure_rankings(on_device, left, right, measures, rank=rank_torch, threads=1)


def _cosine(
    queries: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    measure: Measure,
    dtype: Precision,
    threads: int | None,
    by_argsort: bool = False,
) -> Matrix:
    if dtype not in ("float32", "float64"):
        raise UsageError(f"dtype must be 'float32' or 'float64', not {dtype!r}")
    left, right = as_rows(queries, "queries"), as_rows(gallery, "gallery")
    if left.shape[1] != right.shape[1]:
        raise UsageError(
            f"queries have {left.shape[1]} columns and the gallery {right.shape[1]}; they must agree"
        )
    wanted, offered = _labels(query_labels, gallery_labels, len(left), len(right))
    sides = (
        embedded_side(left, wanted, dtype, "queries", threads),
        embedded_side(right, offered, dtype, "gallery", threads),
    )
    device = accelerator_of(queries, gallery)
    return rank_sides(*sides, [measure], device=device, threads=threads, by_argsort=by_argsort)[0]


def _labels(
    query_labels: Any, gallery_labels: Any, n_queries: int, n_gallery: int
) -> tuple[LabelSets, LabelSets]:
    wanted = label_sets(query_labels, n_queries, "query labels")
    offered = label_sets(gallery_labels, n_gallery, "gallery labels")
    wanted.check_comparable(offered)
    return wanted, offered
