"""RONO: discriminative centres that push away what they doubt, a shared classifier, and contrast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
    PerModality,
    Stage,
    Step,
    Track,
    adam,
    built,
    gce,
    mlp,
    multimodal_contrast,
    per_modality,
    perceptrons,
    unit,
)

ADAM_BETAS = (0.9, 0.999)
"""The release leaves Adam's own defaults, unlike the rest of the family."""


@dataclass(frozen=True, kw_only=True)
class RONOSettings(DeepSettings):
    """Settings of RONO; every default is the released code's unless said otherwise.

    Attributes:
        epochs: 50.
        batch_size: 128.
        hidden: 1024 and 512, the linear layers of the release's image network.
        dim: 256.
        head_hidden: hidden layer of the classifier that all modalities share, 128.
        lr: 5e-5 for images, 1e-4 for every other modality.
        head_lr: 1e-4.
        centre_lr: 1e-4.
        weight_decay: of networks and classifier, 1e-5.
        classification: factor on the classification loss of each modality, 5.
        tau: temperature of the contrast, .22.
        alpha: margin of the centre loss's second half, .3.
        scale: divisor a of both halves of the centre loss, .05.
        warm_up: epochs over which the centre loss turns from its first half to its second, 25.
    """

    epochs: int = 50
    batch_size: int = 128
    hidden: tuple[int, ...] = (1024, 512)
    dim: int = 256
    head_hidden: tuple[int, ...] = (128,)
    lr: PerModality = field(default_factory=lambda: {"image": 5e-5, "default": 1e-4})
    head_lr: float = 1e-4
    centre_lr: float = 1e-4
    weight_decay: float = 1e-5
    classification: float = 5.0
    tau: float = 0.22
    alpha: float = 0.3
    scale: float = 0.05
    warm_up: int = 25


class RONO(DeepMethod):
    """Robust discriminative learning with noisy labels."""

    card = MethodCard(
        name="rono",
        title="RONO",
        authors="Feng, Zhu, Peng, Peng, Hu",
        year=2023,
        venue="CVPR",
        family="noise-robust joint",
        role="baseline",
        pairs="needed",
        any_modalities=True,
        multi_label=True,
        selects_by="map",
        from_paper=(
            "Perceptrons on given features replace the networks of images and point clouds.",
            "Labels are taken as they are; the paper adds noise to them.",
            "A sample with several classes has the mean of their centres, and 1 minus the sum of their "
            "probabilities for its classification term (ours); the paper has one class per sample.",
        ),
        from_release=(
            "The epoch is chosen on validation mAP; the release saves states and leaves the choice open.",
            "No learning rate decays; the release means to divide all by 10 every 600 updates, but writes "
            "those of the networks to names that nothing reads, and reaches only that of the centres.",
            "Only the settings for 3D-MNIST are public; they are used throughout.",
        ),
        parity="losses, gradients: released code",
        citation="feng2023rono",
        code="https://github.com/penghu-cs/RONO",
        position=15,
    )
    Settings = RONOSettings
    settings: RONOSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"without_classification": {"classification": 0.0}}

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage with one joint track."""
        own = self.settings
        self.encoders = perceptrons(train, own.hidden, own.dim, context)
        head = built(lambda: mlp((own.dim, *own.head_hidden, train.n_classes)), context, "head")
        centres = built(lambda: Centres(train.n_classes, own.dim), context, "centres")

        def loss(batch: Batch, clock: Clock) -> dict[str, Tensor]:
            views = [self.encoders[name](x) for name, x in batch.features.items()]
            logits = [head(z) for z in views]
            targets = list(batch.targets.values())
            return rono_loss(views, logits, targets, centres.weight, clock.epoch - 1, own)

        groups = [
            {"params": net.parameters(), "lr": per_modality(own.lr, name)}
            for name, net in self.encoders.items()
        ]
        groups.append({"params": head.parameters(), "lr": own.head_lr})
        groups.append({"params": centres.parameters(), "lr": own.centre_lr, "weight_decay": 0.0})
        step = Step(loss, adam(groups, own.head_lr, ADAM_BETAS, own.weight_decay))
        modules = [*self.encoders.values(), head, centres]
        plan = AlignedPairs(own.batch_size)
        yield Stage([Track("joint", modules, [step], plan)], own.epochs, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return ``z`` as the contrast sees it, unit rows."""
        return unit(self.encoders[modality](x))


class Centres(nn.Module):
    """One direction per class, ``weight`` ``(C, d)``, drawn from the normal distribution."""

    def __init__(self, n_classes: int, dim: int) -> None:
        """Draw the centres."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_classes, dim))


def rono_loss(
    views: list[Tensor],
    logits: list[Tensor],
    targets: list[Tensor],
    centres: Tensor,
    epoch: int,
    settings: RONOSettings,
) -> dict[str, Tensor]:
    """Return ``CRC + RDC + MG`` and its parts.

    ``CRC = sum over modalities of 5 mean(1 - p_y)`` on the shared classifier's probabilities, ``MG`` is the
    contrast of instances over modalities, ``RDC`` see `centre_loss`; epochs count from 0.
    """
    crc = torch.stack([gce(t, y, q=1.0) for t, y in zip(logits, targets, strict=True)]).sum()
    crc = settings.classification * crc
    turned = min(epoch / max(settings.warm_up - 1, 1), 1.0)
    rdc = centre_loss(torch.cat(views), torch.cat(targets), centres, turned, settings.alpha, settings.scale)
    mg = multimodal_contrast([unit(z) for z in views], settings.tau)
    return {"loss": crc + rdc + mg, "CRC": crc, "RDC": rdc, "MG": mg}


def centre_loss(z: Tensor, y: Tensor, centres: Tensor, turned: float, alpha: float, scale: float) -> Tensor:
    """Return ``(1 - v) l_1 + v l_2`` of rows against unit centres.

    With ``A = exp(mean_k c_k . z)``, ``S = c_y . z`` and K classes, ``l_1 = mean (A - exp((K+1)/K S)) / a``
    draws samples to their centres, and ``l_2 = -mean |A - exp(S) + alpha| / a`` pushes those away from
    theirs that are nearer to the others.

    Args:
        z: ``(n, d)``, of any length.
        y: ``(n, C)`` one-hot, or multi-hot for the mean of several centres.
        centres: ``(C, d)``, of any length.
        turned: v, in [0, 1].
        alpha: margin.
        scale: a.
    """
    cosine = unit(z) @ unit(centres).T
    a = cosine.mean(dim=1).exp()
    s = (cosine * y).sum(dim=1) / y.sum(dim=1).clamp_min(1)
    classes = len(centres)
    l_1 = (a - torch.exp((classes + 1) / classes * s)).mean() / scale
    l_2 = -(a - s.exp() + alpha).abs().mean() / scale
    return (1 - turned) * l_1 + turned * l_2
