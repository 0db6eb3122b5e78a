"""DRSL: a network scores pairs of an image and a text; there is no common space to measure cosines in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from bench.contract import Array, Context, MethodCard
from bench.training import (
    Batch,
    Clock,
    DeepMethod,
    DeepSettings,
    DeviceSplit,
    FaithfulTo,
    Joint,
    Stage,
    Step,
    Track,
    adam,
    built,
    mlp,
    parameters_of,
    perceptrons,
    reproducible,
)

BLOCK_NUMBERS = 1 << 24
"""Size of a block of hidden units when many pairs are scored, 64 MB: it bounds the memory."""


@dataclass(frozen=True, kw_only=True)
class DRSLSettings(DeepSettings):
    """Settings of DRSL; every default is the released code's.

    Attributes:
        epochs: 20.
        batch_size: 200 rows of each modality, so 40,000 pairs.
        hidden: two layers of 1024 in each modality's encoder.
        dim: 300, the encoders' output.
        scorer_hidden: two layers of 1024 in the network that scores pairs.
        lr: 1e-4.
        lr_decay: factor on the learning rate per epoch, .98.
        weight_decay: 1e-4.
        faithful_to: ``release`` lets the learning rate fall before the first epoch already.
    """

    epochs: int = 20
    batch_size: int = 200
    hidden: tuple[int, ...] = (1024, 1024)
    dim: int = 300
    scorer_hidden: tuple[int, ...] = (1024, 1024)
    lr: float = 1e-4
    lr_decay: float = 0.98
    weight_decay: float = 1e-4
    faithful_to: FaithfulTo = "paper"


class DRSL(DeepMethod):
    """Deep relational similarity learning."""

    card = MethodCard(
        name="drsl",
        title="DRSL",
        authors="Wang, Hu, Zhen, Peng",
        year=2021,
        venue="Information Sciences",
        family="deep supervised joint, learned pair score",
        role="baseline",
        pairs="labels",
        multi_label=True,
        selects_by="map",
        from_paper=(
            "Samples with several classes are related where they share one (ours).",
            "Settings of datasets other than XMediaNet are not public; its own are used throughout.",
        ),
        from_release=(
            "The epoch is chosen on validation mAP; the release takes the last.",
            "Where rows correspond they meet in a batch, as released; elsewhere only labels relate rows.",
            "A last batch of one row joins the one before: batch statistics need two.",
            "The first layer of the scorer is computed per sample and added per pair, and pairs are scored "
            "in blocks; the numbers are the same.",
        ),
        parity="loss, gradients, network in training and evaluation: released code",
        citation="wang2021drsl",
        code="",
        position=10,
    )
    Settings = DRSLSettings
    mutual = True
    settings: DRSLSettings

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage with one joint track."""
        own = self.settings
        self.encoders = perceptrons(
            train, own.hidden, own.dim, context, norm=nn.BatchNorm1d, activate_last=True
        )
        self.scorer = built(lambda: PairScorer(own.dim, own.scorer_hidden), context, "scorer")
        first, second = train

        def loss(batch: Batch, _: Clock) -> Tensor:
            scores = self.scorer(*(self.encoders[name](batch.features[name]) for name in (first, second)))
            related = batch.targets[first] @ batch.targets[second].T > 0
            return relation_loss(scores, related.to(scores.dtype))

        modules = [*self.encoders.values(), self.scorer]
        early = 0 if own.faithful_to == "release" else 1
        step = Step(
            loss,
            adam(
                parameters_of(modules),
                own.lr,
                betas=(0.5, 0.99),
                weight_decay=own.weight_decay,
            ),
            schedule=lambda clock: float(own.lr_decay ** (clock.epoch - early)),
        )
        plan = Joint(own.batch_size, minimum=2)
        yield Stage([Track("joint", modules, [step], plan)], own.epochs, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return the encoder's output, which the scorer takes."""
        embedding: Tensor = self.encoders[modality](x)
        return embedding

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        """Return the learned score of every pair, ``(n_queries, n_gallery)``; memory is bounded."""
        left, right = (
            torch.from_numpy(self.embed(name, rows)).to(self._device)
            for name, rows in ((query_modality, queries), (gallery_modality, gallery))
        )
        with reproducible(self._threads), torch.no_grad():
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
        """Draw the weights."""
        super().__init__()
        self.first = nn.Linear(2 * dim, hidden[0])
        self.norm = nn.BatchNorm1d(hidden[0])
        self.rest = mlp((*hidden, 1), norm=nn.BatchNorm1d)

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
        a, b = left @ weight_left.T + self.first.bias, right @ weight_right.T
        mean, variance = self._moments(a, b)
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        return (a - mean) * scale + self.norm.bias, b * scale

    def _moments(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of ``a_i + b_j``, over these pairs or, in evaluation, as averaged."""
        running_mean, running_variance = self.norm.running_mean, self.norm.running_var
        assert running_mean is not None
        assert running_variance is not None
        if not self.training:
            return running_mean, running_variance
        mean = a.mean(dim=0) + b.mean(dim=0)
        variance = a.var(dim=0, correction=0) + b.var(dim=0, correction=0)
        pairs, momentum = len(a) * len(b), self.norm.momentum or 0.1
        running_mean.lerp_(mean.detach(), momentum)
        running_variance.lerp_(variance.detach() * (pairs / (pairs - 1)), momentum)
        return mean, variance

    def _paired(self, a: Tensor, b: Tensor) -> Tensor:
        hidden = (a[:, None] + b).flatten(0, 1).relu_()
        scores: Tensor = self.rest(hidden)
        return scores.reshape(len(a), len(b))


def relation_loss(scores: Tensor, related: Tensor) -> Tensor:
    """Return ``sum_ij (g_ij - s_ij)^2 / sqrt(n m)``, which is ``sqrt(n m)`` times the mean square."""
    return mse_loss(scores, related) * math.sqrt(scores.numel())
