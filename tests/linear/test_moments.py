"""Moments of a training set: blocked sums equal dense ones; principal axes are orthonormal and ordered."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import DataError, Unsupported, UsageError
from bench.data.scaling import Scaling
from bench.linear import (
    CentredRows,
    PrincipalAxes,
    between_scatter,
    class_sums,
    cross_scatter,
    principal_axes,
    scatter,
)


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.linear.moments._BLOCK_BYTES", 8 * 5 * 7)


def _features(count: int, width: int, seed: int = 0, dtype: str = "float64") -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(count, width)) + 3.0).astype(dtype)


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("scaling", ["none", "standard", "unit"])
def test_blocks_give_the_covariance_of_the_whole(dtype: str, scaling: Scaling) -> None:
    left, right = _features(23, 5, 1, dtype), _features(23, 4, 2, dtype)
    first, second = CentredRows.of(left, scaling), CentredRows.of(right, scaling)
    both = [rows.scaler(x.astype(np.float64)) for rows, x in ((first, left), (second, right))]
    whole = np.cov(np.hstack(both), rowvar=False) * 22
    np.testing.assert_allclose(scatter(first), whole[:5, :5], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(cross_scatter(first, second), whole[:5, 5:], rtol=1e-12, atol=1e-12)


def test_float32_rows_are_summed_in_float64() -> None:
    features = _features(60_000, 2, dtype="float32") + np.float32(1000.0)
    exact = np.cov(features.astype(np.float64), rowvar=False) * (len(features) - 1)
    np.testing.assert_allclose(scatter(CentredRows.of(features)), exact, rtol=1e-11)


@pytest.mark.usefixtures("tiny_blocks")
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 30), classes=st.integers(1, 5))
def test_between_scatter_is_the_graph_form(seed: int, count: int, classes: int) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, count)
    rows = CentredRows.of(_features(count, 4, seed))
    sums, counts = class_sums(rows, labels, classes)
    same = (labels[:, None] == labels).astype(float)
    graph = same / same.sum(axis=1)
    centred = rows.features - rows.mean
    np.testing.assert_allclose(between_scatter(sums, counts), centred.T @ graph @ centred, atol=1e-10)
    assert counts.sum() == count


def test_a_row_counts_for_each_of_its_classes() -> None:
    features = np.array([[1.0, 0.0], [0.0, 3.0], [5.0, 6.0]])
    labels = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
    rows = CentredRows.of(features)
    sums, counts = class_sums(rows, labels, 3)
    centred = features - features.mean(axis=0)
    np.testing.assert_allclose(sums, [centred[0], centred[0] + centred[1], [0.0, 0.0]])
    np.testing.assert_array_equal(counts, [1.0, 2.0, 0.0])


def test_memory_does_not_grow_with_pairs_of_rows() -> None:
    rows = CentredRows.of(_features(20_000, 6, dtype="float32"))
    labels = np.arange(20_000) % 7
    tracemalloc.start()
    scatter(rows)
    class_sums(rows, labels, 7)
    cross_scatter(rows, rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20  # a matrix over pairs of rows would take 3 GB


def test_rows_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(DataError, match="NaN"):
        CentredRows.of(np.array([[1.0], [np.nan]]))
    with pytest.raises(DataError, match="learn"):
        CentredRows.of(np.empty((0, 3)))
    with pytest.raises(DataError, match="pairs"):
        cross_scatter(CentredRows.of(_features(4, 2)), CentredRows.of(_features(5, 2)))


def _axes(features: np.ndarray, energy: float = 1.0, limit: int | None = None) -> PrincipalAxes:
    return principal_axes(CentredRows.of(features), energy, limit)


def _varied(count: int, width: int) -> np.ndarray:
    generator = np.random.default_rng(5)
    return np.asarray(generator.normal(size=(count, width)) * np.linspace(3.0, 0.5, width) + 1.0)


@pytest.mark.parametrize(("count", "width"), [(40, 6), (7, 30)])
def test_six_axes_turn_the_scatter_into_its_spectrum_by_either_route(count: int, width: int) -> None:
    features = _varied(count, width)
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
    features = _varied(count, 6)
    more = np.hstack([features, np.full((count, 1), 1e6), features[:, :1] - features[:, 1:2]])
    assert _axes(more).count == _axes(features).count


def test_shares_that_sum_to_one_lose_one_axis() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(10), size=500)
    assert _axes(shares).count == 9
    assert _axes(shares.astype(np.float32)).count == 9


def test_energy_keeps_the_fewest_axes_that_hold_it_and_a_limit_caps_them() -> None:
    features = _varied(200, 8)
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
        _axes(_varied(9, 3), energy, limit)
