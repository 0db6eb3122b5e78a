"""ALGCN: classes become vectors by graph convolutions over a learned graph, and samples point to theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, relu

from bench.contract import Context, MethodCard
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
    cooccurrence,
    correlations,
    distance,
    label_network,
    label_scores,
    normalised,
    parameters_of,
    perceptrons,
    similarity_nll,
)

LAYERS = 3


@dataclass(frozen=True, kw_only=True)
class ALGCNSettings(DeepSettings):
    """Settings of ALGCN; every default is the released code's for MIRFlickr.

    Attributes:
        epochs: 30.
        batch_size: 100.
        dim: width of the embedding and of the three graph layers, 1024.
        label_width: of the classes' learned inputs, 300 as in the word vectors that they stand for.
        lr: 5e-5.
        lr_factor: on the learning rate of the learned part B of the graph, 100.
        alpha: weight of the pair likelihood, .2.
        supervision: weight of what holds the graph near its start, .5.
        gamma: weight of B in the graph, .5.
        threshold: conditional probability from which classes are neighbours, .4.
        noise: share of neighbours drawn at random into what the graph is held to, .2.
        faithful_to: ``release`` divides shared occurrences by those of the column's class, transposes
            the normalised graph, and counts the shared labels of multi-label samples.
    """

    epochs: int = 30
    batch_size: int = 100
    dim: int = 1024
    label_width: int = 300
    lr: float = 5e-5
    lr_factor: float = 100.0
    alpha: float = 0.2
    supervision: float = 0.5
    gamma: float = 0.5
    threshold: float = 0.4
    noise: float = 0.2
    faithful_to: FaithfulTo = "paper"


class ALGCN(DeepMethod):
    """Adaptive label-aware graph convolutional networks."""

    card = MethodCard(
        name="algcn",
        title="ALGCN",
        authors="Qian, Xue, Fang, Xu",
        year=2021,
        venue="IEEE TMM",
        family="deep supervised joint, label graph",
        role="baseline",
        pairs="labels",
        multi_label=True,
        selects_by="map",
        from_paper=(
            "Classes have no word vectors here: their inputs are learned, as in the release without them.",
            "Where every sample has one class the given graph is diagonal; only its learned part links them.",
            "With many classes and few rows of each, training stays long where all scores are 0 (J_c = 2): "
            "on generated data of 100 classes with 10 rows each, 100 epochs hardly leave it.",
            "Settings of single-label datasets are not public; those of MIRFlickr are used throughout.",
        ),
        from_release=(
            "The epoch is chosen on validation mAP; the release chooses it on the test set.",
            "Classes i and j are neighbours by P(j|i); the release divides by the count of j (a vector of "
            "counts changes its shape on the way through a file) and later transposes the graph, so that "
            "only the normalisation differs.",
            "S_ij is 1 for pairs with a shared label; the release counts the labels that are shared.",
            "Data without pairs is taken in independent batches; the release knows pairs only.",
            "A last batch of one row joins the batch before: alone it costs .09 mAP on the compact emoji "
            "features, in the released code as here.",
            "Random neighbours are drawn in training only; the release draws them in evaluation, too.",
        ),
        parity="loss, gradients, network, graph: released code",
        citation="qian2021algcn",
        code="https://github.com/LivXue/ALGCN",
        position=11,
    )
    Settings = ALGCNSettings
    settings: ALGCNSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fixed_graph": {"gamma": 0.0, "supervision": 0.0},
        "without_supervision": {"supervision": 0.0},
        "without_pairs": {"alpha": 0.0},
    }

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage with one joint track."""
        own = self.settings
        first, second = train
        self.encoders = perceptrons(train, (), own.dim, context, activate_last=True)
        labels = label_network(train, own.label_width, own.dim, LAYERS, context)
        given = correlations(cooccurrence(train), own.threshold, own.faithful_to)
        graph = built(lambda: Graph(given, own), context, "graph")

        def loss(batch: Batch, _: Clock) -> dict[str, Tensor]:
            """Score both modalities against the vectors of the classes, as the graph now has them."""
            z = [self.encoders[name](batch.features[name]) for name in (first, second)]
            y = [batch.targets[name] for name in (first, second)]
            adjacency = graph()
            vectors = labels(adjacency)
            p = [label_scores(rows, vectors) for rows in z]
            held = supervision(adjacency, graph.given, graph.random_neighbours())
            return algcn_loss(z, p, y, held, own)

        modules = [*self.encoders.values(), labels]
        groups: list[dict[str, Any]] = [
            {"params": parameters_of(modules)},
            {"params": [graph.learned], "lr": own.lr * own.lr_factor},
        ]
        step = Step(loss, adam(groups, own.lr))
        track = Track("joint", [*modules, graph], [step], Joint(own.batch_size, minimum=2))
        yield Stage([track], own.epochs, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return ``z``, which has no negative entries."""
        embedding: Tensor = self.encoders[modality](x)
        return embedding


class Graph(nn.Module):
    """The graph of classes: a given part A and a learned part B.

    Attributes:
        given: A, ``(C, C)``.
        learned: B, ``(C, C)``.
    """

    def __init__(self, given: Tensor, settings: ALGCNSettings) -> None:
        """Draw B from ``.02 U(0, 1)``."""
        super().__init__()
        self.register_buffer("given", given)
        self.given: Tensor
        self.learned = nn.Parameter(0.02 * torch.rand(given.shape))
        self._settings = settings

    def forward(self) -> Tensor:
        """Return the normalised ``relu(A + gamma B)``."""
        own = self._settings
        return normalised(relu(self.given + own.gamma * self.learned), own.faithful_to)

    def random_neighbours(self) -> Tensor:
        """Return a 0/1 draw per layer, ``(layers, C, C)``."""
        return torch.bernoulli(self.given.new_full((LAYERS, *self.given.shape), self._settings.noise))


def supervision(adjacency: Tensor, a: Tensor, noise: Tensor) -> Tensor:
    """Return ``sum over layers l of MSE(adjacency, min(A + noise_l, .5))``."""
    return torch.stack([mse_loss(adjacency, (a + drawn).clamp_max(0.5)) for drawn in noise]).sum()


def algcn_loss(
    z: Sequence[Tensor], p: Sequence[Tensor], y: Sequence[Tensor], held: Tensor, settings: ALGCNSettings
) -> dict[str, Tensor]:
    """Return ``J_c + alpha J_p + supervision J_s`` and its parts.

    ``J_c = mean ||p1 - y1|| + mean ||p2 - y2||``, ``J_p`` = sum over (1,1), (1,2), (2,2) of NLL(cos / 2, S).
    """
    j_c = distance(p[0], y[0]) + distance(p[1], y[1])
    j_p = similarity_nll(z, y, counted=settings.faithful_to == "release")
    total = j_c + settings.alpha * j_p + settings.supervision * held
    return {"loss": total, "J_c": j_c, "J_p": j_p, "J_s": held}
