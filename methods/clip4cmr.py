"""CLIP4CMR's head: every modality learns alone to come near learned prototypes of the classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.contract import Context, MethodCard
from bench.training import (
    Batch,
    Clock,
    DeepMethod,
    DeepSettings,
    DeviceSplit,
    FaithfulTo,
    Independent,
    Stage,
    Step,
    Track,
    adam,
    built,
    mlp,
    parameters_of,
    shared_cross_entropy,
    unit,
)


@dataclass(frozen=True, kw_only=True)
class CLIP4CMRSettings(DeepSettings):
    """Settings of CLIP4CMR's head; every default is the released code's.

    Attributes:
        epochs: 500.
        batch_size: 300.
        hidden: one layer of 256.
        dim: 1024.
        lr: 1e-4.
        dropout: probability of dropping a unit of the embedding, .1.
        patience: epochs without a better validation value after which training ends, 10.
        faithful_to: ``release`` keeps the prototypes as drawn and divides the loss by the batch twice.
    """

    epochs: int = 500
    batch_size: int = 300
    hidden: tuple[int, ...] = (256,)
    dim: int = 1024
    lr: float = 1e-4
    dropout: float = 0.1
    patience: int | None = 10
    faithful_to: FaithfulTo = "paper"


class CLIP4CMR(DeepMethod):
    """The prototype contrastive head of CLIP4CMR on any extracted features."""

    card = MethodCard(
        name="clip4cmr",
        title="CLIP4CMR head",
        authors="Zeng, Mao",
        year=2022,
        venue="arXiv",
        family="deep supervised joint, prototypes",
        pairs="unused",
        any_modalities=True,
        multi_label=True,
        selects_by="map",
        from_paper=(
            "The head alone, on the features of a dataset; the paper puts it on CLIP's.",
            "Samples of several classes are drawn to the prototypes of all of them in equal parts (ours).",
            "More than two modalities share the prototypes, each with a network of its own (ours).",
        ),
        from_release=(
            "The prototypes are learned; the release draws them at random and keeps them.",
            "The loss is a mean over the batch; the release divides the mean by the batch once more.",
            "The epoch is chosen, and training stopped, on validation mAP; the release uses the test set.",
            "Ranked by the cosine, which orders unit rows as the Euclidean distance of the release does.",
            "Modalities are taken in independent batches, since no term relates their rows; a last batch of "
            "one row joins the batch before.",
        ),
        parity="none: the released training script does not compile",
        citation="zeng2022clip4cmr",
        code="https://github.com/zhixiongz/CLIP4CMR",
        position=1003,
    )
    Settings = CLIP4CMRSettings
    settings: CLIP4CMRSettings

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage with one joint track, since the prototypes are everybody's."""
        own = self.settings
        self.encoders = {name: self.build(name, train.dimension(name), context) for name in train}
        prototypes = built(
            lambda: UnitPrototypes(train.n_classes, own.dim, own.faithful_to == "paper"),
            context,
            "prototypes",
        )

        def loss(batch: Batch, _: Clock) -> Tensor:
            """Add up what every modality's rows lack to their prototypes."""
            terms = [
                prototype_contrast(unit(self.encoders[name](x)), prototypes(), batch.targets[name])
                / (len(x) if own.faithful_to == "release" else 1)
                for name, x in batch.features.items()
            ]
            return torch.stack(terms).sum()

        modules = [*self.encoders.values(), prototypes]
        step = Step(loss, adam(parameters_of(modules), own.lr))
        track = Track("joint", modules, [step], Independent(own.batch_size, minimum=2))
        yield Stage([track], own.epochs, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return unit rows ``z``."""
        return unit(self.encoders[modality](x))

    def build(self, name: str, width: int, context: Context) -> nn.Module:
        """Return a modality's encoder; its output is dropped out, not its hidden layers."""
        own = self.settings
        layers = (width, *own.hidden, own.dim)
        return built(
            lambda: nn.Sequential(*mlp(layers, activation=nn.GELU), nn.Dropout(own.dropout)), context, name
        )


class UnitPrototypes(nn.Module):
    """One unit row per class.

    Attributes:
        weight: ``(C, d)``, drawn from a normal distribution; only its directions count.
    """

    def __init__(self, n_classes: int, dim: int, trained: bool) -> None:
        """Draw the rows."""
        super().__init__()
        self.weight = nn.Parameter(unit(torch.randn(n_classes, dim)), requires_grad=trained)

    def forward(self) -> Tensor:
        """Return the rows ``(C, d)``, of length 1."""
        return unit(self.weight)


def prototype_contrast(z: Tensor, c: Tensor, y: Tensor) -> Tensor:
    """Return ``PCL = -mean_i log softmax_k(-||z_i - c_k||^2)`` at the class of i.

    Args:
        z: embeddings ``(n, d)``.
        c: prototypes ``(C, d)``.
        y: targets ``(n, C)``; several classes of a row have equal parts.
    """
    squares = z.square().sum(dim=1, keepdim=True) - 2 * z @ c.T + c.square().sum(dim=1)
    return shared_cross_entropy(-squares, y)
