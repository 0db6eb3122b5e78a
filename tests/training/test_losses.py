"""Losses that several methods share: closed forms, limits and finite gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from bench import training as t


def gradient(value: Tensor, x: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(value, [x])
    return slope


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_a_reversed_gradient_changes_its_sign_for_what_precedes_alone(weight: float) -> None:
    x, layer = torch.randn(4, 3, requires_grad=True), nn.Linear(3, 2)
    out = t.reverse_gradient(x, weight)
    assert torch.equal(out, x)
    plain, turned = (torch.autograd.grad(layer(z).square().sum(), [x, layer.weight]) for z in (x, out))
    torch.testing.assert_close(turned[0], -weight * plain[0])
    torch.testing.assert_close(turned[1], plain[1])


def test_schedules_rise_to_1_and_fall_to_0() -> None:
    values = [t.gradual(done / 10) for done in range(11)]
    assert (values[0], values) == (0.0, sorted(values))
    assert values[-1] == pytest.approx(math.tanh(5.0))
    factors = [t.cosine_decay(4)(t.Clock(epoch, 4, 0, 1)) for epoch in range(1, 7)]
    assert_allclose(factors, [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0, 0], atol=1e-12)


def test_the_cross_entropy_of_modalities_is_that_of_their_rows() -> None:
    unsure = [torch.zeros(4, 3), torch.zeros(2, 3), torch.zeros(3, 3)]
    assert t.modality_cross_entropy(unsure).item() == pytest.approx(math.log(3))
    sure = [torch.eye(2)[:1] * 50, torch.eye(2)[1:] * 50]
    assert t.modality_cross_entropy(sure).item() == pytest.approx(0.0, abs=1e-6)
    assert t.modality_cross_entropy(sure[::-1]).item() == pytest.approx(50.0)


def test_contrast_of_one_pair_is_zero_with_a_finite_gradient() -> None:
    z = torch.tensor([[1.0, 0.0]], requires_grad=True)
    value = t.multimodal_contrast([z, torch.tensor([[0.0, 1.0]])])
    assert value.item() == 0.0
    assert_allclose(gradient(value, z), 0.0, atol=1e-7)


def test_robust_clustering_is_exact_for_probabilities_near_1() -> None:
    logits = torch.tensor([[40.0, 0.0]], requires_grad=True)
    value = t.robust_clustering(logits, torch.tensor([[1.0, 0.0]]))
    assert value.item() == pytest.approx(-40.0)
    assert_allclose(gradient(value, logits), [[-1.0, 1.0]], rtol=1e-5)


def test_unit_rows_have_length_one_and_zero_rows_a_finite_gradient() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    assert_allclose(t.unit(rows).detach()[0], [0.6, 0.8], rtol=1e-6)
    assert torch.isfinite(gradient(t.unit(rows).sum() + t.row_norm(rows).sum(), rows)).all()


def test_the_shared_cross_entropy_has_equal_shares_of_a_rows_classes() -> None:
    y = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    logits = torch.tensor([[50.0, 50.0, 0.0], [0.0, 0.0, 50.0], [1.0, 2.0, 3.0]])
    assert t.shared_cross_entropy(logits, y).item() == pytest.approx(math.log(2.0) / 3)


@pytest.mark.parametrize("q", [0.0, 0.01, 1.0])
def test_gce_of_rows_without_a_class_is_finite_and_has_no_gradient(q: float) -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    assert torch.isfinite(t.class_log_probability(logits, torch.zeros(2, 3))).all()
    assert_allclose(gradient(t.gce(logits, torch.zeros(2, 3), q), logits), 0, atol=1e-6)


def rows(count: int, width: int, seed: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_canonical_correlations_are_the_cosines_between_the_spans() -> None:
    left = rows(50, 4, 0)
    right = torch.hstack([left[:, :2] + rows(50, 2, 1), rows(50, 1, 2)])
    bases = [np.linalg.qr((x - x.mean(dim=0)).numpy())[0] for x in (left, right)]
    expected = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    assert_allclose(t.canonical_correlations(left, right, 0.0).numpy(), expected, rtol=1e-10)


def test_whitening_by_cholesky_factors_has_the_spectrum_of_symmetric_roots() -> None:
    left, right = rows(30, 4, 0), rows(30, 3, 1)
    s11, s22 = t.covariance(left, left, 0.1), t.covariance(right, right, 0.1)
    s12 = t.covariance(left, right)

    def root(matrix: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        inverse: Tensor = vectors @ torch.diag(values**-0.5) @ vectors.T
        return inverse

    expected = torch.linalg.svdvals(root(s11) @ s12 @ root(s22))
    torch.testing.assert_close(torch.linalg.svdvals(t.whitened(s12, s11, s22)), expected)


def test_gradients_of_correlations_are_right_for_equal_eigenvalues_and_few_rows() -> None:
    pair = rows(4, 6, 0).requires_grad_(), rows(4, 6, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: t.canonical_correlations(x, y, 0.1)[:2].sum(), pair)
    same = torch.eye(6, dtype=torch.float64).requires_grad_()
    value = t.canonical_correlations(same, same.detach(), 1e-3).sum()
    assert torch.isfinite(gradient(value, same)).all()
