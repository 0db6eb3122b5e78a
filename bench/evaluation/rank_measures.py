"""Measures of ranks that are named by protocols: recall, precision, nDCG, and the rank of the first hit.

All are exact expectations over the orders of tied items. Of a group of t tied items after p others, r of them
relevant, m = k - p fall inside the cut-off:

- precision, recall by class: r m / t of them are expected among these;
- recall by instance: none is among them with the chance C(t - r, m) / C(t, m);
- nDCG: each has the mean discount of the group's ranks up to k;
- the first of them is expected at rank p + (t + 1) / (r + 1); the chance that it is at p + s, over which
  the reciprocal is averaged, is that of `bench.evaluation.ties.first_hits`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from bench.evaluation.inputs import Matrix, Vector
from bench.evaluation.measures import average_precision_measure, expected_hits
from bench.evaluation.protocols import MeasureName, Protocol
from bench.evaluation.ties import Counts, Measure, Ranks, first_hits, in_order, precision_sum


def measure_of(protocol: Protocol) -> Measure:
    """Return the measure ``(b, 1)`` of a protocol; NaN where it skips a query."""
    if protocol.measure == "map":
        return average_precision_measure(protocol)
    compute = _MEASURES[protocol.measure]

    def measure(ranks: Ranks) -> Matrix:
        if ranks.above.shape[1] == 0:
            nothing = 0.0 if protocol.bounded else ranks.n_gallery + 1.0
            return np.full((len(ranks.above), 1), np.nan if protocol.empty == "skip" else nothing)
        return compute(in_order(ranks, protocol.ties), protocol)[:, None]

    return measure


def _precision(ranks: Ranks, protocol: Protocol) -> Vector:
    """Return the hits in the top k divided by k, also where the gallery has fewer items."""
    k = _cutoff(ranks, protocol)
    return np.asarray(expected_hits(ranks, [k])[:, 0] / (protocol.k or k))


def _recall(ranks: Ranks, protocol: Protocol) -> Vector:
    """Return whether there is a hit in the top k (instance), or the share of relevant items there (class)."""
    k = _cutoff(ranks, protocol)
    if protocol.level == "class":
        return np.asarray(expected_hits(ranks, [k])[:, 0] / ranks.above.shape[1])
    found = (ranks.above[:, 0] < k).astype(np.float64)
    ties = ranks.ties
    g = np.flatnonzero((ties.hits == 0) & (ties.before < k) & (k < ties.before + ties.size))
    found[ties.row[g]] = 1.0 - _chance_of_none(ties.size[g], ties.relevant[g], k - ties.before[g])
    return found


def _chance_of_none(size: Counts, relevant: Counts, inside: Counts) -> Vector:
    """Return C(t - r, m) / C(t, m), a product over the lesser of r and m."""
    fewer, more = np.minimum(relevant, inside), np.maximum(relevant, inside)
    chance = np.ones(len(size))
    for i in range(int(fewer.max(initial=0))):
        factor = np.maximum(size - more - i, 0) / np.maximum(size - i, 1)
        chance *= np.where(i < fewer, factor, 1.0)
    return chance


def _ndcg(ranks: Ranks, protocol: Protocol) -> Vector:
    """Return DCG / DCG of the best order: gain = number of shared labels, discount 1 / log2(1 + rank).

    The gain of single-label data is 1. Järvelin and Kekäläinen (TOIS 2002), with the discount of
    trec_eval's ``ndcg_cut``.
    """
    k, ties = _cutoff(ranks, protocol), ranks.ties
    discount = np.zeros(ranks.n_gallery + 1)
    discount[:k] = 1.0 / np.log2(np.arange(2, k + 2))  # by the number of items above
    expected = discount[ranks.above]
    if len(ties.row):
        upto = np.concatenate([[0.0], np.cumsum(discount)])
        mean = (upto[ties.before + ties.size] - upto[ties.before]) / ties.size
        expected[ties.items()] = np.repeat(mean, ties.relevant)
    n_relevant = ranks.above.shape[1]
    if ranks.gains is None:
        return np.asarray(expected.sum(axis=1) / discount[:n_relevant].sum())
    best = np.sort(ranks.gains, axis=1)[:, ::-1] @ discount[:n_relevant]
    return np.asarray((ranks.gains * expected).sum(axis=1) / best)


def _reciprocal_rank(ranks: Ranks, _: Protocol) -> Vector:
    values: Vector = 1.0 / (ranks.above[:, 0] + 1)
    first = ranks.ties.take(np.flatnonzero(ranks.ties.hits == 0))
    alone = first.relevant == 1
    one = first.take(np.flatnonzero(alone))
    values[one.row] = precision_sum("expected", one.before, one.hits, one.size, one.relevant)
    for row, _, r, p, t in zip(*(column[~alone].tolist() for column in first), strict=True):
        values[row] = (first_hits(t, r, 1)[0] / (p + np.arange(1, t + 1))).sum()
    return values


def _first_rank(ranks: Ranks, _: Protocol) -> Vector:
    values: Vector = np.asarray(ranks.above[:, 0] + 1.0)
    first = ranks.ties.take(np.flatnonzero(ranks.ties.hits == 0))
    values[first.row] = first.before + (first.size + 1) / (first.relevant + 1)
    return values


def _cutoff(ranks: Ranks, protocol: Protocol) -> int:
    return ranks.n_gallery if protocol.k is None else min(protocol.k, ranks.n_gallery)


_MEASURES: Final[Mapping[MeasureName, Callable[[Ranks, Protocol], Vector]]] = MappingProxyType(
    {
        "recall": _recall,
        "precision": _precision,
        "ndcg": _ndcg,
        "mrr": _reciprocal_rank,
        "medr": _first_rank,
        "meanr": _first_rank,
    }
)
