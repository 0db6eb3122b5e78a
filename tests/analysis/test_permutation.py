"""The permutation test: equal to enumeration, independent of order and sign, with the stated error rate."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from bench.analysis.statistics import (
    bayesian_signed_rank,
    holm,
    is_exact,
    paired_permutation_test,
    two_level_intervals,
)
from tests.analysis.simulated import differences

VALUES = st.floats(-1, 1).map(lambda value: round(value, 6))
FEW = arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 3)), elements=VALUES)
P_VALUES = arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 1))


@given(FEW)
def test_few_queries_are_enumerated(values: np.ndarray) -> None:
    found = paired_permutation_test(values)
    signs = np.array(list(product((1, -1), repeat=len(values))))
    sums = np.abs(signs @ values)
    expected = (sums >= np.abs(values.sum(axis=0)) - 1e-9).mean(axis=0)
    assert found == pytest.approx(expected, abs=1e-12)


def test_all_signs_are_counted_only_where_they_are_no_more_than_would_be_drawn() -> None:
    assert all(is_exact(*sizes) for sizes in ((13, 10_000), (3, 8)))
    assert not any(is_exact(*sizes) for sizes in ((14, 10_000), (3, 7), (5_000, 10_000)))


def test_scipy_agrees_exactly_where_it_enumerates() -> None:
    values = np.random.default_rng(0).normal(0.1, 0.3, 10)
    other = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=2_000)
    assert float(paired_permutation_test(values[:, None])[0]) == pytest.approx(other.pvalue, abs=1e-9)


@pytest.mark.parametrize("shift", [0.02, pytest.param(0.0, marks=pytest.mark.slow)])
def test_scipy_agrees_within_monte_carlo_error_where_signs_are_drawn(shift: float) -> None:
    values = np.random.default_rng(1).normal(shift, 0.2, 300)
    scipy_test: Any = stats.permutation_test  # the name `rng` came with SciPy 1.15
    other = scipy_test((values,), np.sum, permutation_type="samples", n_resamples=20_000, random_state=2)
    found = float(paired_permutation_test(values[:, None])[0])
    error = np.sqrt(other.pvalue * (1 - other.pvalue) * (1 / 10_000 + 1 / 20_000)) + 1e-4
    assert abs(found - other.pvalue) < 4 * error


@pytest.mark.parametrize("queries", [8, 60])
def test_which_method_comes_first_does_not_matter_nor_do_other_comparisons(queries: int) -> None:
    values = np.random.default_rng(3).normal(0.05, 0.3, (queries, 5))
    together = paired_permutation_test(values)
    assert np.array_equal(together, paired_permutation_test(-values))
    alone = [float(paired_permutation_test(values[:, [column]])[0]) for column in range(5)]
    assert together == pytest.approx(alone, abs=1e-12)


def test_the_order_of_queries_changes_nothing_but_the_draw() -> None:
    values = np.random.default_rng(4).normal(0.02, 0.2, (200, 1))
    shuffled = np.random.default_rng(5).permutation(values)
    assert paired_permutation_test(shuffled)[0] == pytest.approx(paired_permutation_test(values)[0], abs=0.03)
    few = values[:9]
    assert paired_permutation_test(few[::-1])[0] == paired_permutation_test(few)[0]


def test_no_difference_gives_one_and_a_sure_one_the_smallest_p() -> None:
    for queries, value, p in ((50, 0.0, 1), (5, 0.0, 1), (50, 0.1, 1 / 10_001), (6, 0.1, 2 / 64)):
        assert paired_permutation_test(np.full((queries, 1), value))[0] == p
    with pytest.raises(ValueError, match="query"):
        paired_permutation_test(np.empty((0, 1)))


def test_signs_resamples_and_weights_are_drawn_alike_in_every_release() -> None:
    rows = np.sin(np.arange(1, 301) ** 2).reshape(3, 100) / 3 + 0.01
    assert paired_permutation_test(rows.T) * 10_001 == pytest.approx([5_175, 6_557, 6_832], abs=1e-6)
    (interval,) = two_level_intervals([rows])
    assert interval[:2] == pytest.approx((-0.024225517284, 0.032624791376), abs=1e-10)
    (rope,) = bayesian_signed_rank(np.array([0.52, 0.61, 0.4, 0.7]), np.array([[0.5, 0.6, 0.41, 0.66]]))
    assert rope == pytest.approx((0.73062, 0.26938, 0), abs=1e-9)


def test_blocks_do_not_change_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(6).normal(0.01, 0.2, (40, 2))
    whole = paired_permutation_test(values, 1_000)
    monkeypatch.setattr("bench.analysis.statistics._SIGN_BLOCK", 40 * 8)
    assert np.array_equal(paired_permutation_test(values, 1_000), whole)


@given(P_VALUES, st.integers(0, 1_000))
def test_holm_keeps_the_order_lowers_no_p_value_and_ignores_the_order_of_tests(
    p_values: np.ndarray, number: int
) -> None:
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all()
    assert (adjusted <= 1).all()
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert adjusted[order[0]] == min(1, p_values[order[0]] * len(p_values))
    shuffle = np.random.default_rng(number).permutation(len(p_values))
    assert holm(p_values[shuffle]) == pytest.approx(adjusted[shuffle], abs=1e-15)


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert len(holm(np.array([]))) == 0


def test_under_the_null_the_level_is_the_share_of_rejections() -> None:
    # Simulations share the signs, as comparisons of a table do, but not the data.
    rejected = []
    for start in range(4):
        random = np.random.default_rng(100 + start)
        simulated = [differences(random, seeds=3, queries=120, seed_spread=0.0) for _ in range(1_000)]
        p_values = paired_permutation_test(np.stack([rows.mean(axis=0) for rows in simulated], axis=1), 2_000)
        rejected.append(float((p_values <= 0.05).mean()))
        assert 0.46 <= (p_values <= 0.5).mean() <= 0.54
    assert all(0.035 <= share <= 0.065 for share in rejected)
    assert 0.04 <= np.mean(rejected) <= 0.06
