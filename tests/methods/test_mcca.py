"""MCCA: its closed form, its golden numbers, its published and released results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench.contract import Array, Context, Modality, Pairing, Split, Unsupported
from methods.mcca import MCCA, MCCASettings
from tests.methods.real_splits import COMPACT, classic_wikipedia, emoji, reached, released
from tests.shared import shared

GOLDEN = {"c0": 0.0, "c01": 0.1, "c1": 1.0}


def _split(views: Sequence[Array], pairing: Pairing = "natural", labels: Array | None = None) -> Split:
    classes = np.arange(len(views[0])) % 5 if labels is None else labels
    return Split({f"v{i}": Modality(view, classes) for i, view in enumerate(views)}, 5, pairing)


def _fitted(train: Split, **settings: Any) -> MCCA:
    method = MCCA(MCCASettings(**settings))
    method.fit(train, train, Context())
    return method


def _views(count: int, widths: Sequence[int], seed: int = 0) -> list[Array]:
    generator = np.random.default_rng(seed)
    hidden = generator.normal(size=(count, 3))
    return [
        hidden @ generator.normal(size=(3, width)) + generator.normal(size=(count, width)) + 5
        for width in widths
    ]


def _same_up_to_sign(ours: Array, theirs: Array) -> None:
    signs = np.sign(np.sum(ours * theirs, axis=0))
    np.testing.assert_allclose(ours * signs, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("case", GOLDEN)
def test_weights_scores_and_correlations_are_those_of_cca_zoo(case: str) -> None:
    golden = np.load(shared("golden/mcca.npz"))
    views = [golden[f"x{i}"] for i in range(3)]
    method = _fitted(_split(views), components=4, shrinkage=GOLDEN[case])
    maps = [method.projections[f"v{i}"] for i in range(3)]
    for i, view in enumerate(views):
        _same_up_to_sign(maps[i].weights, golden[f"{case}_weights_v{i}"])
        _same_up_to_sign(maps[i](view), golden[f"{case}_scores_v{i}"])
        _same_up_to_sign(maps[i](golden[f"x_new{i}"]), golden[f"{case}_scores_new_v{i}"])
    scores = [project(view) for project, view in zip(maps, views, strict=True)]
    for row, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        found = [np.corrcoef(scores[i][:, k], scores[j][:, k])[0, 1] for k in range(4)]
        np.testing.assert_allclose(found, golden[f"{case}_pair_correlations"][row], atol=1e-8)
    np.testing.assert_allclose(
        method.notes()["eigenvalues"], golden[f"{case}_eigenvalues_derived"], rtol=1e-8
    )


@pytest.mark.parametrize("case", GOLDEN)
def test_weights_meet_the_constraint_of_unit_variance_on_average(case: str) -> None:
    golden = np.load(shared("golden/mcca.npz"))
    views = [golden[f"x{i}"] for i in range(3)]
    shrinkage = GOLDEN[case]
    method = _fitted(_split(views), components=4, shrinkage=shrinkage)
    total = np.zeros(4)
    for i, view in enumerate(views):
        own = (1 - shrinkage) * np.cov(view, rowvar=False) + shrinkage * np.eye(view.shape[1])
        weights = method.projections[f"v{i}"].weights
        total += np.einsum("dk,de,ek->k", weights, own, weights)
    np.testing.assert_allclose(total, golden[f"{case}_constraint_wBw"], rtol=1e-8)


def test_full_shrinkage_is_partial_least_squares() -> None:
    golden = np.load(shared("golden/pls.npz"))
    method = _fitted(_split([golden["x0"], golden["x1"]]), components=4, shrinkage=1.0)
    for i in range(2):
        ours, theirs = method.projections[f"v{i}"].weights, golden[f"weights_v{i}"]
        _same_up_to_sign(ours / np.linalg.norm(ours, axis=0), theirs / np.linalg.norm(theirs, axis=0))
    np.testing.assert_allclose(method.notes()["eigenvalues"], golden["singular_values_derived"], rtol=1e-8)


def test_two_modalities_without_shrinkage_have_the_canonical_correlations() -> None:
    views = _views(80, (6, 4))
    bases = [np.linalg.qr(view - view.mean(axis=0))[0] for view in views]
    canonical = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    method = _fitted(_split(views), components=4, shrinkage=0.0)
    np.testing.assert_allclose(method.notes()["eigenvalues"], canonical, rtol=1e-9)


def test_without_shrinkage_linear_maps_of_a_modality_change_nothing() -> None:
    views = _views(80, (6, 4))
    mixed = views[0] @ np.random.default_rng(1).normal(size=(6, 6)) * 1e5
    plain = _fitted(_split(views), components=3, shrinkage=0.0).embed("v0", views[0])
    other = _fitted(_split([mixed, views[1]]), components=3, shrinkage=0.0).embed("v0", mixed)
    np.testing.assert_allclose(np.abs(np.sum(plain * other, axis=0)), np.sum(plain**2, axis=0), rtol=1e-4)


def test_labels_are_not_looked_at() -> None:
    views = _views(50, (6, 4, 5))
    several = np.random.default_rng(0).integers(0, 2, size=(50, 5))
    by_class, by_set = (_fitted(_split(views, labels=labels)) for labels in (None, several))
    np.testing.assert_array_equal(by_class.embed("v2", views[2]), by_set.embed("v2", views[2]))


def test_the_eigenvalue_power_weighs_columns() -> None:
    views = _views(60, (6, 4))
    plain, squared = (_fitted(_split(views), components=3, eigenvalue_power=p) for p in (0.0, 2.0))
    expected = plain.projections["v1"].weights * np.array(plain.notes()["eigenvalues"]) ** 2
    np.testing.assert_allclose(squared.projections["v1"].weights, expected, rtol=1e-10)


def test_fewer_rows_than_features_and_dead_features_are_no_obstacle() -> None:
    views = _views(20, (50, 30))
    views[0][:, :10] = 0.0
    rows = _fitted(_split(views)).embed("v0", views[0])
    assert np.isfinite(rows).all()
    assert rows.shape == (20, 4)
    assert np.ptp(rows, axis=0).min() > 0.0


def test_unpaired_rows_are_refused_and_class_matched_ones_taken() -> None:
    views = _views(30, (6, 4))
    with pytest.raises(Unsupported, match="class_matched"):
        _fitted(_split(views, "none"))
    assert _fitted(_split(views, "class-matched")).embed("v0", views[0]).shape == (30, 4)


@pytest.mark.parametrize("wrong", [{"shrinkage": 1.5}, {"components": 0}, {"eigenvalue_power": -1.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MCCASettings(**wrong)


def test_five_components_on_wikipedia_of_2010_reach_the_known_level() -> None:
    train, test = classic_wikipedia()
    scores = reached(MCCA(MCCASettings(components=5, shrinkage=0.0)), train, train, test)
    assert scores == pytest.approx((0.245, 0.193), abs=0.005)


@pytest.mark.parametrize(("shrinkage", "components"), [(c, k) for c in (0, 0.1, 1) for k in (10, 30)])
def test_emoji_scores_are_those_of_the_reference_runs(shrinkage: float, components: int) -> None:
    method = MCCA(MCCASettings(components=components, shrinkage=shrinkage))
    scores = reached(method, *emoji(COMPACT))
    assert scores == pytest.approx(released(f"MCCA_c{shrinkage}_k{components}"), abs=0.002)
