"""Blocked sums equal the dense ones, in float64, without a matrix over pairs of rows."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import DataError
from bench.data.scaling import Scaling
from bench.linear import CentredRows, between_scatter, class_sums, cross_scatter, scatter


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
    one, other = CentredRows.of(left, scaling), CentredRows.of(right, scaling)
    both = [rows.scaler(features.astype(np.float64)) for rows, features in ((one, left), (other, right))]
    whole = np.cov(np.hstack(both), rowvar=False) * 22
    np.testing.assert_allclose(scatter(one), whole[:5, :5], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(cross_scatter(one, other), whole[:5, 5:], rtol=1e-12, atol=1e-12)


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
    with pytest.raises(DataError, match="nothing to learn"):
        CentredRows.of(np.empty((0, 3)))
    with pytest.raises(DataError, match="cannot be pairs"):
        cross_scatter(CentredRows.of(_features(4, 2)), CentredRows.of(_features(5, 2)))
