"""Comparisons paired by query: same queries, shared seeds only, and reasons for what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.analysis.comparisons import (
    Comparison,
    Pair,
    against_reference,
    all_pairs,
    compare,
    families_against,
    pair_of,
    reference_of,
)
from bench.analysis.groups import Data
from bench.analysis.per_query import PerQueryRow, PerQueryTable, per_query_tables
from bench.analysis.results import Results
from bench.analysis.statistics import holm
from tests.analysis.making import IT, TI, Shelf, member
from tests.analysis.simulated import differences
from tests.analysis.test_tables import LABELS

DATA = Data("real", "quick", "emoji", "f" * 16, "cpu", "")


def field_of(*members: PerQueryRow) -> PerQueryTable:
    return PerQueryTable(DATA, "map@all", "best", members)


def pair(rows: np.ndarray, direction: tuple[str, str] = IT, name: str = "B") -> Pair:
    return Pair("A", name, direction, tuple(range(len(rows))), (0.5, 0.5 - float(rows.mean())), rows)


def noise(number: int, shift: float = 0.0, seeds: int = 3, queries: int = 60) -> np.ndarray:
    return shift + differences(np.random.default_rng(number), seeds=seeds, queries=queries)


def test_effect_and_difference_are_of_the_means_over_seeds() -> None:
    rows = noise(1, 0.05)
    (found,) = compare([pair(rows)])
    by_query = rows.mean(axis=0)
    assert found.difference == pytest.approx(rows.mean())
    assert found.effect == pytest.approx(by_query.mean() / by_query.std(ddof=1))
    assert (found.queries, found.seeds) == (60, (0, 1, 2))
    for shape in ((2, 20), (1, 1)):  # differences that do not vary
        assert compare([pair(np.zeros(shape))])[0].effect is None


def test_holm_is_over_the_comparisons_of_a_direction_or_over_all() -> None:
    pairs = [pair(noise(n, 0.02 * n), direction) for n in range(3) for direction in (IT, TI)]
    found = compare(pairs)
    for direction in (IT, TI):
        here = [test for test in found if test.direction == direction]
        assert [test.adjusted for test in here] == pytest.approx(holm(np.array([test.p for test in here])))
    together = compare(pairs, one_family=True)
    assert [one.adjusted for one in together] == pytest.approx(holm(np.array([one.p for one in found])))


def test_pairs_of_different_numbers_of_queries_keep_their_order() -> None:
    sizes = [40, 7, 40, 12, 7]
    pairs = [pair(noise(n, 0.03, queries=size), name=str(n)) for n, size in enumerate(sizes)]
    together = compare(pairs)
    assert [one.second for one in together] == list("01234")
    assert [one.queries for one in together] == sizes
    assert [one.exact for one in together] == [False, True, False, True, True]
    assert [one.p for one in together] == pytest.approx([compare([one])[0].p for one in pairs], abs=1e-12)


def test_only_shared_seeds_are_compared() -> None:
    one = member("A", {IT: {0: [0.1, 0.2], 1: [0.3, 0.4], 2: [0.9, 0.9]}})
    other = member("B", {IT: {1: [0.1, 0.1], 2: [0.5, 0.9], 3: [0, 0]}})
    found = pair_of(one, other, IT)
    assert isinstance(found, Pair)
    assert found.seeds == (1, 2)
    assert found.differences == pytest.approx(np.array([[0.2, 0.3], [0.4, 0.0]]))
    assert found.means == pytest.approx((0.625, 0.4))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({IT: {5: [0.1, 0.2]}}, "seed"),
        ({TI: {0: [0.1, 0.2]}}, "seed"),
        ({IT: {0: [0.1, 0.2, 0.3]}}, "(2, 3)"),
        ({IT: {0: []}}, "(0, 2)"),
    ],
)
def test_what_cannot_be_compared_is_named(values: Any, reason: str) -> None:
    family = against_reference(field_of(member("A", {IT: {0: [0.1, 0.2]}}), member("B", values)), "a")
    (omitted,) = [each for each in family.omitted if each.startswith("image→text: A and B")]
    assert reason in omitted
    assert family.comparisons == ()


def test_the_reference_is_compared_with_every_other_row_and_all_pairs_on_request() -> None:
    members = [member(name, {IT: {0: noise(n, 0.4)[0]}}) for n, name in enumerate("ABCD")]
    family = against_reference(field_of(*members), "c")
    assert [(one.first, one.second) for one in family.comparisons] == [("C", "A"), ("C", "B"), ("C", "D")]
    assert family.reference == "C"
    assert len(all_pairs(field_of(*members)).comparisons) == 6
    absent = against_reference(field_of(*members), "zeta")
    assert "zeta" in absent.omitted[0]


def test_many_fields_at_once_give_each_the_numbers_that_it_has_alone() -> None:
    def field(number: int, queries: int, seeds: tuple[int, ...]) -> PerQueryTable:
        random = np.random.default_rng(number)
        values = [{IT: {seed: random.random(queries) for seed in range(count)}} for count in seeds]
        return field_of(*(member(name, each) for name, each in zip("ABC", values, strict=True)))

    sizes = ((40, (2, 2, 1)), (40, (2, 2, 1)), (40, (1, 1, 1)), (25, (2, 2, 2)))
    fields = [field(number, *size) for number, size in enumerate(sizes)]
    together = families_against([*fields, field_of()], "a", 200)
    for family, one in zip(together[:-1], fields, strict=True):
        alone = against_reference(one, "a", 200)
        for found, expected in zip(family.comparisons, alone.comparisons, strict=True):
            assert (found.p, found.adjusted) == (expected.p, expected.adjusted)
            ends = expected.interval.low, expected.interval.high
            assert (found.interval.low, found.interval.high) == pytest.approx(ends, abs=1e-12)
    assert not together[-1].comparisons


def test_the_reference_is_the_method_itself_and_no_ablation_of_it() -> None:
    rows = [
        member("DRCL without", {}, method="drcl", variant="without", usual=False),
        member("DRCL [epochs=1]", {}, method="drcl", usual=False),
        member("DRCL", {}, method="drcl"),
    ]
    assert reference_of(rows, "drcl") is rows[2]
    assert reference_of(rows[:2], "drcl") is rows[1]
    assert reference_of(rows[:1], "drcl") is None


def test_variants_and_other_settings_are_no_part_of_the_comparison_of_methods() -> None:
    values = {IT: {0: np.linspace(0, 1, 20)}}
    rows = [
        member("DRCL", values, method="drcl"),
        member("DRCL without", values, method="drcl", variant="without", usual=False),
        member("SM", values, method="sm"),
        member("SM [strength=2]", values, method="sm", usual=False),
        member("PLS [components=2]", values, method="pls", usual=False),
    ]
    family = against_reference(field_of(*rows), "drcl", 50)
    assert [found.second for found in family.comparisons] == ["SM", "PLS [components=2]"]
    assert len(all_pairs(field_of(*rows), 50).comparisons) == 3


def test_a_field_takes_its_protocol_and_selection_and_closed_forms() -> None:
    shelf = Shelf()
    shelf.add({IT: [0.1]})
    shelf.add({IT: [0.2]}, seed=1, selection="last")
    shelf.add({IT: [0.3]}, method="sm", selection="none")
    shelf.add({IT: [0.4]}, method="deep", protocol="map@50/hits")
    protocols = ["map@all", "map@50/hits"]
    best, other = per_query_tables(Results(shelf.records, LABELS), protocols, "best", shelf.per_query)
    assert [one.label for one in best.rows] == ["SM", "DRCL"]
    assert {seed: list(v) for seed, v in best.rows[1].values[IT].items()} == {0: [0.1]}
    assert [one.label for one in other.rows] == ["DEEP"]


def test_seeds_that_disagree_keep_a_difference_from_holding() -> None:
    calm = noise(1, 0.1, queries=300)
    torn = calm + np.array([[-0.3], [0.0], [0.3]])
    steady, shaky = compare([pair(calm)])[0], compare([pair(torn)])[0]
    assert isinstance(steady, Comparison)
    assert (steady.differs, steady.holds) == (True, True)
    assert (shaky.differs, shaky.holds) == (True, False)
