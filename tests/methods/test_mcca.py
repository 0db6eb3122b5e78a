"""MCCA: its closed form, its golden numbers, its published results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench.contract import Array, Pairing, Split
from methods.mcca import MCCA, MCCASettings
from tests.methods.golden import Golden, golden
from tests.methods.linear_splits import assert_same_directions, assert_same_up_to_sign, split_of
from tests.methods.real_splits import classic_wikipedia, reached
from tests.methods.small_splits import fitted


def _split(views: Sequence[Array], pairing: Pairing = "natural", labels: Array | None = None) -> Split:
    classes = np.arange(len(views[0])) % 5 if labels is None else labels
    return split_of(views, [classes] * len(views), 5, pairing)


def _fitted(train: Split, **settings: Any) -> MCCA:
    return fitted(MCCA(MCCASettings(**settings)), train)


def _views(count: int, *widths: int) -> list[Array]:
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=(count, 3))
    return [hidden @ generator.normal(size=(3, d)) + generator.normal(size=(count, d)) + 5 for d in widths]


@pytest.mark.parametrize(("case", "shrinkage"), [("c0", 0.0), ("c01", 0.1), ("c1", 1.0)])
def test_weights_scores_and_correlations_are_those_of_cca_zoo(
    numbers: Golden, case: str, shrinkage: float
) -> None:
    views = [numbers[f"x{i}"] for i in range(3)]
    method = _fitted(_split(views), components=4, shrinkage=shrinkage)
    maps = [method.projections[f"v{i}"] for i in range(3)]
    constraint = np.zeros(4)
    for i, view in enumerate(views):
        assert_same_up_to_sign(maps[i].weights, numbers[f"{case}_weights_v{i}"])
        assert_same_up_to_sign(maps[i](view), numbers[f"{case}_scores_v{i}"])
        assert_same_up_to_sign(maps[i](numbers[f"x_new{i}"]), numbers[f"{case}_scores_new_v{i}"])
        covariance = (1 - shrinkage) * np.cov(view, rowvar=False) + shrinkage * np.eye(view.shape[1])
        constraint += np.einsum("dk,de,ek->k", maps[i].weights, covariance, maps[i].weights)
    np.testing.assert_allclose(constraint, numbers[f"{case}_constraint_wBw"], rtol=1e-8)
    scores = [project(view) for project, view in zip(maps, views, strict=True)]
    for row, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        found = [np.corrcoef(scores[i][:, k], scores[j][:, k])[0, 1] for k in range(4)]
        np.testing.assert_allclose(found, numbers[f"{case}_pair_correlations"][row], atol=1e-8)
    values = numbers[f"{case}_eigenvalues_derived"]
    np.testing.assert_allclose(method.notes()["eigenvalues"], values, rtol=1e-8)


def test_full_shrinkage_is_partial_least_squares() -> None:
    numbers = golden("pls")
    method = _fitted(_split([numbers["x0"], numbers["x1"]]), components=4, shrinkage=1.0)
    for i in range(2):
        assert_same_directions(method.projections[f"v{i}"].weights, numbers[f"weights_v{i}"])
    values = numbers["singular_values_derived"]
    np.testing.assert_allclose(method.notes()["eigenvalues"], values, rtol=1e-8)


def test_two_modalities_without_shrinkage_have_the_canonical_correlations() -> None:
    views = _views(80, 6, 4)
    bases = [np.linalg.qr(view - view.mean(axis=0))[0] for view in views]
    canonical = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    method = _fitted(_split(views), components=4, shrinkage=0.0)
    np.testing.assert_allclose(method.notes()["eigenvalues"], canonical, rtol=1e-9)


def test_labels_have_no_effect() -> None:
    views = _views(50, 6, 4, 5)
    several = np.random.default_rng(0).integers(0, 2, size=(50, 5))
    left, right = (_fitted(_split(views, labels=labels)).embed("v2", views[2]) for labels in (None, several))
    np.testing.assert_array_equal(left, right)


def test_the_eigenvalue_power_weighs_columns() -> None:
    views = _views(60, 6, 4)
    plain, squared = (_fitted(_split(views), components=3, eigenvalue_power=p) for p in (0.0, 2.0))
    expected = plain.projections["v1"].weights * np.array(plain.notes()["eigenvalues"]) ** 2
    np.testing.assert_allclose(squared.projections["v1"].weights, expected, rtol=1e-10)


def test_five_components_on_wikipedia_of_2010_reach_the_known_level() -> None:
    train, test = classic_wikipedia()
    scores = reached(MCCA(MCCASettings(components=5, shrinkage=0.0)), train, train, test)
    assert scores == pytest.approx((0.245, 0.193), abs=0.005)
