"""Rank tests over datasets: equal to other tools, and the limits of few datasets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from bench.analysis.statistics import (
    bayesian_signed_rank,
    cliques,
    critical_difference,
    nemenyi,
    omnibus,
    ranks,
    smallest_wilcoxon_p,
    wilcoxon,
    wilcoxon_against,
)

SCORES = arrays(
    np.float64,
    st.tuples(st.integers(3, 8), st.integers(2, 8)),
    elements=st.integers(0, 20).map(lambda value: value / 20),
)


def random_scores(methods: int, datasets: int, number: int = 0) -> np.ndarray:
    random = np.random.default_rng(number)
    return random.normal(0.5, 0.1, datasets) + random.normal(0, 0.03, (methods, datasets))


@given(SCORES)
def test_the_highest_score_has_rank_one_and_ties_share(scores: np.ndarray) -> None:
    placed = ranks(scores)
    assert placed.sum(axis=0) == pytest.approx(len(scores) * (len(scores) + 1) / 2)
    assert np.array_equal(placed, stats.rankdata(-scores, axis=0))


def test_rounding_makes_no_ranks() -> None:
    assert ranks(np.array([[0.3], [0.1 + 0.2], [0.2]]))[:, 0].tolist() == [1.5, 1.5, 3]


@given(SCORES)
def test_friedman_is_that_of_scipy_with_ties(scores: np.ndarray) -> None:
    found = omnibus(scores)
    assert found is not None
    if (scores == scores[0]).all():
        assert (found.friedman, found.friedman_p, found.iman_davenport_p) == (0, 1, 1)
        return
    expected = stats.friedmanchisquare(*scores)
    assert found.friedman == pytest.approx(expected.statistic, abs=1e-9)
    assert found.friedman_p == pytest.approx(expected.pvalue, abs=1e-9)


def test_iman_and_davenport_as_in_demsars_example() -> None:
    # Demšar (2006), section 3.2.2: chi-squared 9.28 with four methods on fourteen datasets gives F = 3.69.
    scores = random_scores(4, 14, 5)
    found = omnibus(scores)
    assert found is not None
    ratio = 13 * found.friedman / (14 * 3 - found.friedman)
    assert found.iman_davenport == pytest.approx(ratio)
    assert found.iman_davenport_p == pytest.approx(stats.f.sf(ratio, 3, 39), abs=1e-12)
    assert pytest.approx(3.69, abs=0.005) == 13 * 9.28 / (14 * 3 - 9.28)


def test_the_omnibus_test_of_datasets_that_agree_on_every_rank_and_of_too_few() -> None:
    for middle, orders in ((0.5, 6), (0.1, 3)):  # by enumeration: 6 orders of three, 3 with two tied
        found = omnibus(np.array([[0.9] * 4, [middle] * 4, [0.1] * 4]))
        assert found is not None
        assert found.iman_davenport == np.inf
        assert found.iman_davenport_p == pytest.approx(orders**-3)
    for shape in ((2, 5), (3, 1), (1, 1)):
        assert omnibus(random_scores(*shape)) is None


def test_the_critical_difference_has_demsars_quantiles() -> None:
    for methods, quantile in {2: 1.960, 5: 2.728, 10: 3.164, 3: 2.343, 4: 2.569}.items():
        expected = quantile * np.sqrt(methods * (methods + 1) / (6 * 14))
        assert critical_difference(methods, 14) == pytest.approx(expected, rel=3e-4)


def test_nemenyis_p_is_at_the_level_where_ranks_are_apart_by_the_critical_difference() -> None:
    scores = random_scores(6, 8, 1)
    average, p_values = ranks(scores).mean(axis=1), nemenyi(scores)
    apart = np.abs(average[:, None] - average)
    assert np.array_equal(apart > critical_difference(6, 8), p_values < 0.05)
    assert np.array_equal(p_values, p_values.T)
    assert (np.diag(p_values) == 1).all()


def test_nemenyis_p_of_two_methods_is_that_of_the_sign_test_by_the_normal_distribution() -> None:
    scores = np.array([[0.9] * 7 + [0.1] * 2, [0.5] * 9])
    assert nemenyi(scores)[0, 1] == pytest.approx(2 * stats.norm.sf((7 - 2) / np.sqrt(9)), abs=1e-6)


def test_cliques_join_what_is_not_apart_and_no_clique_is_part_of_another() -> None:
    assert cliques(np.array([1.0, 2.0, 3.0, 6.0]), 1.5) == [(0, 1), (1, 2)]
    assert cliques(np.array([3.0, 1.0, 2.0]), 5.0) == [(1, 2, 0)]
    assert cliques(np.array([1.0, 9.0]), 2.0) == []
    assert cliques(np.array([1.0, 3.0]), 2.0) == [(0, 1)]


@settings(max_examples=40)
@given(arrays(np.float64, st.integers(1, 10), elements=st.integers(1, 10_000).map(float), unique=True))
def test_wilcoxon_is_scipys_exact_one(sizes: np.ndarray) -> None:
    differences = np.where(sizes % 3 == 0, -sizes, sizes) / 10_000
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert wilcoxon(differences, np.zeros(len(sizes))) == pytest.approx(expected, abs=1e-9)


def test_wilcoxon_with_ties_is_exact_too_and_of_many_datasets_scipys() -> None:
    # Three of four up with equal sizes: 2 * (1 + 4) of 16 deals are as extreme.
    assert wilcoxon(np.array([0.1, 0.1, 0.1, -0.1]), np.zeros(4)) == 10 / 16
    assert wilcoxon(np.array([0.3, 0.2]), np.array([0.3, 0.2])) == 1
    many = np.random.default_rng(3).normal(0.02, 0.05, 20)
    assert wilcoxon(many, np.zeros(20)) == pytest.approx(
        stats.wilcoxon(many, method="exact").pvalue, abs=1e-9
    )
    rounded = np.round(many, 2)
    rounded = rounded[rounded != 0]
    signed = np.sign(rounded) * stats.rankdata(np.abs(rounded))
    permutation_test: Any = stats.permutation_test  # the name `rng` came with SciPy 1.15
    expected = permutation_test((signed,), np.sum, permutation_type="samples", random_state=1)
    assert wilcoxon(rounded, np.zeros(len(rounded))) == pytest.approx(expected.pvalue, abs=0.02)


def test_the_smallest_p_of_wilcoxon_is_that_of_all_datasets_agreeing() -> None:
    for datasets in range(1, 9):
        gains = np.arange(1, datasets + 1) / 100
        assert wilcoxon(gains, np.zeros(datasets)) == pytest.approx(smallest_wilcoxon_p(datasets))


def test_the_reference_is_compared_with_every_other_method_after_holm() -> None:
    scores = random_scores(4, 7, 2)
    p_values, adjusted = wilcoxon_against(scores, 1)
    assert p_values == pytest.approx([wilcoxon(scores[1], scores[other]) for other in (0, 2, 3)])
    assert adjusted.max() <= 1
    assert (adjusted >= p_values).all()


def test_rope_probabilities_sum_to_one_and_swap_with_the_methods() -> None:
    scores = random_scores(3, 6, 4)
    for one, other in ((0, 1), (1, 2)):
        (found,) = bayesian_signed_rank(scores[one], scores[[other]])
        (back,) = bayesian_signed_rank(scores[other], scores[[one]])
        assert found.sum() == pytest.approx(1)
        assert (found[0], found[2]) == (back[2], back[0])


def test_rope_probabilities_depend_on_the_region_of_practical_equivalence() -> None:
    ours, theirs = np.full(6, 0.505), np.full((1, 6), 0.5)
    assert bayesian_signed_rank(ours, theirs)[0, 1] == 1
    assert bayesian_signed_rank(ours + 0.007, theirs)[0, 0] > 0.95
    assert bayesian_signed_rank(ours, theirs, region=0.001)[0, 0] > 0.95
    # A difference on the edge of the region counts half.
    assert bayesian_signed_rank(np.array([0.75]), np.array([[0.5]]), region=0.25)[0, 1] == 1
