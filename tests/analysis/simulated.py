"""Average precisions as they look in this field, of two methods that do not differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit


def differences(
    random: np.random.Generator,
    *,
    seeds: int,
    queries: int,
    seed_spread: float = 0.05,
    query_spread: float = 0.5,
    rest: float = 0.4,
) -> NDArray[np.float64]:
    """Return differences of average precision ``(seeds, queries)`` whose expectation is zero.

    A query is easy or hard for both methods; each method has its own queries that it likes, its seeds
    differ, and so does what a seed makes of a query. Spreads are in log-odds; average precision is between
    0 and 1 and lopsided.
    """
    easy = random.normal(-0.3, 1.2, queries)
    ours, theirs = (
        expit(
            easy
            + random.normal(0, query_spread, queries)
            + random.normal(0, seed_spread, (seeds, 1))
            + random.normal(0, rest, (seeds, queries))
        )
        for _ in range(2)
    )
    return np.asarray(ours - theirs, dtype=np.float64)
