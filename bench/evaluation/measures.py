"""What is computed from ranks: average precision, precision at k, interpolated precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.evaluation.arrays import Matrix, Vector
from bench.evaluation.protocol import EmptyRule, Protocol
from bench.evaluation.ranking import Counts, Measure, Ranks
from bench.evaluation.ties import TieGroups, hits_inside, precision_sum, tie_groups


def average_precision_measure(protocol: Protocol) -> Measure:
    """Return the measure ``(b, 1)`` of a protocol."""

    def measure(ranks: Ranks) -> Matrix:
        b, n_relevant = ranks.above.shape
        if n_relevant == 0:
            return np.full((b, 1), _nothing(protocol.empty))
        k = ranks.n_gallery if protocol.k is None else min(protocol.k, ranks.n_gallery)
        if ranks.tied is None:
            values = _strict(ranks.above, k, protocol)
        else:
            values = _with_ties(tie_groups(ranks.above, ranks.tied), b, n_relevant, k, protocol)
        if protocol.empty == "skip" and protocol.denominator == "hits":
            values[ranks.above[:, 0] >= k] = np.nan  # no order brings a hit into the top k
        return values[:, None]

    return measure


def precision_at_measure(ks: Sequence[int], empty: EmptyRule = "zero") -> Measure:
    """Return the measure ``(b, len(ks))``: expected hits in the top k, divided by k."""

    def measure(ranks: Ranks) -> Matrix:
        if ranks.above.shape[1] == 0:
            return np.full((len(ranks.above), len(ks)), _nothing(empty))
        tied = 1 if ranks.tied is None else ranks.tied
        inside = [(np.clip(k - ranks.above, 0, tied) / tied).sum(axis=1) / k for k in ks]
        return np.stack(inside, axis=1)

    return measure


def interpolated_precision_measure(levels: Sequence[float], empty: EmptyRule = "zero") -> Measure:
    """Return the measure ``(b, len(levels))``: interpolated precision of the expected hits.

    Let e_i be the expected number of hits among the first i items. The value at level l is the largest
    e_i / i over all ranks i with e_i >= l R. Inside a tie group e_i grows evenly and e_i / i moves one
    way only, so that the group's first admissible rank and its end are the ranks to look at.
    """

    def measure(ranks: Ranks) -> Matrix:
        b, n_relevant = ranks.above.shape
        if n_relevant == 0:
            return np.full((b, len(levels)), _nothing(empty))
        tied = np.ones_like(ranks.above) if ranks.tied is None else ranks.tied
        hits, found = _group_bounds(ranks.above)
        at_end = found / (ranks.above + tied)
        from_here = np.maximum.accumulate(at_end[:, ::-1], axis=1)[:, ::-1]
        columns = []
        for level in levels:
            needed = level * n_relevant - 1e-9  # .7 * 10 is a little more than 7
            j = max(int(np.ceil(needed)) - 1, 0)
            p, t, h = ranks.above[:, j], tied[:, j], hits[:, j]
            share = (found[:, j] - h) / t
            step = np.maximum(np.ceil((needed - h) / share - 1e-9), 1.0)
            columns.append(np.maximum((h + step * share) / (p + step), from_here[:, j]))
        return np.stack(columns, axis=1)

    return measure


def _nothing(empty: EmptyRule) -> float:
    return np.nan if empty == "skip" else 0.0


def _strict(above: Counts, k: int, protocol: Protocol) -> Vector:
    """Average precision where no relevant item is tied with another item."""
    n_relevant = above.shape[1]
    ranks = above[:, :k] + 1  # the j-th relevant item cannot stand above rank j
    precision = np.arange(1, ranks.shape[1] + 1) / ranks
    if protocol.k is None:
        return np.asarray(precision.sum(axis=1) / n_relevant)
    inside = ranks <= k
    total = np.where(inside, precision, 0.0).sum(axis=1)
    return np.asarray(total / _denominator(inside.sum(axis=1), n_relevant, k, protocol))


def _with_ties(groups: TieGroups, b: int, n_relevant: int, k: int, protocol: Protocol) -> Vector:
    """Average precision over tie groups; at most one group per query straddles the cut-off."""
    places = np.clip(k - groups.before, 0, groups.size)
    whole = places == groups.size
    sums = np.zeros(len(whole))
    sums[whole] = precision_sum(
        protocol.ties, groups.before[whole], groups.hits[whole], groups.size[whole], groups.relevant[whole]
    )
    starts = np.searchsorted(groups.row, np.arange(b))
    total = np.add.reduceat(sums, starts)
    found = np.add.reduceat(np.where(whole, groups.relevant, 0), starts)
    values = np.asarray(total / _denominator(found, n_relevant, k, protocol))
    for g in np.flatnonzero((places > 0) & ~whole):
        row = groups.row[g]
        values[row] = _straddling(groups, int(g), float(total[row]), n_relevant, k, protocol)
    return values


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


def _group_bounds(above: Counts) -> tuple[Counts, Counts]:
    """Return, per relevant item, the relevant items before its tie group and up to its end."""
    n_relevant = above.shape[1]
    places = np.broadcast_to(np.arange(n_relevant), above.shape)
    changes = above[:, 1:] != above[:, :-1]
    first = np.concatenate([np.ones((len(above), 1), dtype=bool), changes], axis=1)
    last = np.concatenate([changes, np.ones((len(above), 1), dtype=bool)], axis=1)
    hits = np.maximum.accumulate(np.where(first, places, 0), axis=1)
    ends = np.where(last, places + 1, n_relevant)
    return hits, np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
