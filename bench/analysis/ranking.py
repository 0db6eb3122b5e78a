"""Several methods over several datasets: ranks, and whether they could be chance (Demšar 2006)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis.paired import ALPHA
from bench.analysis.queries import Array
from bench.analysis.randomization import holm, is_exact, sign_flip_p

_SAME: Final = 1e-12
"""Scores nearer than this are tied: their order would be rounding."""


@dataclass(frozen=True)
class Omnibus:
    """Whether any method differs from any other.

    Attributes:
        friedman: chi-squared statistic, corrected for ties.
        friedman_p: its p-value.
        iman_davenport: F statistic made from it, which errs less to the safe side; infinite if all datasets
            agree on every rank.
        iman_davenport_p: its p-value.
    """

    friedman: float
    friedman_p: float
    iman_davenport: float
    iman_davenport_p: float


def ranks(scores: Array) -> Array:
    """Return ranks within each dataset, 1 for the highest score, ties shared.

    Args:
        scores: ``(methods, datasets)``.
    """
    steps = np.round(scores / _SAME)
    one, other = steps[:, None], steps[None]
    higher, tied = (other > one).sum(axis=1), (other == one).sum(axis=1)
    return np.asarray(higher + (tied + 1) / 2, dtype=np.float64)


def omnibus(scores: Array) -> Omnibus | None:
    """Return Friedman's and Iman and Davenport's tests; None for fewer than three methods or two datasets.

    Where every method is tied with every other on every dataset, nothing differs: p = 1.
    """
    from scipy.special import chdtrc, fdtrc

    methods, datasets = scores.shape
    if methods < 3 or datasets < 2:
        return None
    placed = ranks(scores)
    total = datasets * methods * (methods**2 - 1)
    ties = sum(
        int((counts**3 - counts).sum())
        for counts in (np.unique(column, return_counts=True)[1] for column in placed.T)
    )
    if ties == total:
        return Omnibus(0.0, 1.0, 0.0, 1.0)
    between = 12 * np.square(placed.sum(axis=1)).sum() / (datasets * methods * (methods + 1))
    statistic = float((between - 3 * datasets * (methods + 1)) / (1 - ties / total))
    above, below = methods - 1, (methods - 1) * (datasets - 1)
    room = datasets * (methods - 1) - statistic
    ratio = (datasets - 1) * statistic / room if room > 1e-9 else np.inf
    p = float(fdtrc(above, below, ratio)) if np.isfinite(ratio) else 0.0
    return Omnibus(statistic, float(chdtrc(above, statistic)), float(ratio), p)


def critical_difference(methods: int, datasets: int, alpha: float = ALPHA) -> float:
    """Return how far average ranks must be apart for Nemenyi's test to tell two methods apart."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - alpha, methods, np.inf))
    return quantile * math.sqrt(methods * (methods + 1) / (12 * datasets))


def nemenyi(scores: Array) -> Array:
    """Return Nemenyi's p-values of all pairs ``(methods, methods)``, 1 on the diagonal."""
    from scipy.stats import studentized_range

    methods, datasets = scores.shape
    average = ranks(scores).mean(axis=1)
    apart = np.abs(average[:, None] - average) / np.sqrt(methods * (methods + 1) / (6 * datasets))
    # The integral is slow: once for every distance that occurs.
    distances, places = np.unique(np.round(apart, 12), return_inverse=True)
    values = studentized_range.sf(distances * np.sqrt(2), methods, np.inf)
    p_values: Array = np.clip(np.asarray(values), 0.0, 1.0)[places].reshape(apart.shape)
    np.fill_diagonal(p_values, 1.0)
    return p_values


def cliques(average_ranks: Array, difference: float) -> list[tuple[int, ...]]:
    """Return the largest groups that Nemenyi's test cannot tell apart, as a diagram joins them by bars.

    Args:
        average_ranks: ``(methods,)``.
        difference: the critical one.

    Returns:
        Groups of at least two places in ``average_ranks``, best rank first.
    """
    order = np.argsort(average_ranks, kind="stable")
    groups: list[tuple[int, ...]] = []
    end = 0
    for start, place in enumerate(order):
        near = [
            int(other) for other in order[start:] if average_ranks[other] - average_ranks[place] <= difference
        ]
        if start + len(near) > end and len(near) > 1:
            groups.append((int(place), *near[1:]))
        end = max(end, start + len(near))
    return groups


def wilcoxon(first: Array, second: Array) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test over datasets ``(datasets,)``.

    Equal scores are dropped, ties share ranks. Up to 13 datasets all signs are counted, so that ties and
    few datasets need no approximation; beyond, signs are drawn. Without any difference p = 1.
    """
    from scipy.stats import rankdata

    differences = np.round((first - second) / _SAME) * _SAME
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    signed = np.sign(differences) * rankdata(np.abs(differences))
    if is_exact(len(signed)) or len(set(np.abs(signed))) < len(signed):
        return float(sign_flip_p(signed[:, None])[0])
    from scipy.stats import wilcoxon as exact

    return float(exact(differences, method="exact").pvalue)


def wilcoxon_against(scores: Array, reference: int) -> tuple[Array, Array]:
    """Return p-values of the reference against each other method, and the same after Holm.

    Args:
        scores: ``(methods, datasets)``.
        reference: its row.

    Returns:
        Two vectors ``(methods - 1,)`` in the order of the rows, the reference left out.
    """
    p_values = np.array(
        [wilcoxon(scores[reference], row) for place, row in enumerate(scores) if place != reference]
    )
    return p_values, holm(p_values)


def smallest_wilcoxon_p(datasets: int) -> float:
    """Return the smallest two-sided p-value that so many datasets can give."""
    return float(min(1.0, 2.0 ** (1 - datasets)))
