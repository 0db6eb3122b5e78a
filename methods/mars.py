"""MARS: a network of labels is learned with the first modality, and all others meet it alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from bench.contract import Context, MethodCard
from bench.training import (
    Batch,
    Clock,
    DeepMethod,
    DeepSettings,
    DeviceSplit,
    FaithfulTo,
    Independent,
    PerModality,
    Stage,
    Step,
    Track,
    adam,
    built,
    cosines,
    mlp,
    pair_nll,
    parameters_of,
    per_modality,
    prototypes,
    unit,
)


@dataclass(frozen=True, kw_only=True)
class MARSSettings(DeepSettings):
    """Settings of MARS; every default is the released code's.

    Attributes:
        epochs: of each of the two stages, 200.
        batch_size: 64.
        hidden: layers of a modality's network before its two heads, 2048 and 1024.
        label_hidden: layers of the label network before its output, two of 1024.
        dim: 128; at least the number of classes.
        lr: 1e-4 for images and audio, 2e-4 for every other modality.
        alpha: weight of the shared features' cross-entropy, 1.
        beta: weight of the exclusive features' confidence, for the first modality: .5.
        beta_others: the same for every other modality, .2.
        faithful_to: ``release`` leaves out the rows that do not fill a batch.
    """

    epochs: int = 200
    batch_size: int = 64
    hidden: tuple[int, ...] = (2048, 1024)
    label_hidden: tuple[int, ...] = (1024, 1024)
    dim: int = 128
    lr: PerModality = field(default_factory=lambda: {"image": 1e-4, "audio": 1e-4, "default": 2e-4})
    alpha: float = 1.0
    beta: float = 0.5
    beta_others: float = 0.2
    faithful_to: FaithfulTo = "paper"


class MARS(DeepMethod):
    """Modality-agnostic representations for scalable cross-media retrieval."""

    card = MethodCard(
        name="mars",
        title="MARS",
        authors="Wang, Peng",
        year=2021,
        venue="IEEE TCSVT",
        family="deep supervised, independent",
        role="baseline",
        pairs="unused",
        any_modalities=True,
        multi_label=True,
        selects_by="map",
        from_paper=(
            "The first modality of the dataset learns the label network, so the order of modalities matters.",
        ),
        from_release=(
            "The first modality and the label network keep their last epoch, the others that of the best "
            "validation mAP over all directions, although each modality is trained apart. The release "
            "compares validation losses (pairs of labels and features for the first modality, of features "
            "for the others) with a value it never lowers, and so keeps the last epoch throughout; the "
            "variant selected_by_loss takes the least of these losses.",
            "The class directions are drawn from the seed; the release ships a matrix per dataset.",
            "The rows that do not fill the last batch are used; the release drops them.",
        ),
        parity="losses, gradients, network: released code; score on emoji: released code",
        citation="wang2021mars",
        code="",
        position=9,
    )
    Settings = MARSSettings
    settings: MARSSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without_exclusive": {"beta": 0.0, "beta_others": 0.0},
        "without_cross_entropy": {"alpha": 0.0},
        "selected_by_loss": {"select": "loss"},
    }

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """Yield the first modality with the label network, then all others in tracks of their own."""
        own = self.settings
        first, *others = train
        prior = prototypes(train, own.dim, context, "prior", trained=False)
        self.directions = prior.weight
        widths = (train.n_classes, *own.label_hidden, own.dim)
        self.labels = built(lambda: mlp(widths), context, "labels")
        self.nets: dict[str, DataNet] = {}
        yield Stage(
            [self._track(first, train, context, learns_labels=True)],
            own.epochs,
            "labels",
            scored=False,
        )
        self.labels.requires_grad_(False)
        yield Stage(
            [self._track(name, train, context) for name in others],
            own.epochs,
            "others",
            patience=own.patience,
        )

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return the shared features, unit rows."""
        shared: Tensor = self.nets[modality](x)[0]
        return shared

    def _track(self, name: str, train: DeviceSplit, context: Context, learns_labels: bool = False) -> Track:
        """Train a modality's network towards the label network, and the latter too where it learns."""
        own = self.settings
        width = train.dimension(name)
        net = self.nets[name] = built(lambda: DataNet(width, own.hidden, own.dim), context, name)

        def loss(batch: Batch, _: Clock) -> dict[str, Tensor]:
            """Hold a batch against the labels of other rows, drawn from the whole training split."""
            targets = train.targets[name]
            y_label = targets[torch.randperm(len(targets))[: len(batch)].to(targets.device)]
            shared, exclusive = net(batch.features[name])
            return mars_loss(
                self.labels(y_label),
                y_label,
                shared,
                exclusive,
                batch.targets[name],
                self.directions,
                own,
                learns_labels=learns_labels,
            )

        def validation_loss(batch: Batch, _: Clock) -> Tensor:
            """Compare shared features with the label network where it learns, with each other elsewhere."""
            shared, y = net(batch.features[name])[0], batch.targets[name]
            return pair_loss(self.labels(y) if learns_labels else shared, shared, y, y)

        modules = [net, self.labels] if learns_labels else [net]
        step = Step(loss, adam(parameters_of(modules), per_modality(own.lr, name)))
        plan = Independent(own.batch_size, (name,), keep_rest=own.faithful_to == "paper")
        return Track(name, modules, [step], plan, validation_loss)


class DataNet(nn.Module):
    """A modality's network: common layers and two heads without bias, for shared and exclusive features."""

    def __init__(self, width: int, hidden: tuple[int, ...], dim: int) -> None:
        """Draw the weights; those of the heads from ``U(+-1/sqrt(d_v))``, as released."""
        super().__init__()
        self.trunk = mlp((width, *hidden), activate_last=True)
        self.heads = nn.ModuleList(nn.Linear(hidden[-1], dim, bias=False) for _ in range(2))
        for weight in self.heads.parameters():
            nn.init.uniform_(weight, -(width**-0.5), width**-0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return shared and exclusive features, unit rows ``(n, d)``."""
        hidden = self.trunk(x)
        shared, exclusive = (unit(head(hidden)) for head in self.heads)
        return shared, exclusive


def mars_loss(
    label: Tensor,
    y_label: Tensor,
    shared: Tensor,
    exclusive: Tensor,
    y: Tensor,
    w: Tensor,
    settings: MARSSettings,
    *,
    learns_labels: bool,
) -> dict[str, Tensor]:
    """Return ``P(l, s) + P(s, s) [+ P(l, l)] + alpha CE + beta H`` and its parts.

    ``P(a, b)`` is the pair loss, ``CE`` the cross-entropy of ``softmax(s W)``, ``H`` the mean logarithm of
    the largest entry of ``softmax(e W)``, which keeps exclusive features from knowing a class. ``P(l, l)``
    and the first modality's beta hold where the label network learns.
    """
    pairs = pair_loss(label, shared, y_label, y) + pair_loss(shared, shared, y, y)
    if learns_labels:
        pairs = pairs + pair_loss(label, label, y_label, y_label)
    ce = cross_entropy(shared @ w, y)
    h = log_softmax(exclusive @ w, dim=1).amax(dim=1).mean()
    beta = settings.beta if learns_labels else settings.beta_others
    return {"loss": pairs + settings.alpha * ce + beta * h, "P": pairs, "CE": ce, "H": h}


def pair_loss(a: Tensor, b: Tensor, y_a: Tensor, y_b: Tensor) -> Tensor:
    """Return the negative log likelihood of "shares a class" under logits ``2 cos(a_i, b_j)``."""
    return pair_nll(2 * cosines(a, b), (y_a @ y_b.T > 0.5).to(y_a.dtype))
