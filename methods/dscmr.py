"""DSCMR: two modalities share their last layers and a linear classifier, and pairs meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

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
    built,
    distance,
    mlp,
    similarity_nll,
)


@dataclass(frozen=True, kw_only=True)
class DSCMRSettings(DeepSettings):
    """Settings of DSCMR; every default is the released code's (Pascal Sentence).

    Attributes:
        epochs: 500.
        batch_size: 100 pairs.
        hidden: layers of each modality's own, one of 2048.
        dim: width of the shared linear layer, 1024.
        lr: 1e-4.
        alpha: weight of the similarity term J2, 1e-3.
        beta: weight of the pair distance J3, 1e-1.
        faithful_to: ``release`` visits the pairs in their given order every epoch, and counts the
            shared labels of multi-label samples where the paper's S_ij is 0 or 1.
    """

    epochs: int = 500
    batch_size: int = 100
    hidden: tuple[int, ...] = (2048,)
    dim: int = 1024
    lr: float = 1e-4
    alpha: float = 1e-3
    beta: float = 1e-1
    faithful_to: FaithfulTo = "paper"


class DSCMR(DeepMethod):
    """Deep supervised cross-modal retrieval."""

    card = MethodCard(
        name="dscmr",
        title="DSCMR",
        authors="Zhen, Hu, Wang, Peng",
        year=2019,
        venue="CVPR",
        family="deep supervised joint",
        role="baseline",
        pairs="needed",
        multi_label=True,
        selects_by="map",
        from_paper=(
            "J1 and J3 average Euclidean distances of rows, as released; the paper has Frobenius norms / n.",
            "Settings of datasets other than Pascal Sentence are not public; its own are used throughout.",
        ),
        from_release=(
            "The epoch is chosen on validation mAP; the release chooses it on the test set.",
            "Pairs are shuffled every epoch; the release keeps their order.",
            "S_ij is 1 for pairs with a shared label; the release counts the labels that are shared.",
            "The release ignores its number of epochs (it lands in another argument) and always runs 500.",
            "Classes are counted from 0; the release's one-hot coding adds a dead class to labels from 1.",
            "A distance of exactly 0 has gradient 0; in the release it is NaN.",
        ),
        parity="loss, gradients, network, Adam steps: released code",
        citation="zhen2019dscmr",
        code="https://github.com/penghu-cs/DSCMR",
        position=6,
    )
    Settings = DSCMRSettings
    settings: DSCMRSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without_j2": {"alpha": 0.0},
        "without_j3": {"beta": 0.0},
    }

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage with one joint track."""
        own = self.settings
        first, second = train
        self.net = built(
            lambda: Network({name: train.dimension(name) for name in train}, train.n_classes, own),
            context,
            "net",
        )

        def loss(batch: Batch, _: Clock) -> dict[str, Tensor]:
            z1, z2 = (self.net(name, batch.features[name]) for name in (first, second))
            p1, p2 = self.net.classifier(z1), self.net.classifier(z2)
            return dscmr_loss(z1, z2, p1, p2, batch.targets[first], own)

        plan = AlignedPairs(own.batch_size, shuffle=own.faithful_to == "paper")
        track = Track("joint", [self.net], [Step(loss, adam(self.net.parameters(), own.lr))], plan)
        yield Stage([track], own.epochs, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return the output of the shared linear layer."""
        embedding: Tensor = self.net(modality, x)
        return embedding


class Network(nn.Module):
    """Layers of each modality's own, one shared linear layer, one shared linear classifier."""

    def __init__(self, dimensions: dict[str, int], n_classes: int, settings: DSCMRSettings) -> None:
        """Draw the weights."""
        super().__init__()
        # Numbered, because a module's name may not hold every character that a modality's may.
        self._index = {name: place for place, name in enumerate(dimensions)}
        self.own = nn.ModuleList(
            mlp((width, *settings.hidden), activate_last=True) for width in dimensions.values()
        )
        self.shared = nn.Linear(settings.hidden[-1], settings.dim)
        self.classifier = nn.Linear(settings.dim, n_classes)

    def forward(self, modality: str, x: Tensor) -> Tensor:
        """Return embeddings ``(n, d)``."""
        embedding: Tensor = self.shared(self.own[self._index[modality]](x))
        return embedding


def dscmr_loss(
    z1: Tensor, z2: Tensor, p1: Tensor, p2: Tensor, y: Tensor, settings: DSCMRSettings
) -> dict[str, Tensor]:
    """Return ``J1 + alpha J2 + beta J3`` and its parts.

    ``J1 = mean ||p1 - y|| + mean ||p2 - y||``, ``J2 = sum over (1,1), (1,2), (2,2) of NLL(cos / 2, S)``,
    ``J3 = mean ||z1 - z2||``.
    """
    j1 = distance(p1, y) + distance(p2, y)
    j2 = similarity_nll((z1, z2), (y, y), counted=settings.faithful_to == "release")
    j3 = distance(z1, z2)
    return {"loss": j1 + settings.alpha * j2 + settings.beta * j3, "J1": j1, "J2": j2, "J3": j3}
