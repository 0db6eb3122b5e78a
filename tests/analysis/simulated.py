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

    The expectation of each is zero. Where all directions have as many queries, row i of each is the same
    item: a share ``shared`` of what a method makes of a query is the same in all directions. What a seed
    makes of a method is, too.

    Args:
        random: source of the draws.
        seeds: number of seeds.
        queries: of each direction.
        shared: share of the variance of queries, and of seeds, that directions have in common.
        seed_spread: deviation over seeds, in log-odds.
        query_spread: deviation of a method's liking of queries, in log-odds.
        rest: deviation of what a seed makes of a query, in log-odds.
    """
    joint = len(set(queries)) == 1
    own, common = np.sqrt(1 - shared), np.sqrt(shared)

    def drawn(spread: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return np.asarray(spread * random.normal(size=shape))

    items = [drawn(query_spread, (queries[0],)) for _ in range(2)]
    models = [drawn(seed_spread, (seeds, 1)) for _ in range(2)]
    found = []
    for count in queries:
        easy = random.normal(-0.3, 1.2, count)
        ours, theirs = (
            expit(
                easy
                + (common * items[side] if joint else 0.0)
                + drawn(query_spread * (own if joint else 1.0), (count,))
                + common * models[side]
                + drawn(seed_spread * own, (seeds, 1))
                + drawn(rest, (seeds, count))
            )
            for side in range(2)
        )
        found.append(np.asarray(ours - theirs, dtype=np.float64))
    return found
