"""ELRCMR: MRL with a memory of early predictions, contrast within modalities and a decaying balance."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import training as t

LEAST = 1e-4
"""Probabilities enter the memory and its regulariser clamped to [LEAST, 1 - LEAST]."""


@dataclass(frozen=True, kw_only=True)
class ELRCMRSettings(t.DeepSettings):
    """Settings of ELRCMR; defaults are what the release's README runs on Wikipedia."""

    epochs: int = t.setting(100, "passes over the training rows", "release")
    batch_size: int = t.setting(100, "pairs per batch", "release")
    hidden: tuple[int, ...] = t.setting((4096, 4096), "widths of the hidden layers", "release")
    dim: int = t.setting(512, "width of the embedding; at least the number of classes", "release")
    lr: float = t.setting(1e-4, "learning rate in the first epoch", "release")
    decay_epochs: int = t.setting(100, "until the rate, on half a cosine, would be 0", "release")
    lama: float = t.setting(1.0, "weight of the early-learning regulariser", "release")
    zeta: float = t.setting(0.001, "weight of the contrast within modalities", "release")
    beta: float = t.setting(0.75, "weight of clustering against contrast at the start", "release")
    beta_iterations: int = t.setting(3000, "updates after which beta has fallen to 0", "release")
    memory: float = t.setting(0.9, "share of the old memory that an update keeps", "release")
    tau: float = t.setting(1.0, "temperature", "release")
    average: float = t.setting(
        1.0, "share of the averaged weights that a step keeps; 0: no average", "release"
    )
    average_iterations: int = t.setting(100_000, "updates over which that share falls like beta", "release")
    faithful_to: t.FaithfulTo = t.setting("paper", "release: trained weights embed, shrunk in every step")


class ELRCMR(t.DeepMethod):
    """Early-learning regularised contrastive learning."""

    card = t.card("elrcmr")
    Settings = ELRCMRSettings
    settings: ELRCMRSettings
    batches = t.AlignedPairs(minimum=2)
    unit_length = True
    variants = {
        "without_memory": {"lama": 0.0},
        "without_intra": {"zeta": 0.0},
        "without_averaging": {"average": 0.0},
    }

    def build(self, data: t.DeviceSplit) -> None:
        """Make the networks, averages of their weights that embed, the centres and the memories."""
        self.nets = self.mlps(data)
        self.encoders = self.embedding_networks()
        self.centres = self.prototypes(data, "centres")
        self.memories = {name: torch.zeros_like(y) for name, y in data.targets.items()}

    def embedding_networks(self) -> dict[str, nn.Module]:
        """Return the networks that embed: averages of the trained ones."""
        return {name: deepcopy(net).requires_grad_(False) for name, net in self.nets.items()}

    def forward(self, modality: str, x: Tensor) -> Tensor:
        """Return unit rows from the trained weights."""
        return t.unit(self.nets[modality](x))

    def schedule(self, clock: t.Clock) -> float:
        """Return half a cosine."""
        return t.cosine_decay(self.settings.decay_epochs)(clock)

    def before(self, batch: t.Batch, clock: t.Clock) -> None:
        """Bring the centres back to length 1."""
        self.centres.renormalise()

    def after(self, batch: t.Batch, clock: t.Clock) -> None:
        """Let the averages follow the trained weights; the first t steps form a plain average."""
        keep = self.settings.average * decaying_factor(clock.iteration, self.settings.average_iterations)
        average_weights(self.encoders, self.nets, min(keep, 1 - 1 / (clock.iteration + 1)))

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Cluster, remember and contrast."""
        s, views = self.settings, list(z.values())
        logits = {name: rows @ self.centres.weight / s.tau for name, rows in z.items()}
        rc = [t.robust_clustering(logits[name], y) for name, y in batch.targets.items()]
        elr = [
            early_learning(logits[name], self.memories[name], rows, s.memory)
            for name, rows in batch.rows.items()
        ]
        inter, intra = t.multimodal_contrast(views, s.tau), intra_contrast(views, [*logits.values()], s.tau)
        beta = s.beta * decaying_factor(clock.iteration, s.beta_iterations)
        return elrcmr_loss(torch.stack(rc).sum(), torch.stack(elr).sum(), inter, intra, beta, s)


def elrcmr_loss(
    rc: Tensor, elr: Tensor, inter: Tensor, intra: Tensor, beta: float, s: ELRCMRSettings
) -> dict[str, Tensor]:
    """Return ``beta_t (RC + lama ELR) + (1 - beta_t) (inter + zeta intra)`` and its parts."""
    total = beta * (rc + s.lama * elr) + (1 - beta) * (inter + s.zeta * intra)
    return {"loss": total, "RC": rc, "ELR": elr, "inter": inter, "intra": intra}


def early_learning(logits: Tensor, memory: Tensor, rows: Tensor, keep: float) -> Tensor:
    """Update the memory at ``rows`` and return ``mean_i log(1 - <t_i, p_i>)``.

    ``t_i <- keep t_i + (1 - keep) p_i / sum p_i`` with the clamped posterior p; the gradient reaches p
    through the inner product alone.

    Args:
        logits: ``(n, C)``.
        memory: ``(n_train, C)``, changed in place.
        rows: ``(n,)`` row numbers of the samples in the training split.
        keep: share of the old memory.
    """
    p = logits.softmax(dim=1).clamp(LEAST, 1 - LEAST)
    target = keep * memory[rows] + (1 - keep) * (p / p.sum(dim=1, keepdim=True)).detach()
    memory[rows] = target
    return torch.log(1 - (target * p).sum(dim=1)).mean()


def intra_contrast(views: Sequence[Tensor], logits: Sequence[Tensor], tau: float) -> Tensor:
    """Return the sum over modalities and anchors of the contrast with rows of the same predicted class.

    An anchor adds ``-sum_{j in P_i} log(s_ij / sum_k s_ik) / (2 |P_i| - 1)`` with ``s = exp(z z^T / tau)``
    without itself and the other rows ``P_i`` of its predicted class; nothing where there are none.
    """
    terms = []
    for z, scores in zip(views, logits, strict=True):
        predicted = scores.argmax(dim=1)
        positive = (predicted[:, None] == predicted).fill_diagonal_(False)
        log_share = torch.log_softmax(t.neighbour_logits(z, tau), dim=1)
        sums = log_share.masked_fill(~positive, 0.0).sum(dim=1)
        terms.append(-(sums / (2 * positive.sum(dim=1) - 1).clamp_min(1)).sum())
    return torch.stack(terms).sum()


def decaying_factor(iteration: int, length: int) -> float:
    """Return ``1 - exp(-5 (1 - min(t, L) / L)^2)``, which falls from .993 to 0 over ``length`` updates."""
    return 1 - math.exp(-5 * (1 - min(iteration, length) / length) ** 2)


@torch.no_grad()
def average_weights(averages: Mapping[str, nn.Module], nets: Mapping[str, nn.Module], keep: float) -> None:
    """Update averaged weights by the trained ones: ``a <- keep a + (1 - keep) w``."""
    for name, net in nets.items():
        for mean, weight in zip(averages[name].parameters(), net.parameters(), strict=True):
            mean.lerp_(weight, 1 - keep)
