"""ELRCMR: MRL with a memory of early predictions, contrast within modalities and a decaying balance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Context, MethodCard
from bench.training import (
    AlignedPairs,
    Batch,
    Clock,
    DeepMethod,
    DeepSettings,
    DeviceSplit,
    FaithfulTo,
    Stage,
    Step,
    Track,
    adam,
    cosine_decay,
    multimodal_contrast,
    neighbour_logits,
    perceptrons,
    prototypes,
    robust_clustering,
    unit,
)

LEAST = 1e-4
"""Probabilities enter the memory and its regulariser clamped to [LEAST, 1 - LEAST]."""


@dataclass(frozen=True, kw_only=True)
class ELRCMRSettings(DeepSettings):
    """Settings of ELRCMR; every default is what the release's README runs on Wikipedia.

    Attributes:
        epochs: 100.
        batch_size: 100.
        hidden: two layers of 4096.
        dim: 512; at least the number of classes.
        lr: 1e-4.
        decay_epochs: after which the learning rate, on half a cosine, would be 0; 100.
        lama: weight of the early-learning regulariser, 1.
        zeta: weight of the contrast within modalities, .001.
        beta: weight of the clustering against the contrast at the start, .75.
        beta_iterations: updates after which beta has fallen to 0, 3000.
        memory: share of the old memory that an update keeps, .9.
        tau: temperature, 1.
        average: weights that embed are averages of the trained ones, of which a step keeps this share
            times a factor that falls like beta's over ``average_iterations``; 1. At 0 the trained
            weights embed.
        average_iterations: 100,000.
        faithful_to: ``release`` embeds with the trained weights, which every step first shrinks: that is
            what its averaging amounts to.
    """

    epochs: int = 100
    batch_size: int = 100
    hidden: tuple[int, ...] = (4096, 4096)
    dim: int = 512
    lr: float = 1e-4
    decay_epochs: int = 100
    lama: float = 1.0
    zeta: float = 0.001
    beta: float = 0.75
    beta_iterations: int = 3000
    memory: float = 0.9
    tau: float = 1.0
    average: float = 1.0
    average_iterations: int = 100_000
    faithful_to: FaithfulTo = "paper"


class ELRCMR(DeepMethod):
    """Early-learning regularised contrastive learning."""

    card = MethodCard(
        name="elrcmr",
        title="ELRCMR",
        authors="Xu, Liu, Huang, Guo, Hong, Wang",
        year=2022,
        venue="ACM MM",
        family="noise-robust joint",
        role="baseline",
        pairs="needed",
        multi_label=True,
        selects_by="map",
        from_paper=(
            "Labels are taken as they are; the settings were published for 40 to 80 % noisy labels.",
            "Weights are averaged as in ELR+ (Liu et al., NeurIPS 2020), on which the method builds: "
            "the first t steps form a plain average until the published share is reached.",
            "Samples with several classes are ours: p is the summed probability of a sample's classes.",
        ),
        from_release=(
            "Averages of the weights are kept apart and embed; the release means to average, but holds the "
            "live weights twice and so multiplies them by a(2 - a) in every step (faithful_to: release).",
            "The memory holds training rows only; the release lets validation and test batches overwrite it.",
            "The loss is the paper's (the release's option MCE); the release defaults to cross-entropy.",
        ),
        parity="losses, gradients, memory, schedule: released code; score on emoji: released code",
        citation="xu2022elrcmr",
        code="",
        position=14,
    )
    Settings = ELRCMRSettings
    settings: ELRCMRSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without_memory": {"lama": 0.0},
        "without_intra": {"zeta": 0.0},
        "without_averaging": {"average": 0.0},
    }

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage with one joint track."""
        own = self.settings
        nets = nn.ModuleList(perceptrons(train, own.hidden, own.dim, context).values())
        averages = deepcopy(nets).requires_grad_(False) if own.faithful_to == "paper" else nets
        self.encoders = dict(zip(train, averages, strict=True))
        centres = prototypes(train, own.dim, context, "centres")
        memories = {name: torch.zeros_like(y) for name, y in train.targets.items()}

        def loss(batch: Batch, clock: Clock) -> dict[str, Tensor]:
            """Cluster, remember and contrast with the trained weights; the averages only embed."""
            views = [unit(net(x)) for net, x in zip(nets, batch.features.values(), strict=True)]
            logits = dict(zip(train, (z @ centres.weight / own.tau for z in views), strict=True))
            rc = [robust_clustering(logits[name], y) for name, y in batch.targets.items()]
            elr = [
                early_learning(logits[name], memories[name], rows, own.memory)
                for name, rows in batch.rows.items()
            ]
            beta = own.beta * fading(clock.iteration, own.beta_iterations)
            contrast = multimodal_contrast(views, own.tau), intra_contrast(views, [*logits.values()], own.tau)
            return elrcmr_loss(torch.stack(rc).sum(), torch.stack(elr).sum(), *contrast, beta, own)

        def average(_: Batch, clock: Clock) -> None:
            """Let the averages follow the weights, or do what the release does in their place."""
            keep = own.average * fading(clock.iteration, own.average_iterations)
            if own.faithful_to == "release":
                shrink(nets, keep * (2 - keep))
            else:
                follow(averages, nets, min(keep, 1 - 1 / (clock.iteration + 1)))

        step = Step(
            loss,
            adam([*nets.parameters(), *centres.parameters()], own.lr),
            schedule=cosine_decay(own.decay_epochs),
            before=lambda *_: centres.renormalise(),
            after=average,
        )
        modules = [nets, centres] if averages is nets else [nets, averages, centres]
        track = Track("joint", modules, [step], AlignedPairs(own.batch_size, minimum=2))
        yield Stage([track], own.epochs, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return unit rows ``z``."""
        return unit(self.encoders[modality](x))

    def notes(self) -> Mapping[str, Any]:
        """Count the averages of weights as no weights of their own."""
        notes = dict(super().notes())
        averages = chain.from_iterable(net.parameters() for net in self.encoders.values())
        return {
            **notes,
            "parameters": notes["parameters"] - sum(w.numel() for w in averages if not w.requires_grad),
        }


def elrcmr_loss(
    rc: Tensor, elr: Tensor, inter: Tensor, intra: Tensor, beta: float, settings: ELRCMRSettings
) -> dict[str, Tensor]:
    """Return ``beta_t (RC + lama ELR) + (1 - beta_t) (inter + zeta intra)`` and its parts."""
    total = beta * (rc + settings.lama * elr) + (1 - beta) * (inter + settings.zeta * intra)
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
    t = keep * memory[rows] + (1 - keep) * (p / p.sum(dim=1, keepdim=True)).detach()
    memory[rows] = t
    return torch.log(1 - (t * p).sum(dim=1)).mean()


def intra_contrast(views: Sequence[Tensor], logits: Sequence[Tensor], tau: float) -> Tensor:
    """Return the sum over modalities and anchors of the contrast with rows of the same predicted class.

    An anchor adds ``-sum_{j in P_i} log(s_ij / sum_k s_ik) / (2 |P_i| - 1)`` with ``s = exp(z z^T / tau)``
    without itself and the other rows ``P_i`` of its predicted class; nothing where there are none.
    """
    terms = []
    for z, scores in zip(views, logits, strict=True):
        predicted = scores.argmax(dim=1)
        positive = (predicted[:, None] == predicted).fill_diagonal_(False)
        log_share = torch.log_softmax(neighbour_logits(z, tau), dim=1)
        sums = log_share.masked_fill(~positive, 0.0).sum(dim=1)
        terms.append(-(sums / (2 * positive.sum(dim=1) - 1).clamp_min(1)).sum())
    return torch.stack(terms).sum()


def fading(iteration: int, length: int) -> float:
    """Return ``1 - exp(-5 (1 - min(t, L) / L)^2)``, which falls from .993 to 0 over ``length`` updates."""
    return 1 - math.exp(-5 * (1 - min(iteration, length) / length) ** 2)


@torch.no_grad()
def follow(averages: nn.Module, nets: nn.Module, keep: float) -> None:
    """Move averaged weights towards the trained ones: ``a <- keep a + (1 - keep) w``."""
    for mean, weight in zip(averages.parameters(), nets.parameters(), strict=True):
        mean.lerp_(weight, 1 - keep)


@torch.no_grad()
def shrink(nets: nn.Module, factor: float) -> None:
    """Multiply all weights by ``factor``."""
    for weight in nets.parameters():
        weight.mul_(factor)
