"""Ablations: a variant is compared with the method itself on the same data, seeds, queries and settings."""

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
from tests.analysis.making import IT, TI, Shelf, close
from tests.analysis.studies import LABELS, add
from tests.records import making

ALL = ["map@all"]


def ablations(shelf: Shelf) -> list[Ablation]:
    return ablations_of(Results(shelf.records, LABELS), ALL)


def only(shelf: Shelf) -> Ablation:
    (ablation,) = ablations(shelf)
    return ablation


def after_tests(shelf: Shelf) -> Ablation:
    tables = per_query_tables(Results(shelf.records, LABELS), ALL, "best", shelf.per_query)
    return with_tests(only(shelf), list(tables))


def test_a_difference_is_the_mean_over_the_seeds_that_both_have() -> None:
    shelf = Shelf()
    for variant, values in (("full", {0: 0.5, 1: 0.6, 2: 0.9}), ("without_alpha", {0: 0.4, 1: 0.55, 3: 0.1})):
        for seed, value in values.items():
            add(shelf, value, variant, seed)
    (component,) = only(shelf).components
    spread, entry = component.differences[AVERAGE].spread, component.row.entries[AVERAGE]
    assert spread == pytest.approx((-0.075, statistics.stdev([-0.1, -0.05]), 2))
    assert (entry.mean, entry.seeds) == (close((0.4 + 0.55 + 0.1) / 3), 3)
    assert only(shelf).full.entries[IT].mean == pytest.approx((0.5 + 0.6 + 0.9) / 3)


def test_components_are_in_the_order_of_the_methods_file_with_what_they_change() -> None:
    shelf = Shelf()
    for variant in ("prior_text", "without_alpha", "full", "without_both", "prior_image"):
        add(shelf, variant=variant)
    ablation = only(shelf)
    order = ["without_both", "without_alpha", "prior_image", "prior_text"]
    assert [component.variant for component in ablation.components] == order
    assert ablation.components[0].changes == {"alpha": 0.0, "beta": 0.0}
    assert [component.modality for component in ablation.components] == ["", "", "image", "text"]
    assert ablation.missing == ("random",)  # not the prior of audio, which is no modality of this data


def test_a_variant_that_changes_nothing_has_no_changes() -> None:
    shelf = Shelf()
    for variant in ("full", "without_alpha"):
        add(shelf, variant=variant, alpha=0.0)
    assert [component.changes for component in only(shelf).components] == [{}]


def test_after_a_sweep_variants_belong_to_the_usual_settings() -> None:
    shelf = Shelf()
    for alpha in (0.01, 0.1, 10.0):
        add(shelf, 0.5 + alpha / 100, alpha=alpha)
    for variant in ("without_alpha", "random"):
        add(shelf, 0.3, variant)
    ablation = only(shelf)
    assert (ablation.label, ablation.full.entries[AVERAGE].mean) == ("OURS", close(0.501))
    assert [component.variant for component in ablation.components] == ["without_alpha", "random"]


def test_variants_with_other_settings_are_compared_with_the_method_with_these_settings() -> None:
    shelf = Shelf()
    for mix in (0.5, 0.7):
        add(shelf, mix, mix=mix)
        add(shelf, mix - 0.1, "without_both", mix=mix)
    add(shelf, 0.1, "without_alpha", mix=0.9)  # the method itself was not run so
    found = sorted(ablations(shelf), key=lambda ablation: ablation.label)
    assert [ablation.label for ablation in found] == ["OURS", "OURS [mix=0.7]"]
    for ablation in found:
        (component,) = ablation.components
        assert component.changes == {"alpha": 0.0, "beta": 0.0}
        assert component.differences[AVERAGE].spread.mean == pytest.approx(-0.1)


def test_a_variant_that_is_registered_no_more_shows_every_difference_from_the_usual_settings() -> None:
    shelf = Shelf()
    add(shelf, 0.5)
    add(shelf, 0.6, alpha=7.0)  # nearer, but not the usual one
    add(shelf, 0.4, "gone", mix=0.0, alpha=7.0)
    assert [component.changes for component in only(shelf).components] == [{"alpha": 7.0, "mix": 0.0}]


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
    assert ablation.quality["image"] == pytest.approx((0.6, 0.1, 3))
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
    queries = {
        "full": [0.5 + value for value in noise],
        "without_alpha": [0.4 + noise[-number] for number in range(40)],
        "without_both": [0.5 + value for value in noise],
    }
    for variant, values in queries.items():
        settings = add(Shelf(), variant=variant).identity.settings
        for seed in range(2):
            shelf.add({IT: values, TI: values}, method="ours", variant=variant, seed=seed, settings=settings)
    differences = {component.variant: component.differences for component in after_tests(shelf).components}
    same = differences["without_both"][IT].comparison
    assert same is not None
    assert not same.differs
    for direction in (IT, AVERAGE):
        difference = differences["without_alpha"][direction]
        assert difference.comparison is not None
        assert (difference.comparison.holds, difference.comparison.direction) == (True, direction)
        assert difference.comparison.adjusted == pytest.approx(2 * difference.comparison.p)  # of two variants
        assert difference.comparison.difference == pytest.approx(difference.spread.mean)
    assert with_tests(only(shelf), []) == only(shelf)


def test_queries_that_differ_are_named_instead_of_tested() -> None:
    shelf = Shelf()
    add(shelf)
    settings = add(Shelf(), variant="without_alpha").identity.settings
    shelf.add({IT: [0.1, 0.2]}, method="ours", variant="without_alpha", settings=settings)
    assert "queries" in after_tests(shelf).omitted[0]


def test_methods_whose_variants_were_not_run_are_named_with_their_data() -> None:
    shelf = Shelf()
    add(shelf)
    add(shelf, dataset="other")
    add(shelf, variant="random", dataset="other")
    add(shelf, method="theirs")
    named = unablated(Results(shelf.records, LABELS))
    assert {method: [data.dataset for data in found] for method, found in named.items()} == {
        "ours": ["emoji"]
    }
