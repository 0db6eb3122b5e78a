"""Contrastive and clustering losses that the noise-robust methods share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.training.losses import class_log_probability


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
    """Return ``z z^T / tau`` with ``-inf`` on the diagonal, so that no row is its own neighbour."""
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    return (z @ z.T / tau).masked_fill(itself, -torch.inf)


def robust_clustering(logits: Tensor, targets: Tensor) -> Tensor:
    """Return ``mean_i log(1 - p_i)`` with the probability ``p_i`` of the sample's classes.

    Unlike cross-entropy it has its steepest gradient at samples that are known well already. ``1 - p`` is
    summed over the other classes, which loses no digits where p is near 1.

    Args:
        logits: ``(n, C)``.
        targets: ``(n, C)``, one-hot or multi-hot.

    Source: Hu et al., Learning Cross-Modal Retrieval with Noisy Labels, CVPR 2021.
    """
    return class_log_probability(logits, 1 - targets).mean()
