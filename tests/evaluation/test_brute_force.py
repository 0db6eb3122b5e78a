"""The evaluator against exact enumeration."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from bench.evaluation import Denominator, TieRule, average_precision, average_precision_of_similarities
from tests.evaluation import brute_force

CASES = 200


def _vectors(rng: np.random.Generator, n: int, d: int) -> brute_force.Ints:
    rows = rng.integers(-2, 3, (n, d))
    rows[rng.random(n) < 0.1] = 0
    if n > 3 and rng.random() < 0.5:  # some rows twice, one of them longer
        rows[-1] = rows[0]
        rows[-2] = 3 * rows[1]
    return rows


class Case(NamedTuple):
    """Two queries and a small gallery, with what exact enumeration needs of each query."""

    queries: brute_force.Ints
    gallery: brute_force.Ints
    wanted: brute_force.Ints
    offered: brute_force.Ints
    k: int | None
    keys: list[list[Fraction]]
    relevant: list[list[bool]]


@cache
def _cases() -> list[Case]:
    """The same for all denominators and tie rules: exact keys take longer than what is tested."""
    cases = []
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        n, d, multi = int(rng.integers(1, 10)), int(rng.integers(1, 5)), bool(rng.random() < 0.3)
        queries, gallery = _vectors(rng, 2, d), _vectors(rng, n, d)
        wanted, offered = (  # rows without any label occur
            (rng.random((rows, 4)) < 0.3).astype(np.int64) if multi else rng.integers(0, 4, rows)
            for rows in (2, n)
        )
        k = None if rng.random() < 0.25 else int(rng.integers(1, n + 3))
        keys = [[brute_force.cosine_key(query, item) for item in gallery] for query in queries]
        relevant = [brute_force.related(label, offered) for label in wanted]
        cases.append(Case(queries, gallery, wanted, offered, k, keys, relevant))
    return cases


def test_the_cases_hold_ties_empty_queries_and_rows_of_zeros() -> None:
    cases = _cases()
    assert sum(len(set(keys)) < len(keys) for case in cases for keys in case.keys) > CASES / 2
    assert sum(not any(flags) for case in cases for flags in case.relevant) > CASES / 20
    for rows in ("queries", "gallery"):
        assert sum(int((~getattr(case, rows).any(axis=1)).sum()) for case in cases) > CASES / 20


@pytest.mark.parametrize("denominator", ["hits", "min", "relevant"])
@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic"])
def test_equals_enumeration_of_all_orders_to_1e_12(denominator: Denominator, ties: TieRule) -> None:
    for case in _cases():
        ours = average_precision(*case[:5], denominator, ties, dtype="float64")
        for keys, relevant, value in zip(case.keys, case.relevant, ours, strict=True):
            exact = brute_force.over_orders(keys, relevant, case.k, denominator, ties)
            assert abs(value - exact) <= 1e-12


def test_float32_sees_the_same_ties_between_whole_numbered_vectors() -> None:
    for case in range(40):
        rng = np.random.default_rng(case)
        rows = _vectors(rng, 3, 6), _vectors(rng, 40, 6), rng.integers(0, 3, 3), rng.integers(0, 3, 40)
        double = average_precision(*rows, 7, dtype="float64")
        np.testing.assert_allclose(average_precision(*rows, 7), double, atol=1e-12, rtol=0)


def test_given_similarities_are_ranked_as_they_are() -> None:
    for case in range(40):
        rng = np.random.default_rng(case)
        scores, wanted, offered = rng.integers(-2, 3, (2, 8)), rng.integers(0, 3, 2), rng.integers(0, 3, 8)
        ours = average_precision_of_similarities(scores, wanted, offered, 5, "min")
        for row, label, value in zip(scores, wanted, ours, strict=True):
            keys = [Fraction(int(score)) for score in row]
            exact = brute_force.over_orders(keys, brute_force.related(label, offered), 5, "min", "expected")
            assert abs(value - exact) <= 1e-12


def test_skip_marks_exactly_the_queries_that_no_order_gives_a_hit() -> None:
    gallery, queries = np.array([[1, 0], [1, 0], [0, 1]]), np.array([[1, 0]] * 3)
    both = average_precision(queries, gallery, [0, 1, 2], [0, 1, 1], 1, empty="skip")
    np.testing.assert_allclose(both, [0.5, 0.5, np.nan])
    low = average_precision(queries[:1], gallery, [1], [0, 0, 1], 2, empty="skip")
    assert np.isnan(low).all()
    assert average_precision(queries[:1], gallery, [1], [0, 0, 1], 2, "min", empty="skip") == [0.0]
