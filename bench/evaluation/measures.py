"""Precision from ranks: average precision under every rule, precision at k, interpolated precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.inputs import Matrix, Vector
from bench.evaluation.protocols import EmptyRule, Protocol
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


def average_precision_measure(protocol: Protocol) -> Measure:
    """Return the measure ``(b, 1)`` of a protocol; NaN where it skips a query."""

    def measure(ranks: Ranks) -> Matrix:
        b, n_relevant = ranks.above.shape
        if n_relevant == 0:
            return _nothing(b, 1, protocol.empty)
        if protocol.denominator == "first":
            return _first_precision(in_order(ranks, protocol.ties), protocol.k or n_relevant)[:, None]
        k = ranks.n_gallery if protocol.k is None else min(protocol.k, ranks.n_gallery)
        values = _average_precision(ranks, k, protocol)
        if protocol.empty == "skip" and protocol.denominator == "hits":
            values[ranks.above[:, 0] >= k] = np.nan  # no order brings a hit into the top k
        return values[:, None]

    return measure


def precision_at_measure(ks: Sequence[int], empty: EmptyRule = "zero") -> Measure:
    """Return the measure ``(b, len(ks))``: expected hits in the top k, divided by k."""

    def measure(ranks: Ranks) -> Matrix:
        if ranks.above.shape[1] == 0:
            return _nothing(len(ranks.above), len(ks), empty)
        return np.asarray(expected_hits(ranks, ks) / np.asarray(ks))

    return measure


def expected_hits(ranks: Ranks, ks: Sequence[int]) -> Matrix:
    """Return the expected number of relevant items in the top k, ``(b, len(ks))``."""
    hits = _hits_before(ranks.above, ks).astype(np.float64)
    ties = ranks.ties
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
        hits, upto, size = _tie_spans(ranks)
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
    n_relevant, ties = ranks.above.shape[1], ranks.ties
    above = ranks.above[:, :k]  # the relevant item in column j has at least j items above
    precision = np.arange(1, above.shape[1] + 1) / (above + 1)
    inside = above < k
    crossing = np.empty(0, dtype=np.intp)
    if len(ties.row):  # a group before the cut-off has its whole sum in its first column
        within = np.clip(k - ties.before, 0, ties.size)
        crossing = np.flatnonzero((within > 0) & (within < ties.size))  # at most one per query
        whole = ties.take(np.flatnonzero(within == ties.size))
        _blank(precision, whole)
        _blank(inside, ties.take(crossing))
        precision[whole.row, whole.hits] = precision_sum(
            protocol.ties, whole.before, whole.hits, whole.size, whole.relevant
        )
    total = precision.sum(axis=1, where=inside)
    values = np.asarray(total / _denominator(inside.sum(axis=1), n_relevant, k, protocol))
    for g in crossing:
        row = ties.row[g]
        values[row] = straddling(ties, int(g), float(total[row]), n_relevant, k, protocol)
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


def _denominator(hits: Counts, n_relevant: int, k: int, protocol: Protocol) -> Counts | int:
    if protocol.denominator == "hits":
        return np.maximum(hits, 1)
    return min(n_relevant, k) if protocol.denominator == "min" else n_relevant


def _hits_before(above: Counts, ks: Sequence[int]) -> Counts:
    """Return how many relevant items have fewer than k items above them, ``(b, len(ks))``, in one pass."""
    order = np.argsort(ks)
    bins = len(ks) + 1
    reached = np.searchsorted(np.asarray(ks)[order], above, side="right")  # cut-offs that an item misses
    reached += np.arange(len(above))[:, None] * bins
    counts = np.bincount(reached.reshape(-1), minlength=len(above) * bins).reshape(len(above), bins)
    hits = np.empty((len(above), len(ks)), dtype=np.int64)
    hits[:, order] = counts.cumsum(axis=1)[:, :-1]
    return hits


def _tie_spans(ranks: Ranks) -> tuple[Counts, Counts, Counts]:
    """Return, per relevant item: hits before its tie group, hits up to the group's end, the group's size."""
    hits = np.tile(np.arange(ranks.above.shape[1]), (len(ranks.above), 1))
    upto, size = hits + 1, np.ones_like(hits)
    ties = ranks.ties
    if len(ties.row):
        items = ties.items()
        hits[items] = np.repeat(ties.hits, ties.relevant)
        upto[items] = np.repeat(ties.hits + ties.relevant, ties.relevant)
        size[items] = np.repeat(ties.size, ties.relevant)
    return hits, upto, size
