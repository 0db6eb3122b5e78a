"""ALGCN: graph convolutions over a learned label graph give class vectors, which classify the samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from bench import training as t

LAYERS = 3


@dataclass(frozen=True, kw_only=True)
class ALGCNSettings(t.DeepSettings):
    """Settings of ALGCN; defaults are the released code's for MIRFlickr."""

    epochs: int = t.setting(30, "passes over the training rows", "release")
    batch_size: int = t.setting(100, "rows of each modality per batch", "release")
    dim: int = t.setting(1024, "width of the embedding and of the three graph layers", "release")
    label_width: int = t.setting(
        300, "of the classes' learned inputs", "as the word vectors that they replace"
    )
    lr: float = t.setting(5e-5, "learning rate", "release")
    lr_factor: float = t.setting(100.0, "on the learning rate of the learned part B of the graph", "release")
    alpha: float = t.setting(0.2, "weight of the pair likelihood", "release")
    supervision: float = t.setting(0.5, "weight of what holds the graph near its start", "release")
    gamma: float = t.setting(0.5, "weight of B in the graph", "release")
    threshold: float = t.setting(0.4, "conditional probability from which classes are neighbours", "release")
    noise: float = t.setting(0.2, "share of random neighbours in what the graph is held to", "release")
    faithful_to: t.FaithfulTo = t.setting("paper", "release: transposed graph, shared labels counted")


class ALGCN(t.DeepMethod):
    """Adaptive label-aware graph convolutional networks."""

    card = t.card("algcn")
    Settings = ALGCNSettings
    settings: ALGCNSettings
    batches = t.Joint(minimum=2)
    variants = {
        "fixed_graph": {"gamma": 0.0, "supervision": 0.0},
        "without_supervision": {"supervision": 0.0},
        "without_pairs": {"alpha": 0.0},
    }
    counted = False
    """Whether S_ij counts the shared labels, as in the release, instead of being 0 or 1."""

    def build(self, data: t.DeviceSplit) -> None:
        """Make the encoders, of one layer, the network of labels and their graph."""
        s, given = self.settings, self.neighbours(t.cooccurrence(data))
        self.encoders = self.mlps(data, hidden=(), activate_last=True)
        self.labels = self.module("labels", lambda: t.LabelNetwork(len(given), s.label_width, s.dim, LAYERS))
        self.graph = self.module("graph", lambda: Graph(given, s.gamma))

    def optimiser(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        """Return Adam with another learning rate for B."""
        rest = [weight for weight in parameters if weight is not self.graph.learned]
        faster = {"params": [self.graph.learned], "lr": lr * self.settings.lr_factor}
        groups: list[dict[str, Any]] = [{"params": rest}, faster]
        return t.adam(groups, lr)

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Score both modalities against the vectors of the classes, as the graph now has them."""
        given, layers = self.graph.given, (LAYERS, *self.graph.given.shape)
        adjacency = self.normalised(self.graph())
        vectors = self.labels(adjacency)
        scores = t.label_scores(torch.cat(list(z.values())), vectors)
        p = torch.split(scores, [len(rows) for rows in z.values()])
        j_s = supervision(adjacency, given, torch.bernoulli(given.new_full(layers, self.settings.noise)))
        y = list(batch.targets.values())
        return algcn_loss(list(z.values()), p, y, j_s, self.settings, counted=self.counted)

    def neighbours(self, counts: Tensor) -> Tensor:
        """Return the given part A of the graph from counts of common occurrences."""
        return t.correlations(counts, self.settings.threshold)

    def normalised(self, adjacency: Tensor) -> Tensor:
        """Return the graph as the network of labels takes it."""
        return t.normalised(adjacency)


class Graph(nn.Module):
    """The graph of classes ``relu(A + gamma B)``: a given part A and a learned part B, both ``(C, C)``."""

    def __init__(self, given: Tensor, gamma: float) -> None:
        """Draw B from ``.02 U(0, 1)``."""
        super().__init__()
        self.register_buffer("given", given)
        self.given: Tensor
        self.learned = nn.Parameter(0.02 * torch.rand(given.shape))
        self.gamma = gamma

    def forward(self) -> Tensor:
        """Return the graph as it is now."""
        return relu(self.given + self.gamma * self.learned)


def supervision(adjacency: Tensor, a: Tensor, noise: Tensor) -> Tensor:
    """Return ``J_s = sum over layers l of MSE(adjacency, min(A + noise_l, .5))``."""
    return (adjacency - (a + noise).clamp_max(0.5)).square().mean(dim=(1, 2)).sum()


def algcn_loss(
    z: Sequence[Tensor],
    p: Sequence[Tensor],
    y: Sequence[Tensor],
    j_s: Tensor,
    s: ALGCNSettings,
    *,
    counted: bool = False,
) -> dict[str, Tensor]:
    """Return ``J_c + alpha J_p + supervision J_s`` and its parts.

    ``J_c = mean ||p1 - y1|| + mean ||p2 - y2||``, ``J_p`` = sum over (1,1), (1,2), (2,2) of NLL(cos / 2, S).
    """
    j_c = t.distance(p[0], y[0]) + t.distance(p[1], y[1])
    j_p = t.similarity_nll(z, y, counted=counted)
    return {"loss": j_c + s.alpha * j_p + s.supervision * j_s, "J_c": j_c, "J_p": j_p, "J_s": j_s}
