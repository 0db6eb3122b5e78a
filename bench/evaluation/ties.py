"""Sums of precision over tied items: expected over all orders, and the best and the worst order.

A group of t tied items, r of them relevant, comes after p items with h hits. Of its first m items, x are
relevant. The three sums below run over the hits among those m items and add the precision at each.
The expectation over orders follows McSherry and Najork (ECIR 2008); the closed form with harmonic
numbers H is: x/m * ((h+1) D + (x-1)/(m-1) * (m - (p+1) D)) with D = H(p+m) - H(p).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.arrays import Vector

TieRule = Literal["expected", "optimistic", "pessimistic", "argsort"]
"""``expected``: over all orders of tied items; ``optimistic``, ``pessimistic``: the best and the worst
order; ``argsort``: the one that NumPy's unstable sort happens to give, as in the field's released
evaluators. The last depends on the gallery's order and on the machine: it is for printed numbers only."""

Counts = NDArray[np.int64]

_FIXED_POINT = 58  # fractional bits; H(n) stays below 2**5 for any n that fits into memory


class TieGroups(NamedTuple):
    """Groups of two or more equally similar items of which at least one is relevant.

    Attributes:
        row: ``(g,)`` query, ascending.
        hits: ``(g,)`` relevant items that stand before the group, h; also its first column in the ranks.
        relevant: ``(g,)`` relevant items in the group, r.
        before: ``(g,)`` items that stand before the group, p.
        size: ``(g,)`` items in the group, t.
    """

    row: Counts
    hits: Counts
    relevant: Counts
    before: Counts
    size: Counts


NO_TIES = TieGroups(*(np.empty(0, dtype=np.int64) for _ in TieGroups._fields))


def tie_groups(row: Counts, column: Counts, above: Counts, size: Counts) -> TieGroups:
    """Collect tie groups from the relevant items that are tied with another item.

    Args:
        row: ``(s,)`` query of each such item, ascending.
        column: ``(s,)`` relevant items ranked before it, ascending within a query.
        above: ``(s,)`` items that are strictly more similar.
        size: ``(s,)`` items that are exactly as similar, itself included.
    """
    first = np.ones(len(row), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (above[1:] != above[:-1])
    relevant = np.diff(np.flatnonzero(first), append=len(row))
    return TieGroups(row[first], column[first], relevant, above[first], size[first])


def precision_sum(rule: TieRule, p: Any, h: Any, m: Any, x: Any) -> Vector:
    """Return the sum of precisions at the x hits among m places that follow p items with h hits.

    Args:
        rule: which order of the m items: all with equal chance, hits first, or hits last. Under
            ``argsort`` nothing is left tied, and nothing to sum.
        p: items before; integers that broadcast, as are the others.
        h: hits before.
        m: places, at least 1.
        x: hits among them, at most m.
    """
    if rule == "optimistic":  # sum of (h+i)/(p+i), i = 1..x
        return np.asarray(x + (h - p) * _harmonic_difference(p, p + x))
    if rule == "pessimistic":
        start = p + m - x
        return np.asarray(x + (h - start) * _harmonic_difference(start, p + m))
    spread = np.where(np.equal(m, 1), 1.0 / (p + 1.0), _harmonic_difference(p, p + m))
    others = (x - 1.0) / np.maximum(m - 1, 1)
    return np.asarray(
        x / m * ((h + 1.0) * spread + others * np.where(np.equal(m, 1), 0.0, m - (p + 1.0) * spread))
    )


@lru_cache(maxsize=4096)
def hits_inside(size: int, relevant: int, places: int) -> tuple[Counts, Vector]:
    """Return how many of ``relevant`` among ``size`` items can fall into ``places``, and how likely.

    The hypergeometric probabilities are built outwards from the most likely value by ratios of
    neighbours, which keeps them exact to a few units in the last place.
    """
    counts = np.arange(max(0, places - (size - relevant)), min(relevant, places) + 1)
    x = counts[:-1].astype(np.float64)
    ratios = (relevant - x) * (places - x) / ((x + 1.0) * (size - relevant - places + x + 1.0))
    mode = int(np.searchsorted(-ratios, -1.0, side="right"))
    upwards = np.cumprod(ratios[mode:])
    downwards = np.cumprod(1.0 / ratios[:mode][::-1])[::-1]
    weights = np.concatenate([downwards, [1.0], upwards])
    return counts, weights / weights.sum()


def _harmonic_difference(low: Any, high: Any) -> Vector:
    """Return H(high) - H(low) without the rounding that differences of large sums would have."""
    table = _harmonic(int(np.max(high, initial=0)).bit_length())
    return np.asarray(np.ldexp((table[high] - table[low]).astype(np.float64), -_FIXED_POINT))


@lru_cache(maxsize=2)
def _harmonic(bits: int) -> Counts:
    """Return H(0), ..., H(2**bits - 1) in fixed point: sums and differences of integers are exact."""
    numbers = np.arange(1, 1 << bits, dtype=np.int64)
    table = np.zeros(1 << bits, dtype=np.int64)
    np.cumsum(((1 << _FIXED_POINT) + numbers // 2) // numbers, out=table[1:])
    return table
