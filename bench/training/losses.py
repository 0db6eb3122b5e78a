"""Pieces of losses that several methods of the family share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softplus

from bench.training.encoders import row_norm, unit


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """Return the cosine ``(n, m)`` of each row of ``left`` with each row of ``right``."""
    return unit(left) @ unit(right).T


def pair_nll(t: Tensor, s: Tensor) -> Tensor:
    """Return the mean over pairs of ``softplus(t_ij) - s_ij t_ij``.

    It is the negative log likelihood of the label similarities ``s`` under logits ``t``, both ``(n, m)``.
    """
    return (softplus(t) - s * t).mean()


def similarity_nll(z: Sequence[Tensor], y: Sequence[Tensor], *, counted: bool = False) -> Tensor:
    """Return the sum of `pair_nll` under logits ``cos / 2``, over all modalities and pairs of them.

    Args:
        z: embeddings ``(n_v, d)`` per modality.
        y: their targets ``(n_v, C)``.
        counted: label similarities count the shared classes; otherwise they are 1 where there is any.
    """
    terms = []
    for (a, y_a), (b, y_b) in combinations_with_replacement(zip(z, y, strict=True), 2):
        shared = y_a @ y_b.T
        terms.append(pair_nll(cosines(a, b) / 2, shared if counted else (shared > 0).to(shared.dtype)))
    return torch.stack(terms).sum()


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
