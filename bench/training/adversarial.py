"""Pieces of adversarial training: gradients that change sign on their way back, and who they fool."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    """Return ``x`` unchanged; on the way back its gradient is multiplied by ``-weight``.

    What follows learns to lower a loss while what precedes learns to raise it, in one update.

    Source: Ganin and Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015, sec. 3.
    """
    reversed_: Tensor = _Reversal.apply(x, weight)  # type: ignore[no-untyped-call]
    return reversed_


def gradual(done: float, steepness: float = 10.0) -> float:
    """Return ``2 / (1 + exp(-steepness done)) - 1``: 0 at the start of training, nearly 1 at its end.

    Args:
        done: share of the training that lies behind, in [0, 1]; `bench.training.Clock.done`.
        steepness: how early the rise is.

    Source: Ganin and Lempitsky, ICML 2015, sec. 4.
    """
    return 2.0 / (1.0 + math.exp(-steepness * done)) - 1.0


def modality_cross_entropy(logits: Sequence[Tensor]) -> Tensor:
    """Return the mean over rows of the cross-entropy with which modalities are told apart.

    Args:
        logits: for each modality ``(n_v, V)``; column v stands for the v-th of them.
    """
    places = [rows.new_full((len(rows),), place, dtype=torch.long) for place, rows in enumerate(logits)]
    return cross_entropy(torch.cat(list(logits)), torch.cat(places))


class _Reversal(torch.autograd.Function):
    """The identity, whose gradient is multiplied by ``-weight``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * grads[0], None
