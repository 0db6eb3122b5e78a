"""Average precisions as they look in this field, of two methods without a difference."""

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

    Effects in log-odds: of a query on both methods, of a query on each method, of a seed, and of both.
    Average precision is between 0 and 1 and has a skewed distribution.
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


def directions(
    random: np.random.Generator,
    *,
    seeds: int,
    queries: tuple[int, ...],
    shared: float = 0.5,
    seed_spread: float = 0.05,
    query_spread: float = 0.5,
    rest: float = 0.4,
) -> list[NDArray[np.float64]]:
    """Return differences of average precision of several directions, ``(seeds, queries)`` each.

    The expectation of each is zero. ``shared`` is the share of the variance over seeds that directions have
    in common and, where all have as many queries and row i of each is the same item, of that over queries.
    The deviations are those of a method's effects by seed, by query and by both, in log-odds.
    """
    joint = len(set(queries)) == 1
    alone, common = np.sqrt(1 - shared), np.sqrt(shared)

    def drawn(spread: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return np.asarray(spread * random.normal(size=shape))

    items = [drawn(query_spread, (queries[0],)) for _ in range(2)]
    models = [drawn(seed_spread, (seeds, 1)) for _ in range(2)]
    tables = []
    for count in queries:
        easy = random.normal(-0.3, 1.2, count)
        ours, theirs = (
            expit(
                easy
                + (common * items[side] if joint else 0.0)
                + drawn(query_spread * (alone if joint else 1.0), (count,))
                + common * models[side]
                + drawn(seed_spread * alone, (seeds, 1))
                + drawn(rest, (seeds, count))
            )
            for side in range(2)
        )
        tables.append(np.asarray(ours - theirs, dtype=np.float64))
    return tables
