"""Sensitivity: curves and grids are records that differ in nothing but one or two settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pytest

from bench.analysis.results import Results
from bench.analysis.sensitivity import Sensitivity, is_geometric, sensitivities_of, sorted_values
from bench.analysis.tables import AVERAGE
from tests.analysis.making import Shelf, close
from tests.analysis.studies import LABELS, add

ALPHAS, BETAS = (0.01, 0.1, 1.0), (1.0, 2.0, 3.0)


def found(shelf: Shelf) -> list[Sensitivity]:
    return sensitivities_of(Results(shelf.records, LABELS), ["map@all"])


def shapes(shelf: Shelf) -> list[tuple[tuple[str, ...], int]]:
    return [(one.settings, len(one.points)) for one in found(shelf)]


def test_one_setting_makes_a_curve_with_the_usual_value_marked() -> None:
    shelf = Shelf()
    for seed, alpha in product(range(2), ALPHAS):
        add(shelf, 0.5 + alpha / 10 + seed / 50, seed=seed, alpha=alpha)
    (curve,) = found(shelf)
    assert (curve.settings, curve.title) == (("alpha",), "OURS")
    points = [(*point.values, point.usual) for point in curve.points]
    assert points == [(0.01, False), (0.1, True), (1.0, False)]
    last = curve.points[-1].row.entries[AVERAGE]
    assert (last.mean, last.deviation, last.seeds) == pytest.approx((0.61, 0.02 / 2**0.5, 2))


def test_a_number_that_no_float_holds_is_a_value_like_a_word() -> None:
    shelf = Shelf()
    for alpha in (*ALPHAS, 10**400):
        add(shelf, alpha=alpha)
    (curve,) = found(shelf)
    assert [point.values[0] for point in curve.points] == [*ALPHAS, 10**400]


def test_a_grid_holds_the_usual_settings_also_where_they_are_outside() -> None:
    shelf = Shelf()
    add(shelf)
    for alpha, beta in product((5.0, 6.0), (7.0, 8.0)):
        add(shelf, alpha=alpha, beta=beta)
    (grid,) = found(shelf)
    assert len(grid.points) == 5
    assert [point.values for point in grid.points if point.usual] == [(0.1, 1.0)]


def test_rows_beside_a_grid_that_share_one_value_make_a_curve() -> None:
    shelf = Shelf()
    for alpha, beta in product(ALPHAS, BETAS[:2]):
        add(shelf, alpha=alpha, beta=beta)
    for alpha in (10.0, 100.0):  # with the usual beta only
        add(shelf, alpha=alpha)
    assert shapes(shelf) == [(("alpha", "beta"), 6), (("alpha",), 5)]


def test_three_settings_make_a_grid_of_each_pair_for_each_value_of_the_third() -> None:
    shelf = Shelf()
    for alpha, beta, mix in product(ALPHAS[:2], BETAS[:2], (0.5, 0.6)):
        add(shelf, alpha=alpha, beta=beta, mix=mix)
    pairs = (("alpha", "beta"), ("alpha", "mix"), ("beta", "mix"))
    assert sorted(shapes(shelf)) == [(pair, 4) for pair in pairs for _ in range(2)]
    titles = {one.title for one in found(shelf) if one.settings == ("alpha", "beta")}
    assert titles == {"OURS", "OURS [mix=0.6]"}


@pytest.mark.parametrize(
    "change",
    [
        {"data_kind": "look-alike"},
        {"profile": "paper"},
        {"fingerprint": "0" * 16},
        {"dataset": "other"},
        {"threads": 2},
        {"method": "theirs"},
        {"variant": "random"},
        {"modalities": ("image", "text", "audio")},
        {"settings": {"alpha": 1.0}},  # of another version of the method, without the other settings
        {"beta": 2.0, "alpha": 1.0, "mix": 0.1},
    ],
)
def test_whatever_else_differs_makes_no_curve(change: Mapping[str, Any]) -> None:
    shelf = Shelf()
    add(shelf)
    add(shelf, **{"alpha": 1.0, **change})
    assert found(shelf) == []


def test_variants_have_separate_curves() -> None:
    shelf = Shelf()
    for variant, alpha in product(("full", "random"), ALPHAS):
        add(shelf, variant=variant, alpha=alpha)
    assert [one.title for one in found(shelf)] == ["OURS", "OURS random"]


def test_values_of_every_kind_are_sorted_numbers_first() -> None:
    values = ["text", 10, None, 9.0, [64, 64], [8], {"b": 1, "a": 2}, True, 9.0]
    assert sorted_values(values) == [9.0, 10, "text", [64, 64], [8], None, True, {"a": 2, "b": 1}]
    shelf = Shelf()
    for prior in (["image"], "selected", None, {"image": 1}):
        add(shelf, prior=prior)
    (curve,) = found(shelf)
    assert curve.values(0) == ["selected", ["image"], None, {"image": 1}]


def test_values_are_spread_geometrically_if_their_ratios_are_more_even_than_their_steps() -> None:
    geometric: list[list[Any]] = [[0.01, 0.1, 1.0, 10.0], [64, 128, 256, 512], [0.1, 0.3, 1, 3]]
    others: list[list[Any]] = [
        *([1, 2, 4], [0.5, 0.7, 0.9, 1.0]),  # close
        *([1, 11, 21, 31], [0, 0.1, 1, 10], [-1, 1, 100]),
        *([1], [], ["a", "b"], [True, 1000], [1, None]),
    ]
    assert all(map(is_geometric, geometric))
    assert not any(map(is_geometric, others))


def test_validation_is_the_highest_of_the_epochs_by_seed_and_each_trace_is_read_once() -> None:
    shelf = Shelf()
    rows: dict[str, Sequence[Mapping[str, object]]] = {}
    for seed, alpha in product(range(2), ALPHAS):
        record = add(shelf, seed=seed, alpha=alpha)
        numbers: list[object] = [None, "", 0.2, 0.6 + seed / 10, 0.3] if alpha < 1 else []
        rows[record.digest] = [{"validation_map": number} for number in numbers]
    for beta in BETAS[1:]:  # a sweep of another setting
        add(shelf, beta=beta)
    read = []

    def trace(digest: str) -> Sequence[Mapping[str, object]]:
        read.append(digest)
        return rows.get(digest, ())

    protocols = ["map@all", "map@50/hits"]
    curve = sensitivities_of(Results(shelf.records, LABELS), protocols, trace=trace)[0]
    assert curve.settings == ("alpha",)
    validation = curve.points[0].validation
    assert validation is not None
    assert (validation.mean, validation.seeds) == (close(0.65), 2)
    assert curve.points[-1].validation is None
    assert len(read) == len(set(read))
