"""Spectra as losses: matrices between two whitened sides, with gradients that stay finite.

Whitening goes through Cholesky factors. The singular values and eigenvalues of what lies between are the
same as with symmetric inverse roots, but their gradients hold no differences of eigenvalues that could
vanish, so equal eigenvalues do no harm.
"""

from __future__ import annotations

import torch
from torch import Tensor


def whitened(middle: Tensor, left: Tensor, right: Tensor | None = None) -> Tensor:
    """Return ``L^-1 middle R^-T`` for the Cholesky factors L of ``left`` and R of ``right``.

    Args:
        middle: ``(p, q)``.
        left: symmetric positive definite ``(p, p)``.
        right: likewise ``(q, q)``; None for ``left`` on both sides.
    """
    lower = torch.linalg.cholesky(left)
    upper = lower if right is None else torch.linalg.cholesky(right)
    half = torch.linalg.solve_triangular(lower, middle, upper=False)
    whole: Tensor = torch.linalg.solve_triangular(upper, half.T, upper=False).T
    return whole


def covariance(left: Tensor, right: Tensor, ridge: float = 0.0) -> Tensor:
    """Return the covariance ``(p, q)`` of corresponding rows, with ``ridge`` on its diagonal."""
    one, other = left - left.mean(dim=0), right - right.mean(dim=0)
    product = one.T @ other / max(len(left) - 1, 1)
    return product + ridge * torch.eye(*product.shape, dtype=product.dtype, device=product.device)


def canonical_correlations(left: Tensor, right: Tensor, ridge: float) -> Tensor:
    """Return the canonical correlations of corresponding rows, by falling size, in float64.

    They are the singular values of ``S_11^-1/2 S_12 S_22^-1/2``.

    Args:
        left: ``(n, p)``.
        right: ``(n, q)``.
        ridge: added to the diagonals of S_11 and S_22; positive where these may be singular.

    Source: Andrew et al., Deep Canonical Correlation Analysis, ICML 2013, sec. 3.
    """
    left, right = left.double(), right.double()
    between = whitened(
        covariance(left, right), covariance(left, left, ridge), covariance(right, right, ridge)
    )
    correlations: Tensor = torch.linalg.svdvals(between)
    return correlations
