"""Sensitivity: curves and grids are records that differ in nothing but one or two settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pytest

from bench.analysis.results import Results
from bench.analysis.sensitivity import Sensitivity, is_geometric, sensitivities_of, sorted_values
from bench.analysis.tables import AVERAGE
from tests.analysis.making import Shelf
from tests.analysis.studies import LABELS, add

ALPHAS, BETAS = (0.01, 0.1, 1.0), (1.0, 2.0, 3.0)


def found(shelf: Shelf) -> list[Sensitivity]:
    return sensitivities_of(Results(shelf.records, LABELS), ["map@all"])


def shapes(shelf: Shelf) -> list[tuple[tuple[str, ...], int]]:
    return [(one.settings, len(one.points)) for one in found(shelf)]


def cross(shelf: Shelf) -> None:
    """Add a sweep of each of two settings, the other as usual."""
    for alpha in ALPHAS:
        add(shelf, alpha=alpha)
    for beta in BETAS[1:]:
        add(shelf, beta=beta)


def test_one_setting_makes_a_curve_with_the_usual_value_marked() -> None:
    shelf = Shelf()
    for seed, alpha in product(range(2), ALPHAS):
        add(shelf, 0.5 + alpha / 10 + seed / 50, seed=seed, alpha=alpha)
    (curve,) = found(shelf)
    assert (curve.settings, curve.title) == (("alpha",), "OURS")
    assert [point.values for point in curve.points] == [(0.01,), (0.1,), (1.0,)]
    assert [point.usual for point in curve.points] == [False, True, False]
    last = curve.points[-1].row.entries[AVERAGE]
    assert last.mean == pytest.approx(0.61)
    assert last.seeds == 2
    assert last.deviation == pytest.approx(0.02 / 2**0.5)


def test_a_grid_holds_the_usual_settings_also_where_they_lie_outside() -> None:
    shelf = Shelf()
    add(shelf)
    for alpha, beta in product((5.0, 6.0), (7.0, 8.0)):
        add(shelf, alpha=alpha, beta=beta)
    (grid,) = found(shelf)
    assert len(grid.points) == 5
    assert [point.values for point in grid.points if point.usual] == [(0.1, 1.0)]


def test_what_stands_alone_beside_a_grid_is_left_out_of_it_and_makes_a_curve() -> None:
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


def test_variants_have_curves_of_their_own() -> None:
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


@pytest.mark.parametrize(
    ("values", "geometric"),
    [
        ([0.01, 0.1, 1.0, 10.0], True),
        ([64, 128, 256, 512], True),
        ([0.1, 0.3, 1, 3], True),
        ([0.5, 0.7, 0.9, 1.0], False),
        ([1, 2, 4], False),  # too near each other to matter
        ([1, 11, 21, 31], False),
        ([0, 0.1, 1, 10], False),
        ([-1, 1, 100], False),
        ([1], False),
        ([], False),
        (["a", "b"], False),
        ([True, 1000], False),
        ([1, None], False),
    ],
)
def test_values_are_spread_geometrically_if_their_ratios_are_more_even_than_their_steps(
    values: list[object], geometric: bool
) -> None:
    assert is_geometric(values) is geometric


def test_validation_is_the_highest_of_the_epochs_by_seed_and_each_trace_is_read_once() -> None:
    shelf = Shelf()
    rows: dict[str, Sequence[Mapping[str, object]]] = {}
    for seed, alpha in product(range(2), ALPHAS):
        record = add(shelf, seed=seed, alpha=alpha)
        numbers: list[object] = [None, "", 0.2, 0.6 + seed / 10, 0.3] if alpha < 1 else []
        rows[record.digest] = [{"validation_map": number} for number in numbers]
    cross(shelf)
    asked = []

    def trace(digest: str) -> Sequence[Mapping[str, object]]:
        asked.append(digest)
        return rows.get(digest, ())

    protocols = ["map@all", "map@50/hits"]
    records = list({record.digest: record for record in shelf.records}.values())
    curve = sensitivities_of(Results(records, LABELS), protocols, trace=trace)[0]
    assert curve.settings == ("alpha",)
    validation = curve.points[0].validation
    assert validation is not None
    assert validation.mean == pytest.approx(0.65)
    assert validation.seeds == 2
    assert curve.points[-1].validation is None
    assert len(asked) == len(set(asked))
