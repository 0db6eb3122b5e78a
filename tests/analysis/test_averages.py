"""The test of the average over directions: of the number in the tables, with the stated error rates."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.analysis import AVERAGE, tables_of
from bench.analysis.comparisons import (
    Pair,
    against_reference,
    all_pairs,
    average_of,
    compare,
    families_against,
    marks_note,
    pair_of,
    with_marks,
)
from bench.analysis.groups import Data
from bench.analysis.per_query import PerQueryRow, PerQueryTable, per_query_tables
from bench.analysis.results import Results
from bench.analysis.statistics import paired_permutation_test, two_level_intervals
from bench.analysis.tables import Direction
from tests.analysis.making import IT, TI, Shelf, member
from tests.analysis.simulated import directions
from tests.analysis.test_keys import LABELS

DATA = Data("real", "quick", "emoji", "f" * 16, "cpu", "")
THREE: list[Direction] = list(permutations(("a", "b", "c"), 2))
Array = NDArray[np.float64]
LONG = pytest.mark.slow


def members(tables: dict[Direction, Array]) -> tuple[PerQueryRow, PerQueryRow]:
    """Return two rows whose differences are the given ones ``(seeds, queries)``."""

    def row(label: str, sign: int) -> PerQueryRow:
        halves = {way: enumerate(0.5 + sign * rows / 2) for way, rows in tables.items()}
        return member(label, {way: dict(rows) for way, rows in halves.items()})

    return row("A", 1), row("B", -1)


def averaged(tables: dict[Direction, Array]) -> Pair:
    found = average_of(*members(tables), list(tables))
    assert isinstance(found, Pair)
    return found


def simulated(
    random: int | np.random.Generator, queries: tuple[int, ...], **more: float
) -> dict[Direction, Array]:
    ways = [IT, TI] if len(queries) == 2 else THREE
    found = directions(np.random.default_rng(random), queries=queries, **more)  # type: ignore[arg-type]
    return dict(zip(ways, found, strict=True))


@pytest.mark.parametrize("queries", [(40, 40), (50, 20), (30, 30, 20, 20, 9, 9)])
def test_the_difference_is_the_mean_over_directions_of_their_differences(queries: tuple[int, ...]) -> None:
    tables = simulated(0, queries, seeds=3)
    (found,) = compare([averaged(tables)], 50)
    assert found.difference == pytest.approx(np.mean([rows.mean() for rows in tables.values()]))
    assert found.means[0] - found.means[1] == pytest.approx(found.difference)
    assert (found.direction, found.seeds) == (AVERAGE, (0, 1, 2))
    assert found.interval.low < found.difference < found.interval.high


def test_the_directions_of_one_row_change_sign_together() -> None:
    tables = simulated(1, (40, 40), seeds=2)
    rows = (tables[IT] + tables[TI]) / 2
    (found,) = compare([averaged(tables)], 500)
    assert found.p == paired_permutation_test(rows.mean(axis=0)[:, None], 500)[0]
    (expected,) = two_level_intervals([rows])
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert found.queries == 40


def test_without_corresponding_rows_the_directions_of_a_query_modality_are_averaged() -> None:
    tables = simulated(2, (30, 30, 20, 20, 9, 9), seeds=2)
    found = averaged(tables)
    assert found.strata == (30, 20, 9)
    scale = sum(found.strata) / len(THREE)
    first = scale / 30 * (tables["a", "b"] + tables["a", "c"])
    assert found.differences[:, :30] == pytest.approx(first)


def test_the_variance_of_strata_is_the_sum_of_their_variances() -> None:
    tables = simulated(3, (50, 20), seeds=1)
    (interval,) = two_level_intervals([averaged(tables).differences], strata=(50, 20))
    variance = sum(rows.var(ddof=1) / rows.size for rows in tables.values()) / 4
    length = 2 * stats.t.ppf(0.975, 68) * np.sqrt(variance)
    assert interval.freedom == 68
    assert interval.high - interval.low == pytest.approx(length, rel=1e-9)


def test_only_seeds_with_every_direction_count() -> None:
    first = member("A", {IT: {0: [0.1, 0.4], 1: [0.2, 0.2]}, TI: {1: [0.3, 0.5]}})
    second = member("B", {IT: {0: [0.1, 0.1], 1: [0.1, 0.1]}, TI: {1: [0.1, 0.1]}})
    found = average_of(first, second, [IT, TI])
    assert isinstance(found, Pair)
    assert found.seeds == (1,)
    assert found.means == pytest.approx((0.3, 0.1))
    scattered = member("C", {IT: {0: [0.1, 0.4]}, TI: {1: [0.3, 0.5]}})
    assert "no seed" in str(average_of(scattered, second, [IT, TI]))
    assert "every direction" in str(average_of(first, member("D", {IT: {0: [0.1, 0.1]}}), [IT, TI]))


def test_averages_are_adjusted_among_themselves_and_leave_directions_alone() -> None:
    random = np.random.default_rng(4)
    names = ("DRCL", "B", "C", "D")
    found = tuple(member(name, {way: {0: random.random(30)} for way in (IT, TI)}) for name in names)
    comparisons = against_reference(PerQueryTable(DATA, "map@all", "best", found), "drcl", 500).comparisons
    directed = [one.adjusted for one in comparisons if one.direction != AVERAGE]
    assert len(comparisons) == 3 + len(directed)
    pairs = ([pair_of(found[0], other, way) for other in found[1:]] for way in (IT, TI))
    assert directed == [one.adjusted for each in pairs for one in compare(each, 500)]
    every = all_pairs(PerQueryTable(DATA, "map@all", "best", found), 500)
    assert sum(one.direction == AVERAGE for one in every.comparisons) == 6


def test_a_row_that_lacks_a_direction_of_the_table_has_no_average_to_test() -> None:
    one = member("DRCL", {IT: {0: [0.1, 0.4]}, TI: {0: [0.2, 0.3]}})
    other = member("B", {IT: {0: [0.1, 0.2]}})
    (family,) = families_against([PerQueryTable(DATA, "map@all", "best", (one, other), (IT, TI))], "drcl", 10)
    assert {comparison.direction for comparison in family.comparisons} == {IT}
    alone = PerQueryTable(DATA, "map@all", "best", (one, member("C", {IT: {0: [0.3, 0.4]}})), (IT,))
    assert AVERAGE not in {one.direction for one in against_reference(alone, "drcl", 10).comparisons}


def test_tables_mark_averages_that_differ() -> None:
    shelf, random = Shelf(), np.random.default_rng(5)
    for seed in range(3):
        for method, level in (("drcl", 0.6), ("mcca", 0.4), ("rono", 0.6)):
            queries = np.clip(level + random.normal(0, 0.05, 60), 0, 1)
            shelf.add({IT: queries, TI: queries[::-1]}, method=method, seed=seed)
    results = Results(shelf.records, LABELS)
    families = families_against(list(per_query_tables(results, ["map@all"], "best", shelf.per_query)), "drcl")
    (table,) = with_marks(tables_of(results, ["map@all"]), families)
    marks = {row.method: row.entries[AVERAGE].mark for row in table.rows}
    assert marks == {"drcl": "", "mcca": "a", "rono": ""}
    averages = {each.second[:4]: each for each in families[0].comparisons if each.direction == AVERAGE}
    means = {row.method: row.entries[AVERAGE].mean for row in table.rows}
    assert averages["MCCA"].means == pytest.approx((means["drcl"], means["mcca"]))
    assert "DRCL" in marks_note(table)


# In the short tests, `test_permutation.py` and `test_intervals.py` check the rates of one direction.
@LONG
@pytest.mark.parametrize(
    ("queries", "shared"),
    [((120, 120), 0.5), ((120, 120), 0.0), ((120, 120), 0.9), ((150, 90), 0.0), ((60,) * 6, 0.5)],
)
def test_without_a_difference_4_to_6_percent_are_called_different(
    queries: tuple[int, ...], shared: float
) -> None:
    shares, design = [], {"seeds": 3, "shared": shared, "seed_spread": 0.0}
    for start in range(100, 104):
        random = np.random.default_rng(start)
        pairs = (averaged(simulated(random, queries, **design)) for _ in range(1_000))
        columns = np.stack([pair.differences.mean(axis=0) for pair in pairs], axis=1)
        shares.append((paired_permutation_test(columns, 2_000) <= 0.05).mean())
    assert 0.04 <= np.mean(shares) <= 0.06


@LONG
@pytest.mark.parametrize(
    ("queries", "design"),
    [
        ((200, 200), {"seeds": 3}),
        ((200, 200), {"seeds": 5}),
        ((240, 120), {"seeds": 3}),
        ((240, 120), {"seeds": 5}),
        ((240, 120), {"seeds": 10, "seed_spread": 0.15}),
        ((240, 120), {"seeds": 1, "seed_spread": 0.0}),
    ],
)
def test_93_to_97_percent_of_the_intervals_hold_the_true_difference(
    queries: tuple[int, ...], design: dict[str, float]
) -> None:
    random, inside = np.random.default_rng(11), 0
    for _ in range(1_000):
        pair = averaged(simulated(random, queries, **design))
        (interval,) = two_level_intervals([pair.differences], resamples=400, strata=pair.strata)
        inside += interval.holds_zero
    assert 0.93 <= inside / 1_000 <= 0.97
