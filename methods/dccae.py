"""DCCAE: two networks with maximally correlated outputs, and a decoder for each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from bench import training as t

BLOCK = 8192
"""Training rows whose outputs are taken at a time for the closing CCA."""


@dataclass(frozen=True, kw_only=True)
class DCCAESettings(t.DeepSettings):
    """Settings of DCCAE; defaults are those of public implementations, tuned there for noisy MNIST digits."""

    epochs: int = t.setting(100, "passes over the training rows", "from 1 to 100 are in use")
    batch_size: int = t.setting(800, "pairs per batch, many more than dim", "public implementations")
    hidden: tuple[int, ...] = t.setting((1024, 1024, 1024), "of the encoder, mirrored in the decoder")
    dim: int = t.setting(10, "number of correlations that are maximised", "public implementations")
    lr: float = t.setting(1e-3, "learning rate of RMSprop", "public implementations")
    weight_decay: float = t.setting(1e-5, "L2 penalty on the weights", "public implementations")
    reconstruction: float = t.setting(1e-3, "weight of the decoders' squared errors; 0 gives DCCA")
    ridge: float = t.setting(1e-3, "r on the diagonals of S_11 and S_22 in the loss")
    closing_ridge: float = t.setting(1e-4, "the same in the linear CCA of the trained outputs")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2 for covariances, not {self.batch_size}")
        if min(self.ridge, self.closing_ridge) <= 0.0:
            raise ValueError(f"ridges must be positive: {self.ridge}, {self.closing_ridge}")


class DCCAE(t.DeepMethod):
    """Deep canonically correlated autoencoders."""

    card = t.card("dccae")
    Settings = DCCAESettings
    settings: DCCAESettings
    variants = {"dcca": {"reconstruction": 0.0}}
    search = {
        "batch_size": (200, 400, 800),
        "dim": (8, 16, 32),
        "lr": (3e-4, 1e-3, 3e-3, 1e-2),
        "reconstruction": (1e-3, 1e-2, 1e-1),
        "ridge": (1e-3, 1e-2, 1e-1),
        "scaling": ("standard", "unit"),
    }

    def build(self, data: t.DeviceSplit) -> None:
        """Make an encoder and, for DCCAE, a decoder per modality, and the closing CCA."""
        s, self.data = self.settings, data
        self.nets = self.each(
            data, lambda width: autoencoder((width, *s.hidden, s.dim), s.reconstruction > 0)
        )
        self.closing = FinalCCA(tuple(data), s.dim, s.closing_ridge).to(data.device)

    def plan(self, track: str, data: t.DeviceSplit) -> t.Plan:
        """Return pairs without small last batches: covariances of a few left-over rows would be noise."""
        size = self.settings.batch_size
        return t.AlignedPairs(size, minimum=max(2, size // 2))

    def optimiser(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        """Return RMSprop."""
        return t.rmsprop(parameters, lr, self.settings.weight_decay)

    def forward(self, modality: str, x: Tensor) -> Tensor:
        """Return the output of a modality's network."""
        output: Tensor = self.nets[modality]["encoder"](x)
        return output

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return canonical variables of the network's output."""
        embedding: Tensor = self.closing(modality, self.forward(modality, x))
        return embedding

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Return ``-sum of canonical correlations + reconstruction * squared errors`` and its parts."""
        s, (left, right) = self.settings, z.values()
        correlation = t.canonical_correlations(left, right, s.ridge).sum()
        if s.reconstruction == 0.0:
            return {"loss": -correlation, "correlation": correlation}
        errors = [mse_loss(self.nets[name]["decoder"](z[name]), x) for name, x in batch.features.items()]
        error = torch.stack(errors).sum()
        total = -correlation + s.reconstruction * error
        return {"loss": total, "correlation": correlation, "reconstruction": error}

    def after_epoch(self, track: str, clock: t.Clock) -> Mapping[str, float]:
        """Fit the closing CCA to all training pairs as they are embedded now."""
        parts = [
            [self.forward(name, x) for name, x in block.features.items()] for block in self.data.blocks(BLOCK)
        ]
        left, right = (torch.cat(rows).double() for rows in zip(*parts, strict=True))
        return {"closing_correlation": self.closing.fit(left, right)}


class FinalCCA(nn.Module):
    """Linear CCA between the outputs of two networks, kept with their weights."""

    def __init__(self, names: tuple[str, ...], dim: int, ridge: float) -> None:
        super().__init__()
        self._index = {name: index for index, name in enumerate(names)}
        self._ridge = ridge
        self.mean: Tensor
        self.weights: Tensor
        self.register_buffer("mean", torch.zeros(2, dim))
        # not torch.eye: on the meta device, where a stored model is built, that imports the compiler (1.5 s)
        self.register_buffer("weights", torch.zeros(dim, dim).fill_diagonal_(1).repeat(2, 1, 1))

    def fit(self, left: Tensor, right: Tensor) -> float:
        """Fit to corresponding rows ``(n, dim)`` in float64; return the sum of their correlations."""
        s_11, s_22 = t.covariance(left, left, self._ridge), t.covariance(right, right, self._ridge)
        u, values, v = torch.linalg.svd(t.whitened(t.covariance(left, right), s_11, s_22))
        weights = [
            torch.linalg.solve_triangular(torch.linalg.cholesky(s).T, sides, upper=True)
            for s, sides in ((s_11, u), (s_22, v.T))
        ]
        self.mean.copy_(torch.stack([left.mean(dim=0), right.mean(dim=0)]))
        self.weights.copy_(torch.stack(weights))
        return float(values.sum())

    def forward(self, modality: str, z: Tensor) -> Tensor:
        """Return canonical variables ``(n, dim)`` of a network's outputs."""
        index = self._index[modality]
        return (z - self.mean[index]) @ self.weights[index]


def autoencoder(widths: tuple[int, ...], decodes: bool) -> nn.ModuleDict:
    """Return an encoder of these widths and, if ``decodes``, the decoder that mirrors it."""
    parts = {"encoder": widths, "decoder": widths[::-1]} if decodes else {"encoder": widths}
    return nn.ModuleDict({part: sigmoid_net(sizes) for part, sizes in parts.items()})


def sigmoid_net(widths: tuple[int, ...]) -> nn.Sequential:
    """Return linear layers, after each but the last a sigmoid and a batch normalisation without weights."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        layers += [nn.Linear(before, after), nn.Sigmoid(), nn.BatchNorm1d(after, affine=False)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
