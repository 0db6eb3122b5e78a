"""MRL: robust clustering around learned centres, and contrast of instances over modalities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.contract import Context, MethodCard
from bench.training import (
    AlignedPairs,
    Batch,
    Clock,
    DeepMethod,
    DeepSettings,
    DeviceSplit,
    Stage,
    Step,
    Track,
    adam,
    cosine_decay,
    multimodal_contrast,
    parameters_of,
    perceptrons,
    prototypes,
    robust_clustering,
    unit,
)


@dataclass(frozen=True, kw_only=True)
class MRLSettings(DeepSettings):
    """Settings of MRL; every default is the released code's unless said otherwise.

    Attributes:
        epochs: 100 (paper and release); the learning rate falls along half a cosine over them.
        batch_size: 100 (release; the paper's differ between datasets).
        hidden: two layers of 4096.
        dim: 512; at least the number of classes.
        lr: 1e-4.
        beta: weight of the robust clustering against the contrast, .5.
        tau: temperature of both terms, 1.
    """

    epochs: int = 100
    batch_size: int = 100
    hidden: tuple[int, ...] = (4096, 4096)
    dim: int = 512
    lr: float = 1e-4
    beta: float = 0.5
    tau: float = 1.0


class MRL(DeepMethod):
    """Multimodal robust learning."""

    card = MethodCard(
        name="mrl",
        title="MRL",
        authors="Hu, Peng, Zhu, Zhen, Lin",
        year=2021,
        venue="CVPR",
        family="noise-robust joint",
        role="baseline",
        pairs="needed",
        any_modalities=True,
        multi_label=True,
        selects_by="map",
        from_paper=(
            "Labels are taken as they are; the paper adds noise to them.",
            "Samples with several classes are ours: p is the summed probability of a sample's classes.",
        ),
        from_release=(
            "The loss is the paper's (the release's option MCE); the release defaults to cross-entropy.",
            "No label noise, so its off-by-one, which adds a class to noisy data, has no counterpart.",
            "The rate falls from the second epoch on; the release holds it for two epochs.",
        ),
        parity="losses, gradients: released code; score on emoji: released code",
        citation="hu2021mrl",
        code="https://github.com/penghu-cs/MRL",
        position=12,
    )
    Settings = MRLSettings
    settings: MRLSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without_clustering": {"beta": 0.0},
        "without_contrast": {"beta": 1.0},
    }

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage with one joint track."""
        own = self.settings
        self.encoders = perceptrons(train, own.hidden, own.dim, context)
        centres = prototypes(train, own.dim, context, "centres")

        def loss(batch: Batch, _: Clock) -> dict[str, Tensor]:
            views = [self.encode(name, x) for name, x in batch.features.items()]
            return mrl_loss(views, list(batch.targets.values()), centres.weight, own.beta, own.tau)

        modules = [*self.encoders.values(), centres]
        step = Step(
            loss,
            adam(parameters_of(modules), own.lr),
            schedule=cosine_decay(own.epochs),
            before=lambda *_: centres.renormalise(),
        )
        yield Stage(
            [Track("joint", modules, [step], AlignedPairs(own.batch_size))],
            own.epochs,
            patience=own.patience,
        )

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return unit rows ``z``."""
        return unit(self.encoders[modality](x))


def mrl_loss(
    views: Sequence[Tensor], targets: Sequence[Tensor], centres: Tensor, beta: float, tau: float
) -> dict[str, Tensor]:
    """Return ``beta sum_v RC_v + (1 - beta) MC`` and its parts.

    ``RC_v`` is the robust clustering of modality v under ``softmax(z C / tau)``, ``MC`` the contrast of
    instances over all modalities.
    """
    rc = torch.stack([robust_clustering(z @ centres / tau, y) for z, y in zip(views, targets, strict=True)])
    mc = multimodal_contrast(views, tau)
    return {"loss": beta * rc.sum() + (1 - beta) * mc, "RC": rc.sum(), "MC": mc}
