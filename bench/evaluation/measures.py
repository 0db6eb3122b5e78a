"""Measures of ranks: those that protocols name, precision at k, and interpolated precision.

All are exact expectations over the orders of tied items. Of a group of t tied items after p others, r of them
relevant, m = k - p fall inside the cut-off:

- precision, recall by class: r m / t of them are expected among these;
- recall by instance: none is among them with the chance C(t - r, m) / C(t, m);
- nDCG: each has the mean discount of the group's ranks up to k;
- the first of them is expected at rank p + (t + 1) / (r + 1); the chance that it is at p + s, over which
  the reciprocal is averaged, is that of `bench.evaluation.ties.first_hits`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.inputs import Matrix, Vector
from bench.evaluation.protocols import EmptyRule, MeasureName, Protocol
from bench.evaluation.ties import (
    Counts,
    Measure,
    Ranks,
    TieGroups,
    first_hits,
    hits_inside,
    in_order,
    precision_sum,
)


def measure_of(protocol: Protocol) -> Measure:
    """Return the measure ``(b, 1)`` of a protocol; NaN where it skips a query."""
    compute = _MEASURES[protocol.measure]

    def measure(ranks: Ranks) -> Matrix:
        if ranks.above.shape[1] == 0:
            nothing = 0.0 if protocol.bounded else ranks.n_gallery + 1.0
            return np.full((len(ranks.above), 1), np.nan if protocol.empty == "skip" else nothing)
        k = ranks.n_gallery if protocol.k is None else min(protocol.k, ranks.n_gallery)
        if protocol.measure != "map" or protocol.denominator == "first":
            ranks = in_order(ranks, protocol.ties)
        return within_bounds(compute(ranks, k, protocol), protocol)[:, None]

    return measure


def within_bounds(values: Vector, protocol: Protocol) -> Vector:
    """Return values per query of which none exceeds 1 by a rounding error; ranks have no such bound."""
    return np.asarray(np.minimum(values, 1.0)) if protocol.bounded else values


def precision_at_measure(ks: Sequence[int], empty: EmptyRule = "zero") -> Measure:
    """Return the measure ``(b, len(ks))``: expected hits in the top k, divided by k."""

    def measure(ranks: Ranks) -> Matrix:
        if ranks.above.shape[1] == 0:
            return _nothing(len(ranks.above), len(ks), empty)
        return np.asarray(np.minimum(expected_hits(ranks, ks) / np.asarray(ks), 1.0))

    return measure


def expected_hits(ranks: Ranks, ks: Sequence[int]) -> Matrix:
    """Return the expected number of relevant items in the top k, ``(b, len(ks))``."""
    above, ties, order, bins = ranks.above, ranks.ties, np.argsort(ks), len(ks) + 1
    reached = np.searchsorted(np.asarray(ks)[order], above, side="right")  # cut-offs that an item misses
    reached += np.arange(len(above))[:, None] * bins
    counts = np.bincount(reached.reshape(-1), minlength=len(above) * bins).reshape(len(above), bins)
    hits = np.empty((len(above), len(ks)))
    hits[:, order] = counts.cumsum(axis=1)[:, :-1]
    for column, k in enumerate(ks if len(ties.row) else ()):
        g = np.flatnonzero((ties.before < k) & (k < ties.before + ties.size))  # at most one per query
        outside = (ties.before + ties.size - k)[g] / ties.size[g]
        hits[ties.row[g], column] -= ties.relevant[g] * outside
    return hits


def interpolated_precision_measure(levels: Sequence[float], empty: EmptyRule = "zero") -> Measure:
    """Return the measure ``(b, len(levels))``: interpolated precision of the expected hits.

    Let e_i be the expected number of hits among the first i items. The value at level l is the largest
    e_i / i over all ranks i with e_i >= l R. Inside a tie group e_i grows evenly and e_i / i moves one
    way only, so that the group's first admissible rank and its end are the ranks to look at.
    """

    def measure(ranks: Ranks) -> Matrix:
        b, n_relevant = ranks.above.shape
        if n_relevant == 0:
            return _nothing(b, len(levels), empty)
        # Of each relevant item: hits before its tie group, hits up to the group's end, the group's size.
        hits, ties = np.tile(np.arange(n_relevant), (b, 1)), ranks.ties
        upto, size = hits + 1, np.ones_like(hits)
        if len(ties.row):
            items = ties.items()
            hits[items] = np.repeat(ties.hits, ties.relevant)
            upto[items] = np.repeat(ties.hits + ties.relevant, ties.relevant)
            size[items] = np.repeat(ties.size, ties.relevant)
        at_end = upto / (ranks.above + size)
        from_here = np.maximum.accumulate(at_end[:, ::-1], axis=1)[:, ::-1]
        needed = np.asarray(levels) * n_relevant - 1e-9  # .7 * 10 is a little more than 7
        j = np.maximum(np.ceil(needed).astype(np.intp) - 1, 0)
        p, h = ranks.above[:, j], hits[:, j]
        share = (upto[:, j] - h) / size[:, j]
        step = np.maximum(np.ceil((needed - h) / share - 1e-9), 1.0)
        return np.asarray(np.maximum((h + step * share) / (p + step), from_here[:, j]))

    return measure


def _nothing(b: int, width: int, empty: EmptyRule) -> Matrix:
    """Return the values of queries without relevant items."""
    return np.full((b, width), np.nan if empty == "skip" else 0.0)


def _average_precision(ranks: Ranks, k: int, protocol: Protocol) -> Vector:
    """Sum the precision at every hit inside the cut-off; tie groups give their sums as a whole."""
    if protocol.denominator == "first":
        return _first_precision(ranks, k)
    n_relevant, ties = ranks.above.shape[1], ranks.ties
    above = ranks.above[:, :k]  # the relevant item in column j has at least j items above
    precision = above + 1.0
    np.divide(np.arange(1.0, above.shape[1] + 1), precision, out=precision)
    crossing = np.empty(0, dtype=np.intp)
    inside: Any = True if k == ranks.n_gallery else above < k
    if len(ties.row):  # a group before the cut-off has its whole sum in its first column
        whole = ties
        if inside is not True:
            within = np.clip(k - ties.before, 0, ties.size)
            crossing = np.flatnonzero((within > 0) & (within < ties.size))  # at most one per query
            _blank(inside, ties.take(crossing))
            whole = ties.take(np.flatnonzero(within == ties.size))
        _blank(precision, whole)
        precision[whole.row, whole.hits] = precision_sum(
            protocol.ties, whole.before, whole.hits, whole.size, whole.relevant
        )
    total = precision.sum(axis=1, where=inside)
    hits = n_relevant if inside is True else inside.sum(axis=1)
    values = np.asarray(total / _denominator(hits, n_relevant, k, protocol))
    for g in crossing:
        row = ties.row[g]
        values[row] = straddling(ties, int(g), float(total[row]), n_relevant, k, protocol)
    if protocol.empty == "skip" and protocol.denominator == "hits":
        values[ranks.above[:, 0] >= k] = np.nan  # no order brings a hit into the top k
    return values


def _first_precision(ranks: Ranks, k: int) -> Vector:
    """Return the mean precision at the first min(R, k) relevant items, wherever they rank; ties expected."""
    count, ties = min(k, ranks.above.shape[1]), ranks.ties
    precision = np.arange(1, ranks.above.shape[1] + 1) / (ranks.above + 1)
    last = ties.hits + ties.relevant
    whole = ties.take(np.flatnonzero(last <= count))
    _blank(precision, whole)
    precision[whole.row, whole.hits] = precision_sum(
        "expected", whole.before, whole.hits, whole.size, whole.relevant
    )
    for g in np.flatnonzero((ties.hits < count) & (last > count)):  # at most one per query
        row, h, r, p, t = (int(column[g]) for column in ties)
        chances, hits = first_hits(t, r, count - h)
        precision[row, h:count] = 0
        precision[row, h] = ((h * chances + hits) / (p + np.arange(1, t + 1))).sum()
    return np.asarray(precision[:, :count].sum(axis=1) / count)


def _blank(matrix: NDArray[Any], ties: TieGroups) -> None:
    """Set the columns of the relevant items of tie groups to zero, in place."""
    rows, columns = ties.items()
    kept = columns < matrix.shape[1]
    matrix[rows[kept], columns[kept]] = 0


def straddling(ties: TieGroups, g: int, total: float, n_relevant: int, k: int, protocol: Protocol) -> float:
    """Average precision of a query whose tie group ``g`` crosses the cut-off.

    Given the number x of hits that fall inside, the sum and the denominator are known.
    """
    p, h, t, r = (int(column[g]) for column in (ties.before, ties.hits, ties.size, ties.relevant))
    x, chance = hits_inside(t, r, k - p)
    sums = total + precision_sum(protocol.ties, p, h, k - p, x)
    values = sums / _denominator(h + x, n_relevant, k, protocol)
    if protocol.ties == "expected":
        return float((chance * values).sum())
    return float(values.max() if protocol.ties == "optimistic" else values.min())


def _denominator(hits: Counts | int, n_relevant: int, k: int, protocol: Protocol) -> Counts | int:
    if protocol.denominator == "hits":
        return np.maximum(hits, 1)
    return min(n_relevant, k) if protocol.denominator == "min" else n_relevant


def _precision(ranks: Ranks, k: int, protocol: Protocol) -> Vector:
    """Return the hits in the top k divided by k, also where the gallery has fewer items."""
    return np.asarray(expected_hits(ranks, [k])[:, 0] / (protocol.k or k))


def _recall(ranks: Ranks, k: int, protocol: Protocol) -> Vector:
    """Return whether there is a hit in the top k (instance), or the share of relevant items there (class)."""
    if protocol.level == "class":
        return np.asarray(expected_hits(ranks, [k])[:, 0] / ranks.above.shape[1])
    found = (ranks.above[:, 0] < k).astype(np.float64)
    ties = ranks.ties
    g = np.flatnonzero((ties.hits == 0) & (ties.before < k) & (k < ties.before + ties.size))
    size, relevant, inside = ties.size[g], ties.relevant[g], k - ties.before[g]
    fewer, more = np.minimum(relevant, inside), np.maximum(relevant, inside)
    none = np.ones(len(g))  # C(t - r, m) / C(t, m), a product over the lesser of r and m
    for i in range(int(fewer.max(initial=0))):
        factor = np.maximum(size - more - i, 0) / np.maximum(size - i, 1)
        none *= np.where(i < fewer, factor, 1.0)
    found[ties.row[g]] = 1.0 - none
    return found


def _ndcg(ranks: Ranks, k: int, _: Protocol) -> Vector:
    """Return DCG / DCG of the best order: gain = number of shared labels, discount 1 / log2(1 + rank).

    The gain of single-label data is 1. Järvelin and Kekäläinen (TOIS 2002), with the discount of
    trec_eval's ``ndcg_cut``.
    """
    ties, n_relevant = ranks.ties, ranks.above.shape[1]
    discount = np.zeros(ranks.n_gallery + 1)
    discount[:k] = 1.0 / np.log2(np.arange(2, k + 2))  # by the number of items above
    expected = discount[ranks.above]
    if len(ties.row):
        upto = np.concatenate([[0.0], np.cumsum(discount)])
        mean = (upto[ties.before + ties.size] - upto[ties.before]) / ties.size
        expected[ties.items()] = np.repeat(mean, ties.relevant)
    if ranks.gains is None:
        return np.asarray(expected.sum(axis=1) / discount[:n_relevant].sum())
    best = np.sort(ranks.gains, axis=1)[:, ::-1] @ discount[:n_relevant]
    return np.asarray((ranks.gains * expected).sum(axis=1) / best)


def _reciprocal_rank(ranks: Ranks, *_: object) -> Vector:
    values: Vector = 1.0 / (ranks.above[:, 0] + 1)
    first = ranks.ties.take(np.flatnonzero(ranks.ties.hits == 0))
    alone = first.relevant == 1
    one = first.take(np.flatnonzero(alone))
    values[one.row] = precision_sum("expected", one.before, one.hits, one.size, one.relevant)
    for row, _h, r, p, t in zip(*(column[~alone].tolist() for column in first), strict=True):
        values[row] = (first_hits(t, r, 1)[0] / (p + np.arange(1, t + 1))).sum()
    return values


def _first_rank(ranks: Ranks, *_: object) -> Vector:
    values: Vector = np.asarray(ranks.above[:, 0] + 1.0)
    first = ranks.ties.take(np.flatnonzero(ranks.ties.hits == 0))
    values[first.row] = first.before + (first.size + 1) / (first.relevant + 1)
    return values


_MEASURES: Final[Mapping[MeasureName, Callable[[Ranks, int, Protocol], Vector]]] = {
    "map": _average_precision,
    "recall": _recall,
    "precision": _precision,
    "ndcg": _ndcg,
    "mrr": _reciprocal_rank,
    "medr": _first_rank,
    "meanr": _first_rank,
}
