"""Ranks of relevant items with their ties, and sums of precision over tied items.

A group of t tied items, r of them relevant, comes after p items with h hits. Of its first m items, x are
relevant. The sums below run over the hits among those m items and add the precision at each. The
expectation over orders follows McSherry and Najork (ECIR 2008); the closed form with harmonic numbers H
is: x/m * ((h+1) D + (x-1)/(m-1) * (m - (p+1) D)) with D = H(p+m) - H(p).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import permutations
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.contract import Split
from bench.evaluation.inputs import Indices, Matrix, Vector, label_sets

TieRule = Literal["expected", "optimistic", "pessimistic", "argsort"]
"""``expected``: over all orders of tied items; ``optimistic``, ``pessimistic``: the best and the worst
order; ``argsort``: the one that NumPy's unstable sort happens to give, as in the field's released
evaluators. The last depends on the gallery's order and on the machine: it is for printed numbers only."""

Counts = NDArray[np.int64]

Columns = slice | NDArray[np.bool_]
"""The gallery positions that are relevant to a query, or which ``(n,)`` are."""


def count_columns(columns: Columns) -> int:
    """Return how many there are."""
    return columns.stop - columns.start if isinstance(columns, slice) else int(np.count_nonzero(columns))


_FIXED_POINT = 58  # fractional bits; H(n) stays below 2**5 for any n that fits into memory


class TieGroups(NamedTuple):
    """Groups of two or more equally similar items of which at least one is relevant."""

    row: Counts  # ``(g,)`` query, ascending
    hits: Counts  # ``(g,)`` relevant items before the group, h; also its first column in the ranks
    relevant: Counts  # ``(g,)`` relevant items in the group, r
    before: Counts  # ``(g,)`` items before the group, p
    size: Counts  # ``(g,)`` items in the group, t

    def take(self, chosen: Indices) -> TieGroups:
        """Return some of the groups."""
        return TieGroups(*(column[chosen] for column in self))

    def items(self) -> tuple[Counts, Counts]:
        """Return query and column of every relevant item of every group."""
        starts = np.cumsum(self.relevant) - self.relevant
        offsets = np.arange(int(self.relevant.sum())) - np.repeat(starts, self.relevant)
        return np.repeat(self.row, self.relevant), np.repeat(self.hits, self.relevant) + offsets


class Ranks(NamedTuple):
    """Ranks of the R relevant items of b queries, best first."""

    above: Counts  # ``(b, R)`` how many gallery items are strictly more similar; never falls along a row
    ties: TieGroups  # groups of equally similar items among which there are relevant ones
    n_gallery: int  # number of gallery items n
    # ``(b, R)`` labels that each of these items shares with the query; among tied items they fall. None for 1
    # each
    gains: Counts | None = None


Measure = Callable[[Ranks], Matrix]
"""Turns ranks into numbers: ``(b, width)``."""


def tie_groups(row: Counts, column: Counts, above: Counts, size: Counts) -> TieGroups:
    """Collect tie groups from the relevant items ``(s,)`` that are tied with another item.

    They ascend by query ``row``, and within one by ``column``, the number of relevant items before. ``above``
    items are strictly more similar, ``size`` exactly as similar, itself included.
    """
    first = np.ones(len(row), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (above[1:] != above[:-1])
    relevant = np.diff(np.flatnonzero(first), append=len(row))
    return TieGroups(row[first], column[first], relevant, above[first], size[first])


NO_TIES: Final = TieGroups(*(np.empty(0, dtype=np.int64) for _ in TieGroups._fields))


def in_order(ranks: Ranks, rule: TieRule) -> Ranks:
    """Return ranks without ties under ``optimistic`` and ``pessimistic``, hits first or last in each group.

    That order is the best or the worst for every measure that never falls when a hit rises. Under any other
    rule the ranks stay as they are.
    """
    ties = ranks.ties
    if rule not in ("optimistic", "pessimistic") or len(ties.row) == 0:
        return ranks
    rows, columns = ties.items()
    offset = columns - np.repeat(ties.hits, ties.relevant)
    first = ties.before + (ties.size - ties.relevant if rule == "pessimistic" else 0)
    above, gains = ranks.above.copy(), ranks.gains
    above[rows, columns] = np.repeat(first, ties.relevant) + offset
    if gains is not None and rule == "pessimistic":
        last = np.repeat(ties.hits + ties.relevant - 1, ties.relevant)
        gains = gains.copy()
        gains[rows, columns] = gains[rows, last - offset]
    return Ranks(above, NO_TIES, ranks.n_gallery, gains)


def precision_sum(rule: TieRule, p: Any, h: Any, m: Any, x: Any) -> Vector:
    """Return the sum of precisions at the x hits among m items that follow p items with h hits.

    Args:
        rule: which order of the m items: all with equal chance, hits first, or hits last. Under
            ``argsort`` nothing is left tied, and nothing to sum.
        p: items before; integers that broadcast, as are all others.
        h: hits before.
        m: items, at least 1.
        x: hits among them, at most m.
    """
    if rule == "optimistic":  # sum of (h+i)/(p+i), i = 1..x
        return np.asarray(x + (h - p) * _harmonic_difference(p, p + x))
    if rule == "pessimistic":
        start = p + m - x
        return np.asarray(x + (h - start) * _harmonic_difference(start, p + m))
    single = np.equal(m, 1)
    spread = np.where(single, 1.0 / (p + 1.0), _harmonic_difference(p, p + m))
    others = (x - 1.0) / np.maximum(m - 1, 1)
    return np.asarray(x / m * ((h + 1.0) * spread + others * np.where(single, 0.0, m - (p + 1.0) * spread)))


@lru_cache(maxsize=4096)
def hits_inside(size: int, relevant: int, inside: int) -> tuple[Counts, Vector]:
    """Return how many of ``relevant`` among ``size`` items can fall into ``inside`` ranks, and how likely.

    The hypergeometric probabilities are built outwards from the most likely value by ratios of
    neighbours, which keeps them exact to a few units in the last place.
    """
    counts = np.arange(max(0, inside - (size - relevant)), min(relevant, inside) + 1)
    x = counts[:-1].astype(np.float64)
    ratios = (relevant - x) * (inside - x) / ((x + 1.0) * (size - relevant - inside + x + 1.0))
    mode = int(np.searchsorted(-ratios, -1.0, side="right"))
    upwards = np.cumprod(ratios[mode:])
    downwards = np.cumprod(1.0 / ratios[:mode][::-1])[::-1]
    weights = np.concatenate([downwards, [1.0], upwards])
    return counts, weights / weights.sum()


@lru_cache(maxsize=256)
def first_hits(size: int, relevant: int, count: int) -> tuple[Vector, Vector]:
    """Return the ranks of the first ``count`` of ``relevant`` hits among ``size`` items in random order.

    Returns:
        By rank 1 to ``size``: the chance that one of these hits is there, and the expected number of the
        hit that is (1 for the first hit, 0 where there is none).

    The chance that hit i has rank s is C(s-1, i-1) C(t-s, r-i) / C(t, r), built up from the least rank by
    ratios of neighbours, in logarithms, and scaled to a sum of 1.
    """
    numbers = np.arange(1, count + 1)[:, None]
    s = numbers + np.arange(size - relevant)  # ranks i, ..., t-r+i-1 of hit i
    steps = np.log(s / (s - numbers + 1)) + np.log((size - s - relevant + numbers) / (size - s))
    logs = np.zeros((count, size - relevant + 1))
    np.cumsum(steps, axis=1, out=logs[:, 1:])
    chances = np.exp(logs - logs.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    some, hits = np.zeros(size), np.zeros(size)
    for i in range(count):
        some[i : i + size - relevant + 1] += chances[i]
        hits[i : i + size - relevant + 1] += (i + 1) * chances[i]
    return some, hits


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


def expected_random_ap(n_relevant: ArrayLike, n_gallery: int) -> Vector:
    """Return the exact expectation of AP over all orders of the gallery, which is that of a full tie.

    With R relevant among N items and H_N the N-th harmonic number::

        E[AP] = (1 / N) * (H_N + (R - 1) / (N - 1) * (N - H_N))

    Rank k holds a relevant item with probability R / N, and two given ranks both do with probability
    R (R - 1) / (N (N - 1)); summing the precision at k over the ranks gives the formula.

    The result has the shape of ``n_relevant`` R, one number or one per query; 0 gives 0.

    Raises:
        ValueError: if the gallery is empty or R is not within 0 and N.
    """
    relevant = np.asarray(n_relevant, dtype=np.float64)
    if n_gallery < 1:
        raise ValueError("the gallery needs at least one item")
    if relevant.size and (relevant.min() < 0 or relevant.max() > n_gallery):
        raise ValueError(f"relevant items must number 0 to {n_gallery}, the size of the gallery")
    harmonic = float(np.sum(1.0 / np.arange(1, n_gallery + 1)))
    others = (relevant - 1.0) / max(n_gallery - 1, 1)
    return np.where(relevant > 0, (harmonic + others * (n_gallery - harmonic)) / n_gallery, 0.0)


def expected_random_map(split: Split, gallery: Split | None = None) -> dict[str, float]:
    """Return the exact expectation of mAP@all of a random ranking, by direction such as ``image>text``.

    It follows from the labels alone. Queries without relevant items count 0. Without a gallery the split's
    rows are the items.
    """
    asked, offered = (
        {name: label_sets(part[name].labels, len(part[name]), f"labels of {name!r}") for name in split}
        for part in (split, split if gallery is None else gallery)
    )
    return {
        f"{a}>{b}": float(
            np.mean(expected_random_ap(asked[a].count_relevant(offered[b]), len(offered[b].codes)))
        )
        for a, b in permutations(split, 2)
    }
