"""Bayesian signed-rank test with a region of practical equivalence (Benavoli and others 2014, 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.analysis.queries import Array

REGION: Final = 0.01
"""Differences of mAP up to this are equivalent in practice."""

SAMPLES: Final = 50_000

_PRIOR: Final = 0.5
"""Weight of the one observation made up before the data: no difference at all."""

_SEED: Final = 20_250_603


@dataclass(frozen=True)
class Belief:
    """How probable each of three states is, given the datasets; they sum to 1.

    Attributes:
        better: the first method is better by more than the region.
        equivalent: the two are equivalent in practice.
        worse: the first is worse by more than the region.
    """

    better: float
    equivalent: float
    worse: float


def signed_rank_beliefs(
    first: Array, others: Array, region: float = REGION, samples: int = SAMPLES, seed: int = _SEED
) -> list[Belief]:
    """Return what to believe of the first method against each of the others.

    The datasets' weights are Dirichlet; a state's weight is that of the pairs of datasets whose mean
    difference is in it; its probability is how often it has the largest weight.

    Args:
        first: ``(datasets,)`` mAP.
        others: ``(methods, datasets)`` mAP.
        region: half the width of the region of practical equivalence.
        samples: of the posterior.
        seed: of the samples, which all comparisons share.
    """
    random = np.random.default_rng(seed)
    weights = random.dirichlet([_PRIOR, *[1.0] * len(first)], samples)
    return [_belief(np.concatenate([[0.0], first - other]), weights, region) for other in others]


def _belief(differences: Array, weights: Array, region: float) -> Belief:
    sums = differences[:, None] + differences
    above, below = _above(sums, 2 * region), _above(-sums, 2 * region)
    better = np.einsum("si,si->s", weights @ above, weights)
    worse = np.einsum("si,si->s", weights @ below, weights)
    largest = np.argmax(np.stack([better, 1 - better - worse, worse]), axis=0)
    shares = np.bincount(largest, minlength=3) / len(weights)
    return Belief(*map(float, shares))


def _above(sums: Array, limit: float) -> Array:
    return np.heaviside(sums - limit, 0.5)
