"""How long the statistics take; promised: 120 pairs in two directions within ten seconds on two cores."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from bench.analysis.comparisons import all_pairs
from bench.analysis.groups import Data
from bench.analysis.per_query import PerQueryRow, PerQueryTable
from bench.analysis.statistics import paired_permutation_test

QUERIES, METHODS, PERMUTATIONS = 500, 16, 10_000
DIRECTIONS = (("image", "text"), ("text", "image"))


def _members(seeds: int) -> tuple[PerQueryRow, ...]:
    random = np.random.default_rng(0)
    return tuple(
        PerQueryRow(
            f"m{number}",
            f"m{number}",
            "full",
            True,
            {way: {seed: random.beta(2, 3, QUERIES) for seed in range(seeds)} for way in DIRECTIONS},
        )
        for number in range(METHODS)
    )


def test_p_values_of_all_pairs_in_two_directions(benchmark: Any) -> None:
    scores = np.random.default_rng(0).beta(2, 3, (2, METHODS, QUERIES))
    pairs = [way[one] - way[other] for way in scores for one, other in combinations(range(METHODS), 2)]
    columns = np.stack(pairs, axis=1)
    assert columns.shape == (QUERIES, 240)
    benchmark.pedantic(lambda: paired_permutation_test(columns, PERMUTATIONS), rounds=3)


def test_all_pairs_with_intervals_of_five_seeds(benchmark: Any) -> None:
    field = PerQueryTable(Data("real", "quick", "d", "f", "cpu", ""), "map@all", "best", _members(5))
    benchmark.pedantic(lambda: all_pairs(field), rounds=2)
