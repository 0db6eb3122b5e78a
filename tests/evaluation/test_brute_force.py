"""Average precision by enumerating every order of tied items, in rational numbers, against the evaluator.

The enumeration uses nothing of the evaluator: cosines of whole-numbered vectors are compared exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import combinations, groupby, product
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.evaluation import Denominator, TieRule
from bench.evaluation import average_precision as evaluated

CASES = 200
Ints = NDArray[np.int64]


def cosine_key(query: Ints, item: Ints) -> Fraction:
    """Return a number that orders items as the cosine with ``query`` does, exactly; 0 for rows of zeros."""
    dot = int(query @ item)
    return Fraction(dot * abs(dot), max(1, int(item @ item)))


def related(query_label: Ints, gallery_labels: Ints) -> list[bool]:
    """Return which gallery items share the class, or a label, with the query."""
    if gallery_labels.ndim == 1:
        return [bool(label == query_label) for label in gallery_labels]
    return [bool((label * query_label).any()) for label in gallery_labels]


def orders(keys: Sequence[Fraction], relevant: Sequence[bool]) -> Iterator[tuple[bool, ...]]:
    """Yield the relevance of the ranking, once for each equally likely placement within tie groups."""
    ranked = sorted(zip(keys, relevant, strict=True), key=lambda pair: -pair[0])
    choices = []
    for _, group in groupby(ranked, key=lambda pair: pair[0]):
        flags = [flag for _, flag in group]
        placements = combinations(range(len(flags)), sum(flags))
        choices.append([tuple(i in chosen for i in range(len(flags))) for chosen in placements])
    for parts in product(*choices):
        yield tuple(flag for part in parts for flag in part)


def average_precision(ranking: Sequence[bool], k: int | None, denominator: str) -> Fraction:
    """Score one ranking by the definition."""
    cut = len(ranking) if k is None else k
    n_relevant = sum(ranking)
    hits, total = 0, Fraction(0)
    for rank, flag in enumerate(ranking[:cut], start=1):
        if flag:
            hits += 1
            total += Fraction(hits, rank)
    divisor = {"hits": hits, "min": min(n_relevant, cut), "relevant": n_relevant}[denominator]
    return total / divisor if divisor else Fraction(0)


def over_orders(
    keys: Sequence[Fraction], relevant: Sequence[bool], k: int | None, denominator: str, ties: str
) -> float:
    """Return the mean, largest or smallest average precision over all orders of tied items."""
    values = [average_precision(ranking, k, denominator) for ranking in orders(keys, relevant)]
    if ties == "expected":
        return float(sum(values, Fraction(0)) / len(values))
    return float(max(values) if ties == "optimistic" else min(values))


def _vectors(rng: np.random.Generator, n: int, d: int) -> Ints:
    rows = rng.integers(-2, 3, (n, d))
    rows[rng.random(n) < 0.1] = 0
    if n > 3 and rng.random() < 0.5:  # some rows twice, one of them longer
        rows[-1] = rows[0]
        rows[-2] = 3 * rows[1]
    return rows


class Case(NamedTuple):
    """Two queries and a small gallery, with exact keys and relevance of each query."""

    queries: Ints
    gallery: Ints
    wanted: Ints
    offered: Ints
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
        keys = [[cosine_key(query, item) for item in gallery] for query in queries]
        relevant = [related(label, offered) for label in wanted]
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
        ours = evaluated(*case[:5], denominator, ties, dtype="float64")
        for keys, relevant, value in zip(case.keys, case.relevant, ours, strict=True):
            exact = over_orders(keys, relevant, case.k, denominator, ties)
            assert abs(value - exact) <= 1e-12


def test_float32_has_the_same_ties_between_whole_numbered_vectors() -> None:
    for case in range(40):
        rng = np.random.default_rng(case)
        rows = _vectors(rng, 3, 6), _vectors(rng, 40, 6), rng.integers(0, 3, 3), rng.integers(0, 3, 40)
        double = evaluated(*rows, 7, dtype="float64")
        np.testing.assert_allclose(evaluated(*rows, 7), double, atol=1e-12, rtol=0)


def test_skip_marks_exactly_the_queries_that_no_order_gives_a_hit() -> None:
    gallery, queries = np.array([[1, 0], [1, 0], [0, 1]]), np.array([[1, 0]] * 3)
    both = evaluated(queries, gallery, [0, 1, 2], [0, 1, 1], 1, empty="skip")
    np.testing.assert_allclose(both, [0.5, 0.5, np.nan])
    low = evaluated(queries[:1], gallery, [1], [0, 0, 1], 2, empty="skip")
    assert np.isnan(low).all()
    assert evaluated(queries[:1], gallery, [1], [0, 0, 1], 2, "min", empty="skip") == [0.0]
