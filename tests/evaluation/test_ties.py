"""Closed forms for tied items, at sizes where enumeration is out of reach."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from bench.evaluation import average_precision, expected_random_ap
from bench.evaluation.ties import hits_inside, precision_sum


def _expected_sum(p: int, h: int, m: int, x: int) -> Fraction:
    """Sum, over places, of the chance of a hit there times the expected precision at it."""
    others = Fraction(x - 1, m - 1) if m > 1 else Fraction(0)
    return Fraction(x, m) * sum((Fraction(h + 1) + j * others) / (p + j + 1) for j in range(m))


@pytest.mark.parametrize(
    ("p", "h", "m", "x"),
    [(0, 0, 900, 80), (31000, 40, 2, 2), (31000, 40, 700, 1), (5, 5, 1, 1), (900, 0, 600, 600)],
)
def test_expected_sum_is_exact_for_large_groups_and_deep_ranks(p: int, h: int, m: int, x: int) -> None:
    exact = _expected_sum(p, h, m, x)
    got = precision_sum("expected", np.array([p]), np.array([h]), np.array([m]), np.array([x]))[0]
    assert abs(got - float(exact)) <= 1e-12 * x


def test_best_and_worst_order_put_hits_first_and_last() -> None:
    first = sum(Fraction(3 + i, 20 + i) for i in range(1, 5))
    last = sum(Fraction(3 + i, 20 + 5 + i) for i in range(1, 5))
    assert precision_sum("optimistic", 20, 3, 9, 4) == pytest.approx(float(first), abs=1e-14)
    assert precision_sum("pessimistic", 20, 3, 9, 4) == pytest.approx(float(last), abs=1e-14)


@pytest.mark.parametrize(
    ("size", "relevant", "places"), [(10, 3, 4), (1000, 300, 50), (4000, 3990, 3000), (7, 7, 3)]
)
def test_hits_inside_the_cut_follow_the_hypergeometric_law(size: int, relevant: int, places: int) -> None:
    counts, chances = hits_inside(size, relevant, places)
    for x, chance in zip(counts.tolist(), chances.tolist(), strict=True):
        exact = Fraction(comb(relevant, x) * comb(size - relevant, places - x), comb(size, places))
        assert abs(chance - float(exact)) <= 1e-13


@pytest.mark.parametrize("k", [None, 100])
def test_identical_gallery_rows_score_what_chance_scores(k: int | None) -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((8, 3)), np.ones((3000, 3))
    wanted, offered = rng.integers(0, 4, 8), rng.integers(0, 4, 3000)
    ap = average_precision(queries, gallery, wanted, offered, k, "relevant", dtype="float64")
    relevant = (offered == wanted[:, None]).sum(axis=1)
    if k is None:
        np.testing.assert_allclose(ap, expected_random_ap(relevant, 3000), atol=1e-12, rtol=0)
    else:
        exact = [float(_cut_expectation(3000, int(r), k)) for r in relevant]
        np.testing.assert_allclose(ap, exact, atol=1e-12, rtol=0)


def _cut_expectation(n: int, r: int, k: int) -> Fraction:
    places = range(1, k + 1)
    return (
        sum((Fraction(r, n) * (1 + Fraction((j - 1) * (r - 1), n - 1)) / j for j in places), Fraction(0)) / r
    )


def test_bounds_enclose_the_expectation() -> None:
    rng = np.random.default_rng(1)
    gallery = rng.integers(0, 2, (300, 4)) + np.array([1, 0, 0, 0])
    queries = gallery[:30]
    wanted, offered = rng.integers(0, 3, 30), rng.integers(0, 3, 300)
    for denominator in ("hits", "min", "relevant"):
        low, mid, high = (
            average_precision(queries, gallery, wanted, offered, 50, denominator, ties)
            for ties in ("pessimistic", "expected", "optimistic")
        )
        assert (low <= mid).all()
        assert (mid <= high).all()
        assert (low < high).any()
