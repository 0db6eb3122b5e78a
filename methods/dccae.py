"""DCCAE: two networks whose outputs correlate as far as they can, while each can be decoded again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from bench.contract import Context, MethodCard
from bench.training import (
    AlignedPairs,
    Batch,
    Clock,
    DeepMethod,
    DeepSettings,
    DeviceSplit,
    Stage,
    Step,
    Track,
    built,
    canonical_correlations,
    whitened,
)

BLOCK = 8192
"""Training rows whose outputs are taken at a time for the closing CCA."""


@dataclass(frozen=True, kw_only=True)
class DCCAESettings(DeepSettings):
    """Settings of DCCAE; defaults are those of public implementations, tuned there for noisy MNIST digits.

    Attributes:
        epochs: 100; from 1 to 100 are in use.
        batch_size: 800 pairs, many more than `dim`.
        hidden: three layers of 1024 in the encoder, mirrored in the decoder.
        dim: number of correlations that are maximised, 10.
        lr: of RMSprop, 1e-3.
        weight_decay: 1e-5.
        reconstruction: weight of the autoencoders' mean squared errors, 1e-3; 0 gives DCCA.
        ridge: r on the diagonals of S_11 and S_22 in the loss, 1e-3.
        closing_ridge: the same in the linear CCA of the trained outputs, 1e-4.
    """

    epochs: int = 100
    batch_size: int = 800
    hidden: tuple[int, ...] = (1024, 1024, 1024)
    dim: int = 10
    lr: float = 1e-3
    weight_decay: float = 1e-5
    reconstruction: float = 1e-3
    ridge: float = 1e-3
    closing_ridge: float = 1e-4

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2 for covariances, not {self.batch_size}")
        if min(self.ridge, self.closing_ridge) <= 0.0:
            raise ValueError(f"ridges must be positive: {self.ridge}, {self.closing_ridge}")


class DCCAE(DeepMethod):
    """Deep canonically correlated autoencoders."""

    card = MethodCard(
        name="dccae",
        title="DCCAE",
        authors="Wang, Arora, Livescu, Bilmes",
        year=2015,
        venue="ICML",
        family="deep unsupervised",
        role="baseline",
        pairs="needed",
        multi_label=True,
        selects_by="map",
        from_paper=(
            "The epoch is chosen on validation mAP, as for the other methods; correlation needs no labels.",
            "The decoders' squared errors are averaged over features, as in public implementations.",
            "No settings are published for these datasets.",
        ),
        from_release=(
            "The loss is minus the sum of the canonical correlations; some implementations square them, or "
            "take another matrix norm, whose gradient is NaN.",
            "The closing linear CCA belongs to the weights of its epoch; one release fits it before it loads "
            "the best ones.",
            "Networks are trained in float32, and only the closing CCA is solved in float64; public "
            "implementations do all in float64.",
            "Batch normalisation follows every hidden layer once; one release repeats the last.",
        ),
        parity="none: no numbers of released code; closed forms are tested",
        citation="wang2015dccae",
        position=4,
    )
    Settings = DCCAESettings
    settings: DCCAESettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"dcca": {"reconstruction": 0.0}}
    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        "batch_size": (200, 400, 800),
        "dim": (8, 16, 32),
        "lr": (3e-4, 1e-3, 3e-3),
        "reconstruction": (1e-3, 1e-2, 1e-1),
        "ridge": (1e-3, 1e-2, 1e-1),
        "scaling": ("standard", "unit"),
    }

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage; after each epoch the closing CCA is fitted to the outputs of all training pairs."""
        own = self.settings
        first, second = train
        self.branches = {name: self._branch(name, train, context) for name in train}
        self.closing = ClosingCCA((first, second), own.dim, own.closing_ridge).to(train.device)

        def loss(batch: Batch, _: Clock) -> dict[str, Tensor]:
            """Take correlations from the outputs and, unless switched off, errors from their decoding."""
            x = batch.features
            z = {name: self.branches[name]["encoder"](x[name]) for name in x}
            correlation = canonical_correlations(z[first], z[second], own.ridge).sum()
            if own.reconstruction == 0.0:
                return {"loss": -correlation, "correlation": correlation}
            error = torch.stack([mse_loss(self.branches[name]["decoder"](z[name]), x[name]) for name in x])
            total = -correlation + own.reconstruction * error.sum()
            return {"loss": total, "correlation": correlation, "reconstruction": error.sum()}

        def refit(_: Clock) -> Mapping[str, float]:
            """Fit the closing CCA to all training pairs as they are embedded now."""
            parts = [
                [self.branches[name]["encoder"](x) for name, x in block.features.items()]
                for block in train.blocks(BLOCK)
            ]
            outputs = [torch.cat(rows).double() for rows in zip(*parts, strict=True)]
            return {"closing_correlation": self.closing.fit(outputs[0], outputs[1])}

        nets = nn.ModuleList(self.branches.values())
        step = Step(loss, torch.optim.RMSprop(nets.parameters(), lr=own.lr, weight_decay=own.weight_decay))
        # Covariances of a few left-over rows would be noise.
        plan = AlignedPairs(own.batch_size, minimum=max(2, own.batch_size // 2))
        track = Track("joint", [nets, self.closing], [step], plan, after_epoch=refit)
        yield Stage([track], own.epochs, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return canonical variables of the network's output."""
        embedding: Tensor = self.closing(modality, self.branches[modality]["encoder"](x))
        return embedding

    def _branch(self, name: str, train: DeviceSplit, context: Context) -> nn.ModuleDict:
        own = self.settings
        widths = (train.dimension(name), *own.hidden, own.dim)
        parts = {"encoder": widths} | ({"decoder": widths[::-1]} if own.reconstruction else {})
        return built(
            lambda: nn.ModuleDict({part: sigmoid_net(sizes) for part, sizes in parts.items()}), context, name
        )


class ClosingCCA(nn.Module):
    """Linear CCA between the outputs of two networks, kept with their weights."""

    def __init__(self, names: tuple[str, str], dim: int, ridge: float) -> None:
        """Start with the identity."""
        super().__init__()
        self._place = {name: place for place, name in enumerate(names)}
        self._ridge = ridge
        self.mean: Tensor
        self.weights: Tensor
        self.register_buffer("mean", torch.zeros(2, dim))
        self.register_buffer("weights", torch.eye(dim).repeat(2, 1, 1))

    def fit(self, left: Tensor, right: Tensor) -> float:
        """Fit to corresponding rows ``(n, dim)`` in float64; return the sum of their correlations."""
        mean = torch.stack([left.mean(dim=0), right.mean(dim=0)])
        one, other = left - mean[0], right - mean[1]
        count = max(len(left) - 1, 1)
        ridge = self._ridge * torch.eye(left.shape[1], dtype=left.dtype, device=left.device)
        s_11, s_22 = one.T @ one / count + ridge, other.T @ other / count + ridge
        u, values, v = torch.linalg.svd(whitened(one.T @ other / count, s_11, s_22))
        weights = [
            torch.linalg.solve_triangular(torch.linalg.cholesky(s).T, sides, upper=True)
            for s, sides in ((s_11, u), (s_22, v.T))
        ]
        self.mean.copy_(mean)
        self.weights.copy_(torch.stack(weights))
        return float(values.sum())

    def forward(self, modality: str, z: Tensor) -> Tensor:
        """Return canonical variables ``(n, dim)`` of a network's outputs."""
        place = self._place[modality]
        return (z - self.mean[place]) @ self.weights[place]


def sigmoid_net(widths: tuple[int, ...]) -> nn.Sequential:
    """Return linear layers, after each but the last a sigmoid and a batch normalisation without weights."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        layers += [nn.Linear(before, after), nn.Sigmoid(), nn.BatchNorm1d(after, affine=False)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
