"""Ablations: a variant is compared with the method itself, same data, seeds, queries and other settings."""

from __future__ import annotations

import math
import random
import statistics
from typing import Any

import pytest

from bench.analysis.ablations import Ablation, ablations_of, unablated, with_tests
from bench.analysis.per_query import per_query_tables
from bench.analysis.results import Results
from bench.analysis.tables import AVERAGE
from tests.analysis.making import IT, TI, Shelf
from tests.analysis.studies import LABELS, add
from tests.records import making

ALL = ["map@all"]


def found(shelf: Shelf) -> list[Ablation]:
    return ablations_of(Results(shelf.records, LABELS), ALL)


def only(shelf: Shelf) -> Ablation:
    (ablation,) = found(shelf)
    return ablation


def test_a_difference_is_the_mean_over_the_seeds_that_both_have() -> None:
    shelf = Shelf()
    for seed, (own, other) in enumerate([(0.5, 0.4), (0.6, 0.55), (0.9, None), (None, 0.1)]):
        if own is not None:
            add(shelf, own, seed=seed)
        if other is not None:
            add(shelf, other, "without_alpha", seed=seed)
    (component,) = only(shelf).components
    spread = component.differences[AVERAGE].spread
    assert spread.mean == pytest.approx(-0.075)
    assert spread.deviation == pytest.approx(statistics.stdev([-0.1, -0.05]))
    assert spread.seeds == 2
    assert component.row.entries[AVERAGE].seeds == 3
    assert component.row.entries[AVERAGE].mean == pytest.approx((0.4 + 0.55 + 0.1) / 3)
    assert only(shelf).full.entries[IT].mean == pytest.approx((0.5 + 0.6 + 0.9) / 3)


def test_components_stand_in_the_order_of_the_methods_file_with_what_they_change() -> None:
    shelf = Shelf()
    for variant in ("prior_text", "without_alpha", "full", "without_both", "prior_image"):
        add(shelf, variant=variant)
    ablation = only(shelf)
    order = ["without_both", "without_alpha", "prior_image", "prior_text"]
    assert [component.variant for component in ablation.components] == order
    assert ablation.components[0].changes == {"alpha": 0.0, "beta": 0.0}
    assert [component.modality for component in ablation.components] == ["", "", "image", "text"]
    # audio is no modality of this data, and so its prior is not missed
    assert ablation.missing == ("random",)


def test_a_variant_that_changes_nothing_here_says_so() -> None:
    shelf = Shelf()
    for variant in ("full", "without_alpha"):
        add(shelf, variant=variant, alpha=0.0)
    (component,) = only(shelf).components
    assert component.changes == {}


def test_after_a_sweep_variants_belong_to_the_usual_settings() -> None:
    shelf = Shelf()
    for alpha in (0.01, 0.1, 10.0):
        add(shelf, 0.5 + alpha / 100, alpha=alpha)
    add(shelf, 0.3, "without_alpha")
    add(shelf, 0.4, "random")
    ablation = only(shelf)
    assert ablation.label == "OURS"
    assert ablation.full.entries[AVERAGE].mean == pytest.approx(0.501)
    assert [component.variant for component in ablation.components] == ["without_alpha", "random"]


def test_variants_with_other_settings_have_the_method_with_these_settings_to_compare_with() -> None:
    shelf = Shelf()
    for mix in (0.5, 0.7):
        add(shelf, mix, mix=mix)
        add(shelf, mix - 0.1, "without_both", mix=mix)
    add(shelf, 0.1, "without_alpha", mix=0.9)  # nobody ran the method itself so
    usual, other = sorted(found(shelf), key=lambda ablation: ablation.label)
    assert (usual.label, other.label) == ("OURS", "OURS [mix=0.7]")
    for ablation in (usual, other):
        (component,) = ablation.components
        assert component.changes == {"alpha": 0.0, "beta": 0.0}
        assert component.differences[AVERAGE].spread.mean == pytest.approx(-0.1)


def test_a_variant_nobody_registers_any_more_is_shown_with_what_differs() -> None:
    shelf = Shelf()
    add(shelf, 0.5)
    add(shelf, 0.6, alpha=7.0)
    add(shelf, 0.4, "gone", mix=0.0, alpha=7.0)
    (component,) = only(shelf).components
    # the usual one is chosen over the nearer one; the table shows every difference
    assert component.changes == {"alpha": 7.0, "mix": 0.0}


@pytest.mark.parametrize("failed", [["without_alpha"], ["full", "without_alpha"]])
def test_a_failed_variant_keeps_its_reason_and_has_no_difference(failed: list[str]) -> None:
    shelf = Shelf()
    for variant in ("full", "without_alpha"):
        fields: dict[str, Any] = {"method": "ours", "variant": variant, "reason": "it broke"}
        settings = add(Shelf() if variant in failed else shelf, variant=variant).identity.settings
        if variant in failed:
            shelf.records.append(making.record(status="failed", settings=settings, **fields))
    (component,) = only(shelf).components
    assert component.row.entries[AVERAGE].reason == "failed: it broke"
    assert component.differences == {}


def test_a_choice_among_modalities_has_the_quality_and_what_was_chosen() -> None:
    shelf = Shelf()
    for seed, chosen in enumerate(["text", "image", "text"]):
        quality = {"image": 0.5 + seed / 10, "text": 0.7}
        add(shelf, seed=seed, notes={"quality": quality, "prior": chosen, "epochs": 3})
    add(shelf, variant="prior_image")
    ablation = only(shelf)
    assert ablation.chosen == {"image": 1, "text": 2}
    assert ablation.quality["image"].mean == pytest.approx(0.6)
    assert ablation.quality["image"].deviation == pytest.approx(0.1)
    assert ablation.quality["text"].deviation == pytest.approx(0)
    assert [component.modality for component in ablation.choices] == ["image"]


@pytest.mark.parametrize(
    "notes",
    [
        {},
        {"quality": 0.5, "prior": 3},
        {"quality": {"image": "high", "text": True}, "prior": ["image"]},
        {"quality": {"image": math.nan, "text": math.inf}, "prior": {"image": 1}},
        {"quality": {"elsewhere": 0.5}, "prior": "elsewhere"},
        {"quality": [0.5, 0.6]},
    ],
)
def test_notes_of_another_shape_are_no_quality(notes: dict[str, object]) -> None:
    shelf = Shelf()
    add(shelf, notes=notes)
    add(shelf, variant="prior_image")
    assert (only(shelf).quality, only(shelf).chosen) == ({}, {})


def test_differences_are_tested_by_query_and_adjusted_over_the_variants_of_a_direction() -> None:
    shelf, draw = Shelf(), random.Random(0)
    noise = [draw.uniform(-0.01, 0.01) for _ in range(40)]
    for seed in range(2):
        for variant, drop in (("full", 0.0), ("without_alpha", -0.1), ("without_both", 0.0)):
            settings = add(Shelf(), variant=variant).identity.settings
            values = [0.5 + drop + (noise[-i] if drop else noise[i]) for i in range(40)]
            own = values if variant != "without_both" else [0.5 + value for value in noise]
            shelf.add({IT: own, TI: own}, method="ours", variant=variant, seed=seed, settings=settings)
    fields = list(per_query_tables(Results(shelf.records, LABELS), ALL, "best", shelf.per_query))
    components = {one.variant: one for one in with_tests(only(shelf), fields).components}
    clear = components["without_alpha"].differences[IT].comparison
    same = components["without_both"].differences[IT].comparison
    assert clear is not None
    assert same is not None
    assert (clear.holds, same.differs) == (True, False)
    assert clear.adjusted == pytest.approx(2 * clear.p)  # of two variants
    assert clear.difference == pytest.approx(components["without_alpha"].differences[IT].spread.mean)
    average = components["without_alpha"].differences[AVERAGE].comparison
    assert average is not None
    assert (average.holds, average.direction) == (True, AVERAGE)
    assert average.difference == pytest.approx(components["without_alpha"].differences[AVERAGE].spread.mean)
    assert with_tests(only(shelf), []) == only(shelf)


def test_queries_that_differ_are_named_instead_of_tested() -> None:
    shelf = Shelf()
    add(shelf)
    settings = add(Shelf(), variant="without_alpha").identity.settings
    shelf.add({IT: [0.1, 0.2]}, method="ours", variant="without_alpha", settings=settings)
    fields = list(per_query_tables(Results(shelf.records, LABELS), ALL, "best", shelf.per_query))
    assert "were not asked the same queries" in with_tests(only(shelf), fields).omitted[0]


def test_methods_with_variants_that_nobody_ran_are_named_with_their_data() -> None:
    shelf = Shelf()
    add(shelf)
    add(shelf, dataset="other")
    add(shelf, variant="random", dataset="other")
    add(shelf, method="theirs")
    named = unablated(Results(shelf.records, LABELS))
    assert {method: [data.dataset for data in places] for method, places in named.items()} == {
        "ours": ["emoji"]
    }
