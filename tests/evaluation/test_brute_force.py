"""The evaluator against exact enumeration."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from bench.evaluation import Denominator, TieRule, average_precision, average_precision_of_similarities
from tests.evaluation import brute_force

CASES = 500


def _vectors(rng: np.random.Generator, n: int, d: int) -> brute_force.Ints:
    rows = rng.integers(-2, 3, (n, d))
    rows[rng.random(n) < 0.1] = 0
    if n > 3 and rng.random() < 0.5:  # some rows twice, one of them longer
        rows[-1] = rows[0]
        rows[-2] = 3 * rows[1]
    return rows


def _labels(rng: np.random.Generator, n: int, multi: bool) -> brute_force.Ints:
    if multi:
        return (rng.random((n, 4)) < 0.3).astype(np.int64)  # rows without any label occur
    return rng.integers(0, 4, n)


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
        wanted, offered = _labels(rng, 2, multi), _labels(rng, n, multi)
        k = None if rng.random() < 0.25 else int(rng.integers(1, n + 3))
        keys = [[brute_force.cosine_key(query, item) for item in gallery] for query in queries]
        relevant = [brute_force.related(label, offered) for label in wanted]
        cases.append(Case(queries, gallery, wanted, offered, k, keys, relevant))
    return cases


@pytest.mark.parametrize("denominator", ["hits", "min", "relevant"])
@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic"])
def test_equals_enumeration_of_all_orders_to_1e_12(denominator: Denominator, ties: TieRule) -> None:
    worst = 0.0
    with_ties = empty = zero_queries = zero_items = 0
    for case in _cases():
        ours = average_precision(
            case.queries,
            case.gallery,
            case.wanted,
            case.offered,
            case.k,
            denominator,
            ties,
            dtype="float64",
        )
        for keys, relevant, value in zip(case.keys, case.relevant, ours, strict=True):
            with_ties += len(set(keys)) < len(keys)
            empty += not any(relevant)
            exact = brute_force.over_orders(keys, relevant, case.k, denominator, ties)
            worst = max(worst, abs(value - exact))
        zero_queries += int((~case.queries.any(axis=1)).sum())
        zero_items += int((~case.gallery.any(axis=1)).sum())
    assert worst <= 1e-12
    assert with_ties > CASES / 2
    assert empty > CASES / 20
    assert zero_queries > CASES / 20
    assert zero_items > CASES / 20


def test_float32_sees_the_same_ties_between_whole_numbered_vectors() -> None:
    for case in range(100):
        rng = np.random.default_rng(case)
        queries, gallery = _vectors(rng, 3, 6), _vectors(rng, 40, 6)
        wanted, offered = rng.integers(0, 3, 3), rng.integers(0, 3, 40)
        single = average_precision(queries, gallery, wanted, offered, 7)
        double = average_precision(queries, gallery, wanted, offered, 7, dtype="float64")
        np.testing.assert_allclose(single, double, atol=1e-12, rtol=0)


def test_without_ties_equals_the_textbook_loop_on_many_items() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((20, 7)), rng.standard_normal((700, 7))
    wanted, offered = rng.integers(0, 5, 20), rng.integers(0, 5, 700)
    for k in (None, 1, 10, 50, 5000):
        ours = average_precision(queries, gallery, wanted, offered, k, dtype="float64")
        for query, label, value in zip(queries, wanted, ours, strict=True):
            cosine = gallery @ query / np.linalg.norm(gallery, axis=1)
            ranking = (offered[np.argsort(-cosine)] == label).tolist()
            assert abs(value - float(brute_force.average_precision(ranking, k, "hits"))) <= 1e-12


def test_given_similarities_are_ranked_as_they_are() -> None:
    for case in range(100):
        rng = np.random.default_rng(case)
        scores = rng.integers(-2, 3, (2, 8))
        wanted, offered = rng.integers(0, 3, 2), rng.integers(0, 3, 8)
        ours = average_precision_of_similarities(scores, wanted, offered, 5, "min")
        for row, label, value in zip(scores, wanted, ours, strict=True):
            keys = [Fraction(int(score)) for score in row]
            exact = brute_force.over_orders(keys, brute_force.related(label, offered), 5, "min", "expected")
            assert abs(value - exact) <= 1e-12


def test_skip_marks_exactly_the_queries_that_no_order_gives_a_hit() -> None:
    gallery = np.array([[1, 0], [1, 0], [0, 1]])
    queries = np.array([[1, 0], [1, 0], [1, 0]])
    wanted, offered = np.array([0, 1, 2]), np.array([0, 1, 1])
    both = average_precision(queries, gallery, wanted, offered, 1, empty="skip")
    np.testing.assert_allclose(both, [0.5, 0.5, np.nan])
    low = average_precision(queries[:1], gallery, [1], [0, 0, 1], 2, empty="skip")
    assert np.isnan(low).all()
    assert average_precision(queries[:1], gallery, [1], [0, 0, 1], 2, "min", empty="skip") == [0.0]
