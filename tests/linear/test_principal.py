"""Principal axes: orthonormal, ordered, the same by either route, none without variance."""

from __future__ import annotations

import numpy as np
import pytest

from bench.contract import Unsupported, UsageError
from bench.linear import CentredRows, PrincipalAxes, principal_axes


def _axes(features: np.ndarray, energy: float = 1.0, limit: int | None = None) -> PrincipalAxes:
    return principal_axes(CentredRows.of(features), energy, limit)


def _features(count: int, width: int) -> np.ndarray:
    generator = np.random.default_rng(5)
    return np.asarray(generator.normal(size=(count, width)) * np.linspace(3.0, 0.5, width) + 1.0)


@pytest.mark.parametrize(("count", "width"), [(40, 6), (7, 30)])
def test_six_axes_turn_the_scatter_into_its_spectrum_by_either_route(count: int, width: int) -> None:
    features = _features(count, width)
    axes = _axes(features)
    positions = (features - features.mean(axis=0)) @ axes.basis
    assert axes.basis.shape == (width, 6)
    np.testing.assert_allclose(axes.basis.T @ axes.basis, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(positions.T @ positions, np.diag(axes.spectrum), atol=1e-9)
    assert axes.spectrum.sum() == pytest.approx(np.square(features - features.mean(axis=0)).sum())
    assert (np.diff(axes.spectrum) < 0).all()
    assert axes.energy == pytest.approx(1.0)


@pytest.mark.parametrize("count", [40, 5])
def test_constant_and_dependent_features_add_no_axis(count: int) -> None:
    features = _features(count, 6)
    more = np.hstack([features, np.full((count, 1), 1e6), features[:, :1] - features[:, 1:2]])
    assert _axes(more).count == _axes(features).count


def test_shares_that_sum_to_one_lose_one_axis() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(10), size=500)
    assert _axes(shares).count == 9
    assert _axes(shares.astype(np.float32)).count == 9


def test_energy_keeps_the_fewest_axes_that_hold_it_and_a_limit_caps_them() -> None:
    features = _features(200, 8)
    spectrum = _axes(features).spectrum
    share = np.cumsum(spectrum) / spectrum.sum()
    for energy in (0.3, 0.5, 0.9, 0.99):
        axes = _axes(features, energy)
        assert share[axes.count - 1] >= energy
        assert axes.count == 1 or share[axes.count - 2] < energy
        assert axes.energy == pytest.approx(share[axes.count - 1])
    assert _axes(features, limit=3).count == 3
    assert _axes(features, 0.3, limit=7).count < 7


@pytest.mark.parametrize(("count", "value"), [(6, 0.1), (2, 1e5 / 3)])
def test_features_without_variance_are_refused(count: int, value: float) -> None:
    with pytest.raises(Unsupported, match="equal"):
        _axes(np.full((count, 3), value))


@pytest.mark.parametrize(("energy", "limit"), [(0.0, None), (1.5, None), (1.0, 0)])
def test_impossible_requests_are_refused(energy: float, limit: int | None) -> None:
    with pytest.raises(UsageError, match="pca_"):
        _axes(_features(9, 3), energy, limit)
