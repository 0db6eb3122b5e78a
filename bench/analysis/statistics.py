"""Statistics as pure functions of arrays: permutation test, intervals, rank tests, Bayesian ROPE test."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ALPHA: Final = 0.05
"""Level of all tests, after adjustment."""
PERMUTATIONS: Final = 10_000
"""Random assignments of signs; the smallest p-value is 1 / (PERMUTATIONS + 1)."""
RESAMPLES: Final = 2_000
"""Bootstrap resamples behind an interval."""
LEVEL: Final = 0.95
"""Share of intervals that hold the true difference."""
REGION: Final = 0.01
"""Differences of mAP up to this are equivalent in practice."""
SAMPLES: Final = 50_000
"""Of the posterior of the Bayesian test."""

_SIGN_SEED: Final = 20_250_601
_RESAMPLING_SEED: Final = 20_250_602
_ROPE_SEED: Final = 20_250_603
_SIGN_BLOCK: Final = 2_000_000
"""Signs drawn at once; another number would draw others."""
_SIGN_CHUNK: Final = 500_000  # signs used at once: 4 MB as doubles, about the size of a cache
_WEIGHT_BLOCK: Final = 2_000_000  # weights at once: 16 MB as doubles; another number would draw others
_SUM_ROUNDING: Final = 1e-12
"""Sums that differ by less than this share of the largest possible one are the same sum."""
_SAME: Final = 1e-12  # scores nearer than this are tied: their order would be rounding
_PRIOR: Final = 0.5  # weight of the prior's one observation: no difference


class Interval(NamedTuple):
    """Interval of a mean difference."""

    low: float
    high: float
    freedom: float  # degrees of freedom behind its width
    seeds: int  # how many seeds were resampled; with one, their variation is not in it

    @property
    def holds_zero(self) -> bool:
        """Whether no difference at all is inside."""
        return self.low <= 0 <= self.high


class Omnibus(NamedTuple):
    """Whether any method differs from any other.

    Friedman's chi-squared statistic, corrected for ties, and Iman and Davenport's F statistic made from it,
    which errs less to the safe side, with p-values. F is infinite if all datasets agree on every rank; its p
    is then exact: the share of all orders, equally likely in each dataset, in which they agree.
    """

    friedman: float
    friedman_p: float
    iman_davenport: float
    iman_davenport_p: float


def is_exact(queries: int, permutations: int = PERMUTATIONS) -> bool:
    """Return whether all assignments of signs are at most ``permutations``, so that all are counted."""
    return queries < permutations.bit_length() and 2**queries <= permutations


def paired_permutation_test(differences: Array, permutations: int = PERMUTATIONS) -> Array:
    """Two-sided paired sign-flip permutation test: return the p-value of every comparison ``(comparisons,)``.

    If two methods do not differ, each query's difference is as likely to have the other sign. With b of m
    random assignments of signs at least as extreme as the observed mean, p = (b + 1) / (m + 1); where all
    assignments are few enough to be counted (`is_exact`), p is their exact share. All comparisons share the
    signs, which makes the work one matrix product; each p-value is valid by itself. ``differences`` are
    ``(queries, comparisons)``, one method's value minus the other's; the signs are the same in every call.

    Raises:
        ValueError: if there are no queries.
    """
    queries, _ = differences.shape
    if not queries:
        raise ValueError("a permutation test needs at least one query")
    # `abs` of a sum of negated numbers is the same double: which method comes first cannot matter.
    observed = np.abs(differences.sum(axis=0))
    limit = observed - _SUM_ROUNDING * np.abs(differences).sum(axis=0)
    extreme = np.zeros(differences.shape[1], dtype=np.int64)
    for bits in _sign_bits(queries, permutations):
        signs = bits.astype(np.float64)
        signs *= -2.0
        signs += 1.0
        extreme += (np.abs(signs @ differences) >= limit).sum(axis=0)
    if is_exact(queries, permutations):
        return np.asarray(extreme / 2**queries, dtype=np.float64)
    return np.asarray((extreme + 1) / (permutations + 1), dtype=np.float64)


def _sign_bits(queries: int, permutations: int) -> Iterator[NDArray[np.integer]]:
    """Yield chunks of bits ``(permutations, queries)``: every assignment of signs, or random ones."""
    if is_exact(queries, permutations):
        yield (np.arange(2**queries, dtype=np.int64)[:, None] >> np.arange(queries)) & 1
        return
    random = np.random.default_rng(_SIGN_SEED)
    rows, step = max(1, _SIGN_BLOCK // queries), max(1, _SIGN_CHUNK // queries)
    width = -(-queries // 8)
    for start in range(0, permutations, rows):
        count = min(rows, permutations - start)
        packed = np.frombuffer(random.bytes(count * width), dtype=np.uint8).reshape(count, width)
        for first in range(0, count, step):
            yield np.unpackbits(packed[first : first + step], axis=1, count=queries)


def holm(p_values: Array) -> Array:
    """Return the p-values ``(tests,)`` of one family adjusted after Holm (1979).

    At most a share alpha of families has a false one below alpha.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * np.arange(count, 0, -1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def two_level_intervals(
    differences: Sequence[Array], resamples: int = RESAMPLES, strata: Sequence[int] = ()
) -> list[Interval]:
    """Return the interval of every mean difference: a two-level bootstrap over seeds and queries.

    Seeds are drawn with replacement, then queries; the queries drawn are the same under every seed, as they
    are in the data. Alone, this bootstrap counts what seed and query do together three times instead of once,
    and the spread of few seeds comes out too small. Its quantiles therefore only give the asymmetry of
    the interval; the length is that of the variance of the crossed design, with Student's quantile for
    the degrees of freedom behind that variance (Satterthwaite). Equal arguments give equal intervals.

    Args:
        differences: ``(seeds, queries)`` each, all with the same number of queries.
        resamples: of seeds and queries.
        strata: sizes of the consecutive groups of queries within which queries are drawn; all if empty.

    Raises:
        ValueError: if there is no query or no seed.
    """
    if not differences:
        return []
    queries = differences[0].shape[1]
    if not queries or not all(map(len, differences)):
        raise ValueError("an interval needs at least one query and one seed")
    random = np.random.default_rng(_RESAMPLING_SEED)
    counts = {
        rows: _weights(random, resamples, rows).T for rows in sorted({len(rows) for rows in differences})
    }
    stacked, groups = np.concatenate(differences).T, tuple(strata) or (queries,)
    step = max(1, _WEIGHT_BLOCK // queries)
    parts = []
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        weights = [_weights(random, count, size) * (size / queries) for size in groups]
        parts.append(np.concatenate(weights, axis=1) @ stacked)  # each stratum keeps its size
    means = np.ascontiguousarray(np.concatenate(parts).T)  # sums over seeds then add whole rows
    # Few seeds do not show the skewness of their spread: each draw's deviation from the mean of the seeds is
    # taken with either sign.
    mirror = random.choice([-1.0, 1.0], resamples)
    resampled = []
    for rows, end in zip(differences, np.cumsum([len(rows) for rows in differences]), strict=True):
        by_seed = means[end - len(rows) : end]
        mean = by_seed.mean(axis=0)
        resampled.append(mean + mirror * ((counts[len(rows)] * by_seed).sum(axis=0) - mean))
    tail = (1 - LEVEL) / 2
    ends = np.quantile(np.stack(resampled), (tail, 1 - tail), axis=1).T
    variances = _variances_of_means(differences, groups)
    return [_interval(*each) for each in zip(differences, variances, ends, strict=True)]


def _weights(random: np.random.Generator, resamples: int, size: int) -> Array:
    """Return how often each of ``size`` things is drawn, as a share of all draws ``(resamples, size)``."""
    drawn = random.integers(0, size, (resamples, size))
    drawn += size * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size) / size


def _interval(rows: Array, variance_and_freedom: tuple[float, float], ends: Array) -> Interval:
    """Return the interval of the mean of ``rows`` (seeds, queries); ``ends`` are its resampled quantiles."""
    from scipy.special import stdtrit

    mean, (variance, freedom) = float(rows.mean()), variance_and_freedom
    low, high = ends - mean
    if variance <= 0 or high <= low:
        return Interval(mean, mean, freedom, len(rows))
    scale = 2 * float(stdtrit(freedom, (1 + LEVEL) / 2)) * np.sqrt(variance) / (high - low)
    low, high = float(low * scale), float(high * scale)
    return Interval(max(-1.0, mean + low), min(1.0, mean + high), freedom, len(rows))


def _variances_of_means(differences: Sequence[Array], strata: Sequence[int]) -> list[tuple[float, float]]:
    """Return the variance of the mean of each seeds x queries table, and its degrees of freedom.

    Both seeds and queries are random and crossed: mean squares of seeds plus of queries minus of what is
    left, over the number of cells. The last is what the first two both contain. Queries vary around the mean
    of their stratum; the parts of the strata add up.
    """
    found: dict[int, tuple[float, float]] = {}
    for seeds in {len(rows) for rows in differences}:  # tables of one shape at once
        indices = [index for index, rows in enumerate(differences) if len(rows) == seeds]
        tables = np.stack([differences[index] for index in indices])
        by_seed = tables.mean(axis=2)
        of_seeds = _squares(by_seed - by_seed.mean(axis=1)[:, None])
        parts = []
        for rows in np.split(tables, np.cumsum(strata)[:-1], axis=2):
            means = rows.mean(axis=2)
            centred = rows.mean(axis=1) - means.mean(axis=1)[:, None]
            rest = rows - means[:, :, None] - centred[:, None]
            parts.append((_squares(centred), _squares(rest.reshape(len(rest), -1))))
        for number, index in enumerate(indices):
            squares = [(centred[number], rest[number]) for centred, rest in parts]
            found[index] = _variance_of_mean(seeds, strata, of_seeds[number], squares)
    return [found[index] for index in range(len(differences))]


def _squares(rows: Array) -> list[float]:
    return np.square(rows).sum(axis=1).tolist()  # type: ignore[no-any-return]


def _variance_of_mean(
    seeds: int, strata: Sequence[int], of_seeds: float, squares: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """Return variance and freedom from sums of squares: of seeds; of queries and of the rest by stratum."""
    queries = sum(strata)
    by_seed = _share(of_seeds / seeds, seeds - 1)
    parts, by_query, left = [_share(by_seed**2, seeds - 1)], 0.0, 0.0
    for size, (of_queries, of_rest) in zip(strata, squares, strict=True):
        weight, both = (size / queries) ** 2, (seeds - 1) * (size - 1)
        spread = weight * _share(of_queries / size, size - 1)
        rest = weight * _share(of_rest / (seeds * size), both)
        parts += [_share(spread**2, size - 1), _share(rest**2, both)]
        by_query, left = by_query + spread, left + rest
    if seeds == 1:
        return by_query, max(1.0, float(queries - len(strata)))
    variance = max(by_seed + by_query - left, by_seed, by_query)
    return variance, variance**2 / sum(parts) if sum(parts) > 0 else 1.0


def _share(value: float, parts: int) -> float:
    return float(value) / parts if parts else 0.0


def ranks(scores: Array) -> Array:
    """Return the ranks of scores ``(methods, datasets)`` in each dataset, 1 for the highest, ties shared."""
    steps = np.round(scores / _SAME)
    row, rival = steps[:, None], steps[None]
    higher, tied = (rival > row).sum(axis=1), (rival == row).sum(axis=1)
    return np.asarray(higher + (tied + 1) / 2, dtype=np.float64)


def omnibus(scores: Array) -> Omnibus | None:
    """Return Friedman's and Iman and Davenport's tests; None for fewer than three methods or two datasets.

    Where every method is tied with every other on every dataset, nothing differs: p = 1.
    """
    from scipy.special import fdtrc
    from scipy.stats import friedmanchisquare

    methods, datasets = scores.shape
    if methods < 3 or datasets < 2:
        return None
    placed = ranks(scores)
    if (placed == placed[0]).all():
        return Omnibus(0.0, 1.0, 0.0, 1.0)
    statistic, p = map(float, friedmanchisquare(*placed))
    above, below = methods - 1, (methods - 1) * (datasets - 1)
    room = datasets * (methods - 1) - statistic
    if room > 1e-9:
        ratio = (datasets - 1) * statistic / room
        return Omnibus(statistic, p, ratio, float(fdtrc(above, below, ratio)))
    _, tied = np.unique(placed[:, 0], return_counts=True)
    orders = math.factorial(methods) // math.prod(map(math.factorial, tied.tolist()))
    return Omnibus(statistic, p, math.inf, float(orders) ** (1 - datasets))


def half_width(deviation: float, seeds: int) -> float:
    """Return half the t interval of a mean over ``seeds`` independent seeds; at least two are needed."""
    from scipy.special import stdtrit  # `scipy.stats` takes a third of the tables' time to load

    return float(stdtrit(seeds - 1, 0.5 + LEVEL / 2)) * deviation / math.sqrt(seeds)


def critical_difference(methods: int, datasets: int) -> float:
    """Return the difference of average ranks from which two methods differ by Nemenyi's test."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - ALPHA, methods, np.inf))
    return quantile * math.sqrt(methods * (methods + 1) / (12 * datasets))


def nemenyi(scores: Array) -> Array:
    """Return Nemenyi's p-values of all pairs ``(methods, methods)``, 1 on the diagonal."""
    from scipy.stats import studentized_range

    methods, datasets = scores.shape
    average = ranks(scores).mean(axis=1)
    apart = np.abs(average[:, None] - average) / np.sqrt(methods * (methods + 1) / (6 * datasets))
    # The integral is slow: once for every distance that occurs.
    distances, inverse = np.unique(np.round(apart, 12), return_inverse=True)
    values = studentized_range.sf(distances * np.sqrt(2), methods, np.inf)
    p_values: Array = np.clip(np.asarray(values), 0.0, 1.0)[inverse].reshape(apart.shape)
    np.fill_diagonal(p_values, 1.0)
    return p_values


def cliques(average_ranks: Array, difference: float) -> list[tuple[int, ...]]:
    """Return the largest groups without a difference by Nemenyi's test, as a diagram joins them by bars.

    They are groups of at least two indices of ``average_ranks`` ``(methods,)``, best rank first, within the
    critical difference.
    """
    order = np.argsort(average_ranks, kind="stable")
    ordered, groups, end = average_ranks[order], list[tuple[int, ...]](), 0
    for start, rank in enumerate(ordered):
        stop = start + int((ordered[start:] - rank <= difference).sum())
        if stop > end and stop - start > 1:
            groups.append(tuple(map(int, order[start:stop])))
        end = max(end, stop)
    return groups


def wilcoxon(first: Array, second: Array) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test over datasets ``(datasets,)``.

    Equal scores are dropped, ties share ranks. Up to 13 datasets all signs are counted, so that ties and
    few datasets need no approximation; beyond, signs are drawn. Without any difference p = 1.
    """
    from scipy.stats import rankdata
    from scipy.stats import wilcoxon as exact

    differences = np.round((first - second) / _SAME) * _SAME
    differences = differences[differences != 0]
    signed = np.sign(differences) * rankdata(np.abs(differences))
    if not len(signed):
        return 1.0
    if is_exact(len(signed)) or len(set(np.abs(signed))) < len(signed):
        return float(paired_permutation_test(signed[:, None])[0])
    return float(exact(differences, method="exact").pvalue)


def wilcoxon_against(scores: Array, reference: int) -> tuple[Array, Array]:
    """Return p-values of a row of scores ``(methods, datasets)`` against each other, and the same after Holm.

    Both are ``(methods - 1,)`` in the order of the rows, the reference left out.
    """
    rivals = np.delete(scores, reference, axis=0)
    p_values = np.array([wilcoxon(scores[reference], rival) for rival in rivals])
    return p_values, holm(p_values)


def smallest_wilcoxon_p(datasets: int) -> float:
    """Return the smallest two-sided p-value of Wilcoxon's test that so many datasets can give."""
    return float(min(1.0, 2.0 ** (1 - datasets)))


def bayesian_signed_rank(first: Array, others: Array, region: float = REGION) -> Array:
    """Return ROPE probabilities ``(methods, 3)`` of mAP ``(datasets,)`` against that of other methods.

    They are of three states, given the datasets, and sum to 1: the first method is better by more than the
    region of practical equivalence, neither, or worse. The datasets' weights are Dirichlet; a state's weight
    is that of the pairs of datasets whose mean difference is in it; its probability is how often it has the
    largest weight. ``region`` is half the width of the region; ``others``, ``(methods, datasets)``, share the
    samples of the posterior.
    """
    random = np.random.default_rng(_ROPE_SEED)
    weights = random.dirichlet([_PRIOR, *[1.0] * len(first)], SAMPLES)
    found = np.empty((len(others), 3))
    for index, other in enumerate(others):
        differences = np.concatenate([[0.0], first - other])
        sums = differences[:, None] + differences
        better, worse = (
            np.einsum("si,si->s", weights @ np.heaviside(signed - 2 * region, 0.5), weights)
            for signed in (sums, -sums)
        )
        largest = np.argmax(np.stack([better, 1 - better - worse, worse]), axis=0)
        found[index] = np.bincount(largest, minlength=3) / len(weights)
    return found
