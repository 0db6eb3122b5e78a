"""Networks that the methods share, how their weights start, and graphs of classes.

A graph of classes comes from counts of labels that occur together; with one class per sample it is diagonal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from bench.contract import Context, UsageError
from bench.training.data import DeviceSplit
from bench.training.seeding import seeded

M = TypeVar("M", bound=nn.Module)


def mlp(
    widths: Sequence[int],
    *,
    activation: Callable[[], nn.Module] = nn.ReLU,
    activate_last: bool = False,
    bias_last: bool = True,
    norm: Callable[[int], nn.Module] | None = None,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return a perceptron: linear layers, each but the last followed by norm, activation and dropout.

    Args:
        widths: of the input, the hidden layers and the output.
        activation: makes the non-linearity.
        activate_last: whether the last layer is treated like the others.
        bias_last: whether the last layer has a bias.
        norm: makes a normalisation of a given width, put between layer and non-linearity.
        dropout: probability of dropping a unit.
    """
    layers: list[nn.Module] = []
    last = len(widths) - 2
    for index, (before, after) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(before, after, bias=bias_last or index < last))
        if index < last or activate_last:
            if norm is not None:
                layers.append(norm(after))
            layers.append(activation())
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def row_norm(rows: Tensor, eps: float = 1e-8) -> Tensor:
    """Return the length of each row ``(n,)``; a row of zeros has gradient 0, not NaN."""
    return rows.square().sum(dim=-1).clamp_min(eps**2).sqrt()


def unit(rows: Tensor, eps: float = 1e-8) -> Tensor:
    """Return rows of length 1; a row shorter than ``eps`` stays short, with a finite gradient."""
    return rows / row_norm(rows, eps).unsqueeze(-1)


class Prototypes(nn.Module):
    """One column per class in the common space.

    Attributes:
        weight: ``(d, C)``; starts as C orthonormal columns, the first ones of a random orthogonal
            ``(d, d)`` matrix. Draws from torch's global generator.
    """

    def __init__(self, dim: int, n_classes: int, trained: bool = True) -> None:
        """Draw the columns.

        Raises:
            UsageError: if so many classes cannot be orthogonal in so narrow a space.
        """
        super().__init__()
        if n_classes > dim:
            raise UsageError(f"{n_classes} orthogonal prototypes do not fit into dim={dim}; raise dim")
        # For a tall matrix this is the law of the first columns of a Haar-distributed square one.
        start = nn.init.orthogonal_(torch.empty(dim, n_classes))
        self.weight = nn.Parameter(start, requires_grad=trained)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return logits ``(n, C)`` of embeddings ``(n, d)``."""
        return embeddings @ self.weight

    @torch.no_grad()
    def renormalise(self) -> None:
        """Bring the columns back to length 1, which updates change."""
        self.weight.div_(self.weight.norm(dim=0))


def built(make: Callable[[], M], context: Context, stream: str) -> M:
    """Return the module that ``make`` builds, its weights drawn from ``init/<stream>``, on the device."""
    with seeded(context, f"init/{stream}"):
        module = make()
    return module.to(context.device)


def cooccurrence(train: DeviceSplit) -> Tensor:
    """Return how many rows have both of two classes, ``(C, C)``; the diagonal counts each class.

    The rows of all modalities count; where they are pairs, every pair as often as there are modalities.
    """
    targets = torch.cat([train.targets[name] for name in train])
    return targets.T @ targets


def correlations(counts: Tensor, threshold: float) -> Tensor:
    """Return ``A_ij = .5 [P(j|i) >= threshold] + [i = j]``, ``(C, C)``, from the counts of `cooccurrence`.

    A class that never occurs has no neighbours.
    """
    shares = counts / counts.diagonal().clamp_min(1)[:, None]
    return 0.5 * (shares >= threshold).to(counts.dtype) + torch.eye(len(counts)).to(counts)


def normalised(adjacency: Tensor) -> Tensor:
    """Return ``D^-1/2 A D^-1/2`` for A ``(C, C)`` without negative entries, D its row sums."""
    scale = adjacency.sum(dim=1).clamp_min(1e-12).rsqrt()
    return scale[:, None] * adjacency * scale[None, :]


class LabelNetwork(nn.Module):
    """Graph convolutions that turn every class into a vector.

    ``H^l = LeakyReLU_.2(adjacency H^(l-1) weight_l)``; the vectors are a linear map of all layers'
    outputs side by side. Draws from torch's global generator.

    Attributes:
        inputs: ``H^0``, ``(C, width)``, learned, because the classes here have no word vectors.
        weights: one matrix (in, out) per layer.
        head: the linear map.
    """

    def __init__(self, n_classes: int, width: int, dim: int, layers: int) -> None:
        """Draw the weights, layers from ``U(+-1/sqrt(dim))`` and inputs from ``U(0, 1)``."""
        super().__init__()
        self.weights = nn.ParameterList(
            torch.empty(before, after).uniform_(-(after**-0.5), after**-0.5)
            for before, after in pairwise((width, *(dim for _ in range(layers))))
        )
        self.head = nn.Linear(layers * dim, dim)
        self.inputs = nn.Parameter(torch.rand(n_classes, width))

    def forward(self, adjacency: Tensor) -> Tensor:
        """Return the classes' vectors ``(C, dim)``."""
        h: Tensor = self.inputs
        outputs: list[Tensor] = []
        for weight in self.weights:
            h = leaky_relu(adjacency @ (h @ weight), 0.2)
            outputs.append(h)
        vectors: Tensor = self.head(torch.cat(outputs, dim=1))
        return vectors


def label_scores(embeddings: Tensor, vectors: Tensor) -> Tensor:
    """Return ``z . h / (|z| |h| + 1e-6)`` of embeddings ``(n, d)`` and classes ``(C, d)``, ``(n, C)``."""
    return embeddings @ vectors.T / (row_norm(embeddings)[:, None] * row_norm(vectors)[None, :] + 1e-6)
