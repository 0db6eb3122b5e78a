"""Loss functions that several methods share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, softplus

from bench.training.networks import row_norm, unit


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """Return the cosine ``(n, m)`` of each row of ``left`` with each row of ``right``."""
    return unit(left) @ unit(right).T


def pair_nll(t: Tensor, s: Tensor) -> Tensor:
    """Return the mean over pairs of ``softplus(t_ij) - s_ij t_ij``.

    It is the negative log likelihood of the label similarities ``s`` under logits ``t``, both ``(n, m)``.
    """
    return _pair_terms(t, s).mean()


def similarity_nll(z: Sequence[Tensor], y: Sequence[Tensor], *, counted: bool = False) -> Tensor:
    """Return the sum of `pair_nll` under logits ``cos / 2``, over all modalities and pairs of them.

    Embeddings are ``(n_v, d)`` and targets ``(n_v, C)`` per modality. Label similarities are 1 where a class
    is shared, or ``counted``: how many are.
    """
    rows, targets, sizes = unit(torch.cat(list(z))), torch.cat(list(y)), [len(part) for part in z]
    shared = targets @ targets.T
    terms = _pair_terms(rows @ rows.T / 2, shared if counted else (shared > 0).to(shared.dtype))
    blocks = [torch.split(part, sizes, dim=1) for part in torch.split(terms, sizes)]
    pairs = combinations_with_replacement(range(len(z)), 2)
    return torch.stack([blocks[a][b].mean() for a, b in pairs]).sum()


def distance(left: Tensor, right: Tensor) -> Tensor:
    """Return the mean Euclidean distance of corresponding rows."""
    return row_norm(left - right).mean()


def shared_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy with the classes of each row in equal shares; both are ``(n, C)``.

    A row without any class adds nothing.
    """
    shares = targets / targets.sum(dim=1, keepdim=True).clamp_min(1)
    return -(shares * log_softmax(logits, dim=1)).sum(dim=1).mean()


def class_log_probability(logits: Tensor, targets: Tensor) -> Tensor:
    """Return ``log sum_c y_c softmax(logits)_c`` per row.

    A row without any class gets the logarithm of the smallest number, with gradient 0.
    """
    weights = targets.clamp_min(torch.finfo(targets.dtype).tiny).log()
    return torch.logsumexp(log_softmax(logits, dim=1) + weights, dim=1)


def gce(logits: Tensor, targets: Tensor, q: float) -> Tensor:
    """Return the generalised cross-entropy ``mean_i (1 - p_i^q) / q``; at q = 0 its limit ``-log p``.

    Args:
        logits: ``(n, C)``.
        targets: ``(n, C)``, one-hot, multi-hot or mixed; ``p = sum_c y_c softmax(logits)_c``.
        q: in [0, 1]; 1 is the mean absolute error.

    Source: Zhang and Sabuncu, Generalized Cross Entropy Loss, NeurIPS 2018, eq. 6.
    """
    log_p = class_log_probability(logits, targets)
    if q == 0:
        return -log_p.mean()
    return -(torch.expm1(q * log_p) / q).mean()


def multimodal_contrast(views: Sequence[Tensor], tau: float = 1.0) -> Tensor:
    """Return the contrast of instances over modalities, ``-2 mean_i log(sum_{j in P_i} s_ij / sum_k s_ik)``.

    All rows of all modalities are anchors, ``s = exp(z z^T / tau)`` without a row's similarity to itself,
    and ``P_i`` is the same instance in the other modalities. The factor 2 is that of the released codes,
    which add the loss over rows and the equal loss over columns.

    Args:
        views: per modality embeddings ``(n, d)``, usually of length 1; row i shows the same instance in all.
        tau: temperature.

    Source: Hu et al., Learning Cross-Modal Retrieval with Noisy Labels, CVPR 2021.
    """
    logits = neighbour_logits(torch.cat(list(views)), tau)
    count, rows = len(views), len(views[0])
    # Blocks of a pair of modalities hold their pairs on the diagonal; of a modality with itself, -inf.
    same = logits.reshape(count, rows, count, rows).diagonal(dim1=1, dim2=3)
    positives = torch.logsumexp(same, dim=1).reshape(-1)
    return -2 * (positives - torch.logsumexp(logits, dim=1)).mean()


def neighbour_logits(z: Tensor, tau: float) -> Tensor:
    """Return ``z z^T / tau`` with ``-inf`` on the diagonal, so that no row is a neighbour of itself."""
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    return (z @ z.T / tau).masked_fill(itself, -torch.inf)


def robust_clustering(logits: Tensor, targets: Tensor) -> Tensor:
    """Return ``mean_i log(1 - p_i)`` with the probability ``p_i`` of the sample's classes; ``(n, C)`` both.

    Unlike cross-entropy it has its steepest gradient at samples that are known well already. ``1 - p`` is
    summed over the other classes, which loses no digits where p is near 1.

    Source: Hu et al., Learning Cross-Modal Retrieval with Noisy Labels, CVPR 2021.
    """
    return class_log_probability(logits, 1 - targets).mean()


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    """Return ``x`` unchanged; on the way back its gradient is multiplied by ``-weight``.

    What follows learns to lower a loss while what precedes learns to raise it, in one update.

    Source: Ganin and Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015, sec. 3.
    """
    reversed_: Tensor = _Reversal.apply(x, weight)  # type: ignore[no-untyped-call]
    return reversed_


def gradual(done: float) -> float:
    """Return ``2 / (1 + exp(-10 done)) - 1``: 0 at the start of training, nearly 1 at its end.

    ``done`` is the share of the training that is done, `bench.training.Clock.done`.

    Source: Ganin and Lempitsky, ICML 2015, sec. 4.
    """
    return 2.0 / (1.0 + math.exp(-10.0 * done)) - 1.0


def modality_cross_entropy(logits: Sequence[Tensor]) -> Tensor:
    """Return the mean over rows of the cross-entropy of a classifier of V modalities.

    In the logits ``(n_v, V)`` of each modality, column v is that of the v-th modality.
    """
    classes = [rows.new_full((len(rows),), v, dtype=torch.long) for v, rows in enumerate(logits)]
    return cross_entropy(torch.cat(list(logits)), torch.cat(classes))


class _Reversal(torch.autograd.Function):
    """The identity, whose gradient is multiplied by ``-weight``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        """Return the input."""
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Return the gradient, reversed."""
        return -ctx.weight * grads[0], None


def whitened(middle: Tensor, left: Tensor, right: Tensor | None = None) -> Tensor:
    """Return ``L^-1 middle R^-T`` ``(p, q)`` for the Cholesky factors L of ``left`` and R of ``right``.

    They are symmetric positive definite, ``(p, p)`` and ``(q, q)``; without ``right`` it is ``left`` again.
    """
    lower = torch.linalg.cholesky(left)
    upper = lower if right is None else torch.linalg.cholesky(right)
    half = torch.linalg.solve_triangular(lower, middle, upper=False)
    whole: Tensor = torch.linalg.solve_triangular(upper, half.T, upper=False).T
    return whole


def covariance(left: Tensor, right: Tensor, ridge: float = 0.0) -> Tensor:
    """Return the covariance ``(p, q)`` of corresponding rows, with ``ridge`` on its diagonal."""
    x, y = left - left.mean(dim=0), right - right.mean(dim=0)
    product = x.T @ y / max(len(left) - 1, 1)
    return product + ridge * torch.eye(*product.shape, dtype=product.dtype, device=product.device)


def canonical_correlations(left: Tensor, right: Tensor, ridge: float) -> Tensor:
    """Return the canonical correlations of rows ``(n, p)`` and ``(n, q)``, by falling size, in float64.

    They are the singular values of ``S_11^-1/2 S_12 S_22^-1/2``. The ridge is added to the diagonals of S_11
    and S_22, and positive where these may be singular.

    Source: Andrew et al., Deep Canonical Correlation Analysis, ICML 2013, sec. 3.
    """
    left, right = left.double(), right.double()
    between = whitened(
        covariance(left, right), covariance(left, left, ridge), covariance(right, right, ridge)
    )
    correlations: Tensor = torch.linalg.svdvals(between)
    return correlations


def _pair_terms(t: Tensor, s: Tensor) -> Tensor:
    """Return ``softplus(t_ij) - s_ij t_ij``, ``(n, m)``."""
    return softplus(t) - s * t
