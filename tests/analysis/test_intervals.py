"""Intervals: with the stated coverage, wider with seeds that vary, and symmetric in the two methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.statistics import Interval, half_width, two_level_intervals
from tests.analysis.simulated import differences


def of(rows: np.ndarray, **more: Any) -> tuple[float, float]:
    (interval,) = two_level_intervals([rows], **more)
    return interval.low, interval.high


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_swapping_the_methods_swaps_and_negates_the_ends(number: int, seeds: int) -> None:
    rows = differences(np.random.default_rng(number), seeds=seeds, queries=30)
    low, high = of(rows, resamples=200)
    assert low < rows.mean() < high
    assert of(-rows, resamples=200) == pytest.approx((-high, -low), abs=1e-12)


def test_other_comparisons_and_their_order_change_nothing_for_equal_seeds() -> None:
    random = np.random.default_rng(0)
    rows = [differences(random, seeds=3, queries=50) for _ in range(4)]
    together = two_level_intervals(rows)
    backwards = two_level_intervals(rows[::-1])[::-1]
    assert [one.low for one in together] == pytest.approx([one.low for one in backwards], abs=1e-12)
    assert two_level_intervals([]) == []


def test_with_one_seed_it_is_nearly_students_interval_over_queries() -> None:
    rows = np.random.default_rng(1).normal(0.02, 0.2, (1, 400))
    (interval,) = two_level_intervals([rows])
    expected = stats.t.interval(0.95, 399, rows.mean(), stats.sem(rows[0]))
    length = expected[1] - expected[0]
    assert interval.high - interval.low == pytest.approx(length, rel=1e-9)
    assert interval.low == pytest.approx(expected[0], abs=0.05 * length)
    assert interval.freedom == 399
    assert interval.seeds == 1


def test_the_length_is_that_of_the_crossed_design_by_the_analysis_of_variance() -> None:
    rows = differences(np.random.default_rng(2), seeds=4, queries=60, seed_spread=0.3)
    seeds, queries = rows.shape
    grand, by_seed, by_query = rows.mean(), rows.mean(axis=1), rows.mean(axis=0)
    of_seeds = queries * ((by_seed - grand) ** 2).sum() / (seeds - 1)
    of_queries = seeds * ((by_query - grand) ** 2).sum() / (queries - 1)
    rest = ((rows - by_seed[:, None] - by_query + grand) ** 2).sum() / ((seeds - 1) * (queries - 1))
    (interval,) = two_level_intervals([rows])
    parts = np.array([of_seeds, of_queries, rest]) / rows.size
    variance = parts @ [1, 1, -1]
    each = (parts**2 / [seeds - 1, queries - 1, (seeds - 1) * (queries - 1)]).sum()
    assert interval.freedom == pytest.approx(variance**2 / each, rel=1e-9)  # Satterthwaite's
    half = stats.t.ppf(0.975, interval.freedom) * np.sqrt(variance)
    assert interval.high - interval.low == pytest.approx(2 * half, rel=1e-9)
    assert seeds - 1 <= interval.freedom < queries


def test_seeds_that_vary_make_it_wider() -> None:
    calm = differences(np.random.default_rng(3), seeds=3, queries=200, seed_spread=0.0)
    restless = calm + np.array([[-0.05], [0.0], [0.05]])
    (near,), (far,) = two_level_intervals([calm]), two_level_intervals([restless])
    assert far.high - far.low > 2 * (near.high - near.low)


def test_intervals_without_variation_at_the_bounds_and_of_nothing() -> None:
    for shape, value in (((2, 10), 0.0), ((3, 10), 0.25), ((1, 1), 0.25)):
        assert of(np.full(shape, value)) == (value, value)
    assert of(np.array([[1.0, 0.9, 0.2], [-1.0, 0.8, 0.9]])) == (-1, 1)  # the range of a difference
    assert of(np.array([[0.5, 0.25, 0.0]]), resamples=1) == (0.25, 0.25)
    for shape in ((0, 5), (2, 0)):
        with pytest.raises(ValueError, match="query"):
            two_level_intervals([np.empty(shape)])


def test_an_interval_that_ends_at_zero_holds_it() -> None:
    for low, high, holds in ((-0.1, 0.0, True), (0.0, 0.1, True), (-0.2, -0.1, False), (0.1, 0.2, False)):
        assert Interval(low, high, 1, 1).holds_zero == holds


def test_half_the_interval_of_a_mean_over_seeds_is_students() -> None:
    values = np.array([0.5, 0.7, 0.65, 0.4])
    _, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert half_width(values.std(ddof=1), 4) == pytest.approx(high - values.mean())


def coverage(simulations: int, **design: float) -> float:
    random = np.random.default_rng(11)
    tables = (differences(random, **design) for _ in range(simulations))  # type: ignore[arg-type]
    return sum(two_level_intervals([rows], resamples=400)[0].holds_zero for rows in tables) / simulations


LONG = pytest.mark.slow


@pytest.mark.parametrize(
    "design",
    [
        {"seeds": 5, "queries": 150},
        pytest.param({"seeds": 5, "queries": 300}, marks=LONG),
        pytest.param({"seeds": 3, "queries": 300}, marks=LONG),
        pytest.param({"seeds": 10, "queries": 200, "seed_spread": 0.15}, marks=LONG),
        pytest.param({"seeds": 5, "queries": 60, "seed_spread": 0.0}, marks=LONG),
        pytest.param({"seeds": 1, "queries": 300, "seed_spread": 0.0}, marks=LONG),
    ],
)
def test_coverage_is_between_93_and_97_percent(design: dict[str, float]) -> None:
    assert 0.93 <= coverage(1_000, **design) <= 0.97


@LONG
def test_few_seeds_that_vary_much_more_than_queries_have_less_coverage() -> None:
    assert 0.85 <= coverage(600, seeds=3, queries=200, seed_spread=0.3, query_spread=0.2) < 0.95
