"""Spectral losses: the closed forms, and gradients that stay finite where eigenvalues meet."""

from __future__ import annotations

import numpy as np
import torch

from bench.training import canonical_correlations, covariance, whitened


def rows(count: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_canonical_correlations_are_the_cosines_between_the_spans() -> None:
    left = rows(50, 4, 0)
    right = torch.hstack([left[:, :2] + rows(50, 2, 1), rows(50, 1, 2)])
    bases = [np.linalg.qr((x - x.mean(dim=0)).numpy())[0] for x in (left, right)]
    expected = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    np.testing.assert_allclose(canonical_correlations(left, right, 0.0).numpy(), expected, rtol=1e-10)


def test_whitening_through_cholesky_factors_has_the_spectrum_of_symmetric_roots() -> None:
    left, right = rows(30, 4, 0), rows(30, 3, 1)
    s11, s22, s12 = covariance(left, left, 0.1), covariance(right, right, 0.1), covariance(left, right)

    def root(matrix: torch.Tensor) -> torch.Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        inverse: torch.Tensor = vectors @ torch.diag(values**-0.5) @ vectors.T
        return inverse

    expected = torch.linalg.svdvals(root(s11) @ s12 @ root(s22))
    torch.testing.assert_close(torch.linalg.svdvals(whitened(s12, s11, s22)), expected)


def test_gradients_are_right_where_eigenvalues_are_equal_and_rows_too_few() -> None:
    left, right = rows(4, 6, 0).requires_grad_(), rows(4, 6, 1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda one, other: canonical_correlations(one, other, 0.1)[:2].sum(), (left, right)
    )
    same = torch.eye(6, dtype=torch.float64).requires_grad_()
    canonical_correlations(same, same.detach(), 1e-3).sum().backward()  # type: ignore[no-untyped-call]
    assert same.grad is not None
    assert torch.isfinite(same.grad).all()
