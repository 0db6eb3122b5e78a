"""What is computed from ranks: average precision, precision at k, interpolated precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.arrays import Matrix, Vector
from bench.evaluation.protocol import EmptyRule, Protocol
from bench.evaluation.ranking import Counts, Measure, Ranks
from bench.evaluation.ties import TieGroups, hits_inside, precision_sum


def average_precision_measure(protocol: Protocol) -> Measure:
    """Return the measure ``(b, 1)`` of a protocol."""

    def measure(ranks: Ranks) -> Matrix:
        """Return ``(b, 1)``, or NaN where the protocol skips a query."""
        b, n_relevant = ranks.above.shape
        if n_relevant == 0:
            return np.full((b, 1), _nothing(protocol.empty))
        k = ranks.n_gallery if protocol.k is None else min(protocol.k, ranks.n_gallery)
        values = _average_precision(ranks, k, protocol)
        if protocol.empty == "skip" and protocol.denominator == "hits":
            values[ranks.above[:, 0] >= k] = np.nan  # no order brings a hit into the top k
        return values[:, None]

    return measure


def precision_at_measure(ks: Sequence[int], empty: EmptyRule = "zero") -> Measure:
    """Return the measure ``(b, len(ks))``: expected hits in the top k, divided by k."""

    def measure(ranks: Ranks) -> Matrix:
        """Count the certain hits, then take off those that ties may push out of the top k."""
        if ranks.above.shape[1] == 0:
            return np.full((len(ranks.above), len(ks)), _nothing(empty))
        found = _hits_before(ranks.above, ks).astype(np.float64)
        ties = ranks.ties
        for column, k in enumerate(ks if len(ties.row) else ()):
            g = np.flatnonzero((ties.before < k) & (k < ties.before + ties.size))  # at most one per query
            outside = (ties.before + ties.size - k)[g] / ties.size[g]
            found[ties.row[g], column] -= ties.relevant[g] * outside
        return np.asarray(found / np.asarray(ks))

    return measure


def interpolated_precision_measure(levels: Sequence[float], empty: EmptyRule = "zero") -> Measure:
    """Return the measure ``(b, len(levels))``: interpolated precision of the expected hits.

    Let e_i be the expected number of hits among the first i items. The value at level l is the largest
    e_i / i over all ranks i with e_i >= l R. Inside a tie group e_i grows evenly and e_i / i moves one
    way only, so that the group's first admissible rank and its end are the ranks to look at.
    """

    def measure(ranks: Ranks) -> Matrix:
        """Look, per level, at the first admissible rank and at the ends of all tie groups from there on."""
        b, n_relevant = ranks.above.shape
        if n_relevant == 0:
            return np.full((b, len(levels)), _nothing(empty))
        hits, found, size = _tie_spans(ranks)
        at_end = found / (ranks.above + size)
        from_here = np.maximum.accumulate(at_end[:, ::-1], axis=1)[:, ::-1]
        needed = np.asarray(levels) * n_relevant - 1e-9  # .7 * 10 is a little more than 7
        j = np.maximum(np.ceil(needed).astype(np.intp) - 1, 0)
        p, h = ranks.above[:, j], hits[:, j]
        share = (found[:, j] - h) / size[:, j]
        step = np.maximum(np.ceil((needed - h) / share - 1e-9), 1.0)
        return np.asarray(np.maximum((h + step * share) / (p + step), from_here[:, j]))

    return measure


def _nothing(empty: EmptyRule) -> float:
    return np.nan if empty == "skip" else 0.0


def _average_precision(ranks: Ranks, k: int, protocol: Protocol) -> Vector:
    """Sum the precision at every hit inside the cut-off; tie groups give their sums as a whole."""
    n_relevant = ranks.above.shape[1]
    above = ranks.above[:, :k]  # the relevant item in column j has at least j items above
    precision = np.arange(1, above.shape[1] + 1) / (above + 1)
    inside = above < k
    crossing = _put_tie_sums(precision, inside, ranks.ties, k, protocol) if len(ranks.ties.row) else ()
    total = precision.sum(axis=1, where=inside)
    found = inside.sum(axis=1)
    values = np.asarray(total / _denominator(found, n_relevant, k, protocol))
    for g in crossing:
        row = ranks.ties.row[g]
        values[row] = _straddling(ranks.ties, int(g), float(total[row]), n_relevant, k, protocol)
    return values


def _put_tie_sums(
    precision: Matrix, inside: NDArray[np.bool_], ties: TieGroups, k: int, protocol: Protocol
) -> NDArray[np.intp]:
    """Put the sum of each tie group that lies before the cut-off into its first column, in place.

    Returns:
        The groups that straddle the cut-off, at most one per query; their columns are blanked.
    """
    places = np.clip(k - ties.before, 0, ties.size)
    whole = np.flatnonzero(places == ties.size)
    crossing = np.flatnonzero((places > 0) & (places < ties.size))
    _blank(precision, ties, whole)
    _blank(inside, ties, crossing)
    groups = TieGroups(*(column[whole] for column in ties))
    precision[groups.row, groups.hits] = precision_sum(
        protocol.ties, groups.before, groups.hits, groups.size, groups.relevant
    )
    return crossing


def _blank(matrix: NDArray[Any], ties: TieGroups, chosen: NDArray[np.intp]) -> None:
    """Set the columns of the relevant items of the chosen groups to zero, in place."""
    rows, columns = _items(TieGroups(*(column[chosen] for column in ties)))
    kept = columns < matrix.shape[1]
    matrix[rows[kept], columns[kept]] = 0


def _items(ties: TieGroups) -> tuple[Counts, Counts]:
    """Return query and column of every relevant item of every tie group."""
    starts = np.cumsum(ties.relevant) - ties.relevant
    offsets = np.arange(int(ties.relevant.sum())) - np.repeat(starts, ties.relevant)
    return np.repeat(ties.row, ties.relevant), np.repeat(ties.hits, ties.relevant) + offsets


def _straddling(
    groups: TieGroups, g: int, total: float, n_relevant: int, k: int, protocol: Protocol
) -> float:
    """Average precision of a query whose tie group ``g`` crosses the cut-off.

    Given the number x of hits that fall inside, the sum and the denominator are known.
    """
    p, h, t, r = (int(column[g]) for column in (groups.before, groups.hits, groups.size, groups.relevant))
    x, chance = hits_inside(t, r, k - p)
    sums = total + precision_sum(protocol.ties, p, h, k - p, x)
    values = sums / _denominator(h + x, n_relevant, k, protocol)
    if protocol.ties == "optimistic":
        return float(values.max())
    if protocol.ties == "pessimistic":
        return float(values.min())
    return float((chance * values).sum())


def _denominator(found: Counts, n_relevant: int, k: int, protocol: Protocol) -> Counts | int:
    if protocol.denominator == "hits":
        return np.maximum(found, 1)
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
    found, size = hits + 1, np.ones_like(hits)
    ties = ranks.ties
    if len(ties.row) == 0:
        return hits, found, size
    items = _items(ties)
    hits[items] = np.repeat(ties.hits, ties.relevant)
    found[items] = np.repeat(ties.hits + ties.relevant, ties.relevant)
    size[items] = np.repeat(ties.size, ties.relevant)
    return hits, found, size
