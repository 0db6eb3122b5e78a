"""DRSL: a network scores pairs of an image and a text; there is no common space to measure cosines in."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, mse_loss

from bench import training as t

BLOCK_NUMBERS = 1 << 18
"""Size of a block of hidden units when many pairs are scored, 1 MB: it stays in a core's cache."""


@dataclass(frozen=True, kw_only=True)
class DRSLSettings(t.DeepSettings):
    """Settings of DRSL; defaults are the released code's."""

    epochs: int = t.setting(20, "passes over the training rows", "release")
    batch_size: int = t.setting(200, "rows of each modality per batch, so 40,000 pairs", "release")
    hidden: tuple[int, ...] = t.setting((1024, 1024), "of each modality's encoder", "release")
    dim: int = t.setting(300, "width of the encoders' output", "release")
    scorer_hidden: tuple[int, ...] = t.setting((1024, 1024), "of the network that scores pairs", "release")
    lr: float = t.setting(1e-4, "learning rate in the first epoch", "release")
    lr_decay: float = t.setting(0.98, "factor on the learning rate per epoch", "release")
    weight_decay: float = t.setting(1e-4, "L2 penalty on the weights", "release")
    faithful_to: t.FaithfulTo = t.setting("paper", "release: the rate falls before the first epoch already")


class DRSL(t.DeepMethod):
    """Deep relational similarity learning."""

    card = t.card("drsl")
    Settings = DRSLSettings
    settings: DRSLSettings
    mutual = True
    batches = t.Joint(minimum=2)

    def build(self, data: t.DeviceSplit) -> None:
        """Make the encoders, with batch normalisation, and the network that scores pairs."""
        s = self.settings
        self.encoders = self.mlps(data, norm=nn.BatchNorm1d, activate_last=True)
        self.scorer = self.module("scorer", lambda: PairScorer(s.dim, s.scorer_hidden))

    def optimiser(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        """Return Adam with weight decay."""
        return t.adam(parameters, lr, (0.5, 0.99), self.settings.weight_decay)

    def schedule(self, clock: t.Clock) -> float:
        """Return the decay of the learning rate, by epoch."""
        return float(self.settings.lr_decay ** (clock.epoch - 1))

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Return `relation_loss` of all pairs of a batch; those with a shared class are related."""
        y_1, y_2 = batch.targets.values()
        scores = self.scorer(*z.values())
        return relation_loss(scores, (y_1 @ y_2.T > 0).to(scores.dtype))

    def similarity(
        self, query_modality: str, queries: t.Array, gallery_modality: str, gallery: t.Array
    ) -> t.Array:
        """Return the learned score of every pair, ``(n_queries, n_gallery)``; memory is bounded."""
        left, right = (
            torch.from_numpy(self.embed(name, rows)).to(self.context.device)
            for name, rows in ((query_modality, queries), (gallery_modality, gallery))
        )
        with t.reproducible(self.context.threads), torch.no_grad():
            if query_modality == next(iter(self.encoders)):
                scores = self.scorer.blockwise(left, right)
            else:
                scores = self.scorer.blockwise(right, left).T
            return np.asarray(scores.cpu().numpy())


class PairScorer(nn.Module):
    """A perceptron on ``[z_i, z_j]`` for every pair, with batch normalisation over the pairs.

    Its first layer is linear in both halves, ``W [z_i, z_j] + b = (W_1 z_i + b) + W_2 z_j``, so products
    are taken per sample. Over all pairs the sum's mean is the sum of the halves' means, and its variance
    that of their variances; normalisation, too, is done per sample.
    """

    def __init__(self, dim: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.first = nn.Linear(2 * dim, hidden[0])
        self.norm = nn.BatchNorm1d(hidden[0])
        self.rest = t.mlp((*hidden, 1), norm=nn.BatchNorm1d)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Return scores ``(n, m)`` of rows ``(n, d)`` and ``(m, d)``."""
        return self._paired(*self._halves(left, right))

    def blockwise(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the same in evaluation mode, a block of pairs at a time."""
        a, b = self._halves(left, right)
        columns = max(1, min(len(b), BLOCK_NUMBERS // a.shape[1]))
        rows = max(1, BLOCK_NUMBERS // (a.shape[1] * columns))
        scores = a.new_empty(len(a), len(b))
        for i in range(0, len(a), rows):
            for j in range(0, len(b), columns):
                scores[i : i + rows, j : j + columns] = self._paired(a[i : i + rows], b[j : j + columns])
        return scores

    def _halves(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each row adds to its pairs' first layer, after normalisation."""
        weight_left, weight_right = self.first.weight.chunk(2, dim=1)
        a, b = linear(left, weight_left, self.first.bias), linear(right, weight_right)
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        if self.training:
            a, b, variance = self._centred(a, b, mean, variance)
        else:
            a = a - mean
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        return torch.addcmul(self.norm.bias, a, scale), b * scale

    def _centred(self, a: Tensor, b: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the halves less their means, and the variance of ``a_i + b_j``; average both moments."""
        mean_a, mean_b = a.mean(dim=0), b.mean(dim=0)
        a, b = a - mean_a, b - mean_b
        spread = a.square().mean(dim=0) + b.square().mean(dim=0)
        pairs, momentum = len(a) * len(b), self.norm.momentum or 0.1
        mean.lerp_((mean_a + mean_b).detach(), momentum)
        variance.lerp_(spread.detach() * (pairs / (pairs - 1)), momentum)
        return a, b, spread

    def _paired(self, a: Tensor, b: Tensor) -> Tensor:
        hidden = (a[:, None] + b).relu_().flatten(0, 1)  # in this order no gradient is copied
        scores: Tensor = self.rest(hidden)
        return scores.reshape(len(a), len(b))


def relation_loss(scores: Tensor, related: Tensor) -> Tensor:
    """Return ``sum_ij (g_ij - s_ij)^2 / sqrt(n m)``, which is ``sqrt(n m)`` times the mean square."""
    return mse_loss(scores, related) * math.sqrt(scores.numel())
