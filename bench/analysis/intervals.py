"""How far off a mean difference may be: a two-level bootstrap over seeds and queries.

Seeds are drawn with replacement, then queries; the queries drawn are the same under every seed, as they are
in the data. Left alone, this bootstrap errs in two ways that matter here. It counts what seed and query do
together three times instead of once, and from few seeds it sees too small a spread of them. Its quantiles
therefore only say how lopsided the interval is; the length is that of the variance which the crossed design
gives, with Student's quantile for the degrees of freedom behind that variance (Satterthwaite).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 2_000
LEVEL: Final = 0.95

_SEED: Final = 20_250_602
_BLOCK: Final = 2_000_000
"""Weights at once: 16 MB as doubles."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Where the mean difference may lie.

    Attributes:
        low: lower end.
        high: upper end.
        freedom: degrees of freedom behind its width.
        seeds: how many seeds were resampled; with one, their variation is not in it.
    """

    low: float
    high: float
    freedom: float
    seeds: int

    @property
    def holds_zero(self) -> bool:
        """Whether no difference at all is inside."""
        return self.low <= 0 <= self.high


def two_level_intervals(
    differences: Sequence[Array],
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = _SEED,
    strata: Sequence[int] = (),
) -> list[Interval]:
    """Return the interval of every mean difference, in order.

    Args:
        differences: ``(seeds, queries)`` each, all with the same number of queries.
        strata: sizes of the consecutive groups of queries within which queries are drawn; all together if
            empty.
        resamples: of seeds and queries.
        level: share of intervals that hold the true difference.
        seed: of the draws; the same seed gives the same intervals.

    Raises:
        ValueError: if there is no query or no seed.
    """
    if not differences:
        return []
    queries = differences[0].shape[1]
    if not queries or not all(map(len, differences)):
        raise ValueError("an interval needs at least one query and one seed")
    random = np.random.default_rng(seed)
    counts = {rows: _weights(random, resamples, rows) for rows in sorted({len(rows) for rows in differences})}
    stacked = np.concatenate(differences).T
    groups = tuple(strata) or (queries,)
    means = np.concatenate(
        [_stratified(random, rows, groups) @ stacked for rows in _blocks(resamples, queries)]
    )
    edges = np.cumsum([0, *(len(rows) for rows in differences)])
    mirror = random.choice([-1.0, 1.0], resamples)
    resampled = np.stack(
        [
            _resampled(means[:, start : start + len(rows)], counts[len(rows)], mirror)
            for rows, start in zip(differences, edges[:-1], strict=True)
        ]
    )
    tail = (1 - level) / 2
    ends = np.quantile(resampled, (tail, 1 - tail), axis=1).T
    return [_interval(rows, end, level, groups) for rows, end in zip(differences, ends, strict=True)]


def _resampled(by_seed: Array, counts: Array, mirror: Array) -> Array:
    """Return the resampled means ``(resamples,)`` from those of each seed ``(resamples, seeds)``.

    A handful of seeds says nothing about which side their spread leans to: each draw's deviation from the
    mean of the seeds is taken with either sign.
    """
    mean = by_seed.mean(axis=1)
    resampled: Array = mean + mirror * ((counts * by_seed).sum(axis=1) - mean)
    return resampled


def _blocks(resamples: int, queries: int) -> list[int]:
    size = max(1, _BLOCK // queries)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def _weights(random: np.random.Generator, resamples: int, size: int) -> Array:
    """Return how often each of ``size`` things is drawn, as a share of all draws ``(resamples, size)``."""
    drawn = random.integers(0, size, (resamples, size))
    drawn += size * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size) / size


def _stratified(random: np.random.Generator, resamples: int, strata: Sequence[int]) -> Array:
    """Return the shares of all draws ``(resamples, queries)`` where each stratum keeps its size."""
    parts = [_weights(random, resamples, size) for size in strata]
    if len(parts) == 1:
        return parts[0]
    queries = sum(strata)
    return np.concatenate([part * (size / queries) for part, size in zip(parts, strata, strict=True)], axis=1)


def _interval(rows: Array, ends: Array, level: float, strata: Sequence[int]) -> Interval:
    """Return the interval of the mean of ``rows`` (seeds, queries); ``ends`` are its resampled quantiles."""
    from scipy.special import stdtrit

    mean = float(rows.mean())
    variance, freedom = _variance_of_mean(rows, strata)
    low, high = ends - mean
    if variance <= 0 or high <= low:
        return Interval(mean, mean, freedom, len(rows))
    scale = 2 * float(stdtrit(freedom, (1 + level) / 2)) * np.sqrt(variance) / (high - low)
    low, high = low * scale, high * scale
    return Interval(max(-1.0, mean + float(low)), min(1.0, mean + float(high)), freedom, len(rows))


def _variance_of_mean(table: Array, strata: Sequence[int]) -> tuple[float, float]:
    """Return the variance of the mean of a seeds x queries table, and its degrees of freedom.

    Both seeds and queries are random and crossed: mean squares of seeds plus of queries minus of what is
    left, over the number of cells. The last is what the first two both contain. Queries vary around the mean
    of their own stratum; the parts of the strata add up.
    """
    seeds, queries = table.shape
    by_seed = table.mean(axis=1)
    of_seeds = _share(np.square(by_seed - by_seed.mean()).sum() / seeds, seeds - 1)
    parts = [_share(of_seeds**2, seeds - 1)]
    of_queries = of_rest = 0.0
    for rows in np.split(table, np.cumsum(strata)[:-1], axis=1):
        size = rows.shape[1]
        weight = (size / queries) ** 2
        own_by_seed = by_seed if size == queries else rows.mean(axis=1)
        centred = rows.mean(axis=0) - own_by_seed.mean()
        own = weight * _share(np.square(centred).sum() / size, size - 1)
        rest = rows - own_by_seed[:, None] - centred
        left = weight * _share(np.square(rest).sum() / (seeds * size), (seeds - 1) * (size - 1))
        parts += [_share(own**2, size - 1), _share(left**2, (seeds - 1) * (size - 1))]
        of_queries, of_rest = of_queries + own, of_rest + left
    if seeds == 1:
        return of_queries, max(1.0, float(queries - len(strata)))
    variance = max(of_seeds + of_queries - of_rest, of_seeds, of_queries)
    return variance, variance**2 / sum(parts) if sum(parts) > 0 else 1.0


def _share(value: float, parts: int) -> float:
    return float(value) / parts if parts else 0.0
