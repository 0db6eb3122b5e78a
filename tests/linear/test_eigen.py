"""The generalised eigenvalue problem: its equation, its normalisation, its sign, its blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from bench.linear import assemble, fix_signs, split, top_eigenpairs


def _problem(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    half = generator.normal(size=(size, size))
    root = generator.normal(size=(size, size + 5))
    return half + half.T, root @ root.T


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 12), ridge=st.sampled_from([0.0, 1e-6, 0.5]))
def test_pairs_solve_the_problem_with_its_ridge(seed: int, size: int, ridge: float) -> None:
    top, bottom = _problem(seed, size)
    pairs = top_eigenpairs(top, bottom, 3, ridge)
    full = bottom + ridge * np.eye(size)
    np.testing.assert_allclose(pairs.values, linalg.eigh(top, full, eigvals_only=True)[::-1][:3], rtol=1e-7)
    scale = np.abs(top).max() * np.abs(pairs.vectors).max()
    np.testing.assert_allclose(top @ pairs.vectors, full @ pairs.vectors * pairs.values, atol=1e-8 * scale)
    kept = min(3, size)
    np.testing.assert_allclose(pairs.vectors.T @ full @ pairs.vectors, np.eye(kept), atol=1e-8)


def test_a_diagonal_may_be_given_as_a_vector() -> None:
    top, _ = _problem(1, 6)
    diagonal = np.linspace(0.1, 2.0, 6)
    by_vector = top_eigenpairs(top, diagonal, 4, 0.01)
    by_matrix = top_eigenpairs(top, np.diag(diagonal), 4, 0.01)
    np.testing.assert_allclose(by_vector.values, by_matrix.values, rtol=1e-12)
    np.testing.assert_allclose(by_vector.vectors, by_matrix.vectors, atol=1e-12)


def test_scales_apart_by_many_orders_change_nothing() -> None:
    top, bottom = _problem(2, 6)
    stretch = np.array([1e-8, 1.0, 1e7, 1e-3, 1e9, 1.0])
    plain = top_eigenpairs(top, bottom, 2)
    stretched = top_eigenpairs(top * stretch[:, None] * stretch, bottom * stretch[:, None] * stretch, 2)
    np.testing.assert_allclose(stretched.values, plain.values, rtol=1e-7)


@pytest.mark.parametrize("ridge", [0.0, 1e-6])
def test_a_singular_denominator_gives_finite_vectors(ridge: float) -> None:
    top, _ = _problem(3, 5)
    root = np.random.default_rng(0).normal(size=(5, 2))
    for bottom in (root @ root.T, np.diag([1.0, 1.0, 0.0, 1.0, 1.0]), np.zeros((5, 5))):
        pairs = top_eigenpairs(top, bottom, 2, ridge)
        assert np.isfinite(pairs.vectors).all()


def test_the_largest_entry_of_every_column_is_positive() -> None:
    turned = fix_signs(np.array([[1.0, -1.0, 2.0], [-3.0, 1.0, -2.0]]))
    np.testing.assert_array_equal(turned, [[-1.0, 1.0, 2.0], [3.0, -1.0, -2.0]])


def test_blocks_are_mirrored_and_cut_again() -> None:
    cross = np.arange(6.0).reshape(2, 3)
    whole = assemble({(0, 0): np.array([1.0, 2.0]), (0, 1): cross}, (2, 3))
    np.testing.assert_array_equal(whole, whole.T)
    np.testing.assert_array_equal(whole[:2, 2:], cross)
    np.testing.assert_array_equal(whole[:2, :2], np.diag([1.0, 2.0]))
    assert not whole[2:, 2:].any()
    first, second = split(whole, (2, 3))
    np.testing.assert_array_equal(np.vstack([first, second]), whole)
    assert first.shape == (2, 5)
