"""GNN4CMR (P-GNN-CON): a label graph, soft contrast between samples, modalities that imitate each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.contract import Context, MethodCard
from bench.training import (
    Batch,
    Clock,
    DeepMethod,
    DeepSettings,
    DeviceSplit,
    FaithfulTo,
    Joint,
    PerModality,
    Stage,
    Step,
    Track,
    adam,
    built,
    cooccurrence,
    correlations,
    cosines,
    distance,
    label_network,
    label_scores,
    mlp,
    normalised,
    parameters_of,
    per_modality,
    reverse_gradient,
)

SHARPER = 1.06
"""Factor on the similarities under the logarithm of the soft contrast, in the release."""


@dataclass(frozen=True, kw_only=True)
class GNN4CMRSettings(DeepSettings):
    """Settings of GNN4CMR; every default is the released code's for MIRFlickr.

    Attributes:
        epochs: 40.
        batch_size: 100.
        dim: width of the embedding and of the graph layers, 1024.
        layers: of the label graph, 5.
        label_width: of the classes' learned inputs, 300 as in the word vectors that they stand for.
        decoder_hidden: hidden width of the decoder to each modality: 2048 to images, 512 to texts.
        lr: 5e-5.
        alpha: weight of the label distance, .5.
        beta: weight of the adversaries, 2.
        gamma: weight of the contrast within modalities, .14.
        temperature: T of the contrast, .22.
        threshold: conditional probability from which classes are neighbours, .4.
        faithful_to: ``release`` divides shared occurrences by those of the column's class and
            transposes the normalised graph.
    """

    epochs: int = 40
    batch_size: int = 100
    dim: int = 1024
    layers: int = 5
    label_width: int = 300
    decoder_hidden: PerModality = field(default_factory=lambda: {"image": 2048, "default": 512})
    lr: float = 5e-5
    alpha: float = 0.5
    beta: float = 2.0
    gamma: float = 0.14
    temperature: float = 0.22
    threshold: float = 0.4
    faithful_to: FaithfulTo = "paper"


class GNN4CMR(DeepMethod):
    """Dual adversarial graph neural networks with multi-label contrastive learning."""

    card = MethodCard(
        name="gnn4cmr",
        title="GNN4CMR",
        authors="Qian, Xue, Fang, Xu",
        year=2022,
        venue="IEEE TPAMI",
        family="deep supervised joint, label graph, adversarial, contrastive",
        role="baseline",
        pairs="labels",
        multi_label=True,
        selects_by="map",
        from_paper=(
            "The variant with the given graph of labels (P-GNN-CON); the other one (I-GNN-CON) makes its "
            "graph from word vectors, which the datasets here do not have.",
            "Classes have no word vectors here: their inputs are learned, as in the release without them.",
            "Where every sample has one class the graph is diagonal and links no classes.",
            "The logarithm of the contrast has 1.06 times the similarities, as released.",
            "Settings of single-label datasets are not public; those of MIRFlickr are used throughout.",
        ),
        from_release=(
            "The epoch is chosen on validation mAP; the release chooses it on the test set.",
            "Classes i and j are neighbours by P(j|i); the release divides by the count of j (a vector of "
            "counts changes its shape on the way through a file) and later transposes the graph, so that "
            "only the normalisation differs.",
            "Data without pairs is taken in independent batches; the release knows pairs only.",
            "A last batch of one row joins the batch before, since it has no batch statistics.",
            "As released, decoders end in a non-linearity: the one to images cannot give negative features.",
            "Training for incomplete modalities is not offered.",
        ),
        parity="losses, gradients, network, graph: released code; decoders and adversaries by construction",
        citation="qian2022gnn4cmr",
        code="https://github.com/LivXue/GNN4CMR",
        position=13,
    )
    Settings = GNN4CMRSettings
    settings: GNN4CMRSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without_adversaries": {"beta": 0.0},
        "without_intra_contrast": {"gamma": 0.0},
        "without_labels": {"alpha": 0.0},
    }

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage with one joint track; adversaries learn in the same step, behind reversed gradients."""
        own = self.settings
        first, second = train
        widths = {name: train.dimension(name) for name in train}
        self.encoders = {name: self.build(name, width, context) for name, width in widths.items()}
        graph = normalised(correlations(cooccurrence(train), own.threshold, own.faithful_to), own.faithful_to)
        labels = label_network(train, own.label_width, own.dim, own.layers, context)
        imitation = built(lambda: Imitation(widths, own), context, "imitation")

        def loss(batch: Batch, _: Clock) -> dict[str, Tensor]:
            x, y = ([values[name] for name in (first, second)] for values in (batch.features, batch.targets))
            z = [self.encoders[name](batch.features[name]) for name in (first, second)]
            vectors = labels(graph)
            p = [label_scores(rows, vectors) for rows in z]
            return gnn4cmr_loss(z, p, y, imitation(x, z), own)

        modules = [*self.encoders.values(), labels, imitation]
        step = Step(loss, adam(parameters_of(modules), own.lr))
        track = Track("joint", modules, [step], Joint(own.batch_size, minimum=2))
        yield Stage([track], own.epochs, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return ``z``, which has no negative entries."""
        embedding: Tensor = self.encoders[modality](x)
        return embedding

    def build(self, name: str, width: int, context: Context) -> nn.Module:
        """Return a modality's encoder: batch statistics and one layer."""
        layers = (width, self.settings.dim)
        return built(
            lambda: nn.Sequential(nn.BatchNorm1d(width), *mlp(layers, activate_last=True)), context, name
        )


class Imitation(nn.Module):
    """Embeddings of one modality are decoded to the other; adversaries tell real from decoded."""

    def __init__(self, widths: Mapping[str, int], settings: GNN4CMRSettings) -> None:
        """Draw the weights; modalities are taken in the order of ``widths``."""
        super().__init__()
        self.decoders = nn.ModuleList(decoder(name, width, settings) for name, width in widths.items())
        self.adversaries = nn.ModuleList(adversary(width) for width in widths.values())

    def forward(self, x: Sequence[Tensor], z: Sequence[Tensor]) -> Tensor:
        """Return the adversaries' loss on real features of both modalities and on decoded ones."""
        logits = []
        for target, source in product(range(2), repeat=2):
            rows = x[target] if source == target else self.decoders[target](z[source])
            logits.append(self.adversaries[target](reverse_gradient(rows, 1.0)))
        return adversarial_loss(logits)


def decoder(name: str, width: int, settings: GNN4CMRSettings) -> nn.Sequential:
    """Return the decoder to a modality: batch statistics and two layers; images are made by ReLU."""
    hidden = int(per_modality(settings.decoder_hidden, name))

    def activation() -> nn.Module:
        return nn.ReLU() if name == "image" else nn.LeakyReLU(0.2)

    layers = mlp((settings.dim, hidden, width), activation=activation, activate_last=True)
    return nn.Sequential(nn.BatchNorm1d(settings.dim), *layers)


def adversary(width: int) -> nn.Sequential:
    """Return the network ``d - d/4 - d/16 - 2`` that tells which modality features were made from."""
    return nn.Sequential(nn.BatchNorm1d(width), *mlp((width, max(1, width // 4), max(1, width // 16), 2)))


def adversarial_loss(logits: Sequence[Tensor]) -> Tensor:
    """Return the sum of the cross-entropies of which modality made the rows.

    Args:
        logits: ``(n, 2)`` for rows made from the first modality and from the second, in turn; class 1
            stands for the first.
    """
    terms = [
        cross_entropy(rows, torch.full((len(rows),), 1 - place % 2, device=rows.device))
        for place, rows in enumerate(logits)
    ]
    return torch.stack(terms).sum()


def soft_contrast(z: Sequence[Tensor], y: Sequence[Tensor], temperature: float, gamma: float) -> Tensor:
    """Return ``SC = L_12 + L_21 + gamma (L_11 + L_22)``.

    ``L_ab = -mean_i sum_j q_ij (t_ij - log sum_k exp(1.06 t_ik))`` with ``t_ij = cos(a_i, b_j) / T`` and q
    the pairs with a shared label, each row's sum being 1; within a modality a row is no partner of its own.
    """
    total = z[0].new_zeros(())
    for a, b in product(range(2), repeat=2):
        t = cosines(z[a], z[b]) / temperature
        s = (y[a] @ y[b].T).clamp_max(1)
        if a == b:
            s = (s - torch.eye(len(s)).to(s)).clamp_min(0)
        q = s / s.sum(dim=1, keepdim=True).clamp_min(1e-6)
        log_share = t - torch.logsumexp(SHARPER * t, dim=1, keepdim=True)
        total = total - (gamma if a == b else 1.0) * (q * log_share).sum(dim=1).mean()
    return total


def gnn4cmr_loss(
    z: Sequence[Tensor], p: Sequence[Tensor], y: Sequence[Tensor], j_adv: Tensor, settings: GNN4CMRSettings
) -> dict[str, Tensor]:
    """Return ``alpha J_c + SC + beta J_adv`` and its parts; ``J_c = mean ||p1 - y1|| + mean ||p2 - y2||``."""
    j_c = distance(p[0], y[0]) + distance(p[1], y[1])
    sc = soft_contrast(z, y, settings.temperature, settings.gamma)
    return {"loss": settings.alpha * j_c + sc + settings.beta * j_adv, "J_c": j_c, "SC": sc, "J_adv": j_adv}
