"""GNN4CMR (P-GNN-CON): a label graph, soft contrast between samples, modalities that imitate each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench import training as t

SHARPER = 1.06
"""Factor on the similarities under the logarithm of the soft contrast, in the release."""


@dataclass(frozen=True, kw_only=True)
class GNN4CMRSettings(t.DeepSettings):
    """Settings of GNN4CMR; defaults are the released code's for MIRFlickr."""

    epochs: int = t.setting(40, "passes over the training rows", "release")
    batch_size: int = t.setting(100, "rows of each modality per batch", "release")
    dim: int = t.setting(1024, "width of the embedding and of the graph layers", "release")
    layers: int = t.setting(5, "of the label graph", "release")
    label_width: int = t.setting(
        300, "of the classes' learned inputs", "as the word vectors that they replace"
    )
    decoder_hidden: t.PerModality = t.setting(
        {"image": 2048, "default": 512}, "hidden width of the decoder to each modality", "release"
    )
    lr: float = t.setting(5e-5, "learning rate", "release")
    alpha: float = t.setting(0.5, "weight of the label distance", "release")
    beta: float = t.setting(2.0, "weight of the adversaries", "release")
    gamma: float = t.setting(0.14, "weight of the contrast within modalities", "release")
    temperature: float = t.setting(0.22, "T of the contrast", "release")
    threshold: float = t.setting(0.4, "conditional probability from which classes are neighbours", "release")
    faithful_to: t.FaithfulTo = t.setting("paper", "release: transposed graph of labels")


class GNN4CMR(t.DeepMethod):
    """Dual adversarial graph neural networks with multi-label contrastive learning."""

    card = t.card("gnn4cmr")
    Settings = GNN4CMRSettings
    settings: GNN4CMRSettings
    batches = t.Joint(minimum=2)
    variants = {
        "without_adversaries": {"beta": 0.0},
        "without_intra_contrast": {"gamma": 0.0},
        "without_labels": {"alpha": 0.0},
    }

    def build(self, data: t.DeviceSplit) -> None:
        """Make encoders (batch statistics and one layer), the network of labels, decoders, adversaries."""
        s, widths = self.settings, {name: data.dimension(name) for name in data}
        self.encoders = {**self.each(data, lambda width: encoder(width, s.dim))}
        self.graph = self.label_graph(t.cooccurrence(data))
        self.labels = self.module(
            "labels", lambda: t.LabelNetwork(data.n_classes, s.label_width, s.dim, s.layers)
        )
        self.imitation = self.module("imitation", lambda: Imitation(widths, s))

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Return `gnn4cmr_loss`; adversaries learn in the same step, behind reversed gradients."""
        x, views, y = (list(values.values()) for values in (batch.features, z, batch.targets))
        vectors = self.labels(self.graph)
        p = torch.split(t.label_scores(torch.cat(views), vectors), [len(rows) for rows in views])
        return gnn4cmr_loss(views, p, y, self.imitation(x, views), self.settings)

    def label_graph(self, counts: Tensor) -> Tensor:
        """Return the graph of labels ``(C, C)`` from counts of common occurrences."""
        return t.normalised(t.correlations(counts, self.settings.threshold))


class Imitation(nn.Module):
    """Decoders from each modality's embeddings to the other, and adversaries that tell real from decoded."""

    def __init__(self, widths: Mapping[str, int], s: GNN4CMRSettings) -> None:
        """Draw the weights; modalities are taken in the order of ``widths``."""
        super().__init__()
        self.decoders = nn.ModuleList(decoder(name, width, s) for name, width in widths.items())
        self.adversaries = nn.ModuleList(adversary(width) for width in widths.values())

    def forward(self, x: Sequence[Tensor], z: Sequence[Tensor]) -> Tensor:
        """Return the adversaries' loss on real features of both modalities and on decoded ones.

        Rows of each source are normalised apart; the layers after that take those of both at once.
        """
        logits: list[Tensor] = []
        for target, adversary in enumerate(self.adversaries):
            norm, *layers = adversary.children()
            sources = [
                x[target] if source == target else t.reverse_gradient(self.decoders[target](z[source]), 1.0)
                for source in range(2)
            ]
            rows = torch.cat([norm(part) for part in sources])
            for layer in layers:
                rows = layer(rows)
            logits += torch.split(rows, [len(part) for part in sources])
        return adversarial_loss(logits)


def encoder(width: int, dim: int) -> nn.Sequential:
    """Return a modality's encoder: batch statistics and one layer."""
    return nn.Sequential(nn.BatchNorm1d(width), *t.mlp((width, dim), activate_last=True))


def decoder(name: str, width: int, s: GNN4CMRSettings) -> nn.Sequential:
    """Return the decoder to a modality: batch statistics and two layers; images are made by ReLU."""

    def activation() -> nn.Module:
        return nn.ReLU() if name == "image" else nn.LeakyReLU(0.2)

    widths = (s.dim, int(t.per_modality(s.decoder_hidden, name)), width)
    return nn.Sequential(nn.BatchNorm1d(s.dim), *t.mlp(widths, activation=activation, activate_last=True))


def adversary(width: int) -> nn.Sequential:
    """Return the network ``d - d/4 - d/16 - 2`` that tells which modality features were made from."""
    return nn.Sequential(nn.BatchNorm1d(width), *t.mlp((width, max(1, width // 4), max(1, width // 16), 2)))


def adversarial_loss(logits: Sequence[Tensor]) -> Tensor:
    """Return the sum of the cross-entropies of which modality made the rows.

    Args:
        logits: ``(n, 2)`` for rows made from the first modality and from the second, in turn; class 1
            is the first.
    """
    terms = [
        cross_entropy(rows, torch.full((len(rows),), 1 - index % 2, device=rows.device))
        for index, rows in enumerate(logits)
    ]
    return torch.stack(terms).sum()


def soft_contrast(z: Sequence[Tensor], y: Sequence[Tensor], temperature: float, gamma: float) -> Tensor:
    """Return ``SC = L_12 + L_21 + gamma (L_11 + L_22)``.

    ``L_ab = -mean_i sum_j q_ij (t_ij - log sum_k exp(1.06 t_ik))`` with ``t_ij = cos(a_i, b_j) / T`` and q
    the pairs with a shared label, each row's sum being 1; within a modality a row is no partner of itself.
    """
    rows, labels, sizes = t.unit(torch.cat(list(z))), torch.cat(list(y)), [len(part) for part in z]
    similarity = rows @ rows.T / temperature
    related = (labels @ labels.T).clamp_max(1).fill_diagonal_(0)
    total = z[0].new_zeros(())
    columns = (torch.split(matrix, sizes, dim=1) for matrix in (similarity, related))
    for b, (t_b, q_b) in enumerate(zip(*columns, strict=True)):
        q = q_b / q_b.sum(dim=1, keepdim=True).clamp_min(1e-6)
        log_share = t_b - torch.logsumexp(SHARPER * t_b, dim=1, keepdim=True)
        for a, terms in enumerate(torch.split((q * log_share).sum(dim=1), sizes)):
            total = total - (gamma if a == b else 1.0) * terms.mean()
    return total


def gnn4cmr_loss(
    z: Sequence[Tensor], p: Sequence[Tensor], y: Sequence[Tensor], j_adv: Tensor, s: GNN4CMRSettings
) -> dict[str, Tensor]:
    """Return ``alpha J_c + SC + beta J_adv`` and its parts; ``J_c = mean ||p1 - y1|| + mean ||p2 - y2||``."""
    j_c = t.distance(p[0], y[0]) + t.distance(p[1], y[1])
    sc = soft_contrast(z, y, s.temperature, s.gamma)
    return {"loss": s.alpha * j_c + sc + s.beta * j_adv, "J_c": j_c, "SC": sc, "J_adv": j_adv}
