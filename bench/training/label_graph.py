"""Graphs of classes: how often labels occur together, and networks that turn classes into vectors.

Where every sample has one class, no two occur together and the graph is diagonal.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from bench.training.data import DeviceSplit
from bench.training.networks import row_norm


def cooccurrence(train: DeviceSplit) -> Tensor:
    """Return how many rows have both of two classes, ``(C, C)``; the diagonal counts each class.

    The rows of all modalities count; where they are pairs, every pair as often as there are modalities.
    """
    targets = torch.cat([train.targets[name] for name in train])
    return targets.T @ targets


def correlations(counts: Tensor, threshold: float) -> Tensor:
    """Return ``A_ij = .5 [P(j|i) >= threshold] + [i = j]``, ``(C, C)``.

    Args:
        counts: of `cooccurrence`. A class that never occurs has no neighbours.
        threshold: conditional probability from which classes are neighbours.
    """
    shares = counts / counts.diagonal().clamp_min(1)[:, None]
    return 0.5 * (shares >= threshold).to(counts.dtype) + torch.eye(len(counts)).to(counts)


def normalised(adjacency: Tensor) -> Tensor:
    """Return ``D^-1/2 A D^-1/2`` for A ``(C, C)`` without negative entries, D its row sums."""
    scale = adjacency.sum(dim=1).clamp_min(1e-12).rsqrt()
    return scale[:, None] * adjacency * scale[None, :]


class LabelNetwork(nn.Module):
    """Turns every class into a vector by graph convolutions, which look at nearer and farther neighbours.

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
