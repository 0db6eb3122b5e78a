"""MARS: a label network is trained with the first modality; each other modality is trained towards it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from bench import training as t


@dataclass(frozen=True, kw_only=True)
class MARSSettings(t.DeepSettings):
    """Settings of MARS; defaults are the released code's."""

    epochs: int = t.setting(200, "epochs of each of the two stages", "release")
    batch_size: int = t.setting(64, "rows per batch", "release")
    hidden: tuple[int, ...] = t.setting((2048, 1024), "layers of a modality before its two heads", "release")
    label_hidden: tuple[int, ...] = t.setting((1024, 1024), "hidden layers of the label network", "release")
    dim: int = t.setting(128, "width of the embedding; at least the number of classes", "release")
    lr: t.PerModality = t.setting({"image": 1e-4, "audio": 1e-4, "default": 2e-4}, "learning rate", "release")
    alpha: float = t.setting(1.0, "weight of the shared features' cross-entropy", "release")
    beta: float = t.setting(0.5, "weight of the exclusive features' confidence, first modality", "release")
    beta_others: float = t.setting(0.2, "the same for every other modality", "release")
    faithful_to: t.FaithfulTo = t.setting("paper", "release: rows that do not fill a batch are left out")


class MARS(t.DeepMethod):
    """Modality-agnostic representations for scalable cross-media retrieval."""

    card = t.card("mars")
    Settings = MARSSettings
    settings: MARSSettings
    independent = True
    variants = {
        "without_exclusive": {"beta": 0.0, "beta_others": 0.0},
        "without_cross_entropy": {"alpha": 0.0},
        "selected_by_loss": {"select": "loss"},
    }

    def build(self, data: t.DeviceSplit) -> None:
        """Make a network for each modality."""
        self.targets = data.targets
        self.nets = self.each(data, lambda width: DataNet(width, self.settings.hidden, self.settings.dim))

    def stages(self, train: t.DeviceSplit, context: t.Context) -> Iterator[t.Stage]:
        """Yield the first modality with the label network, then all others towards that network."""
        s = self.settings
        self.directions = self.prototypes(train, "prior", trained=False).weight
        self.labels = self.module("labels", lambda: t.mlp((train.n_classes, *s.label_hidden, s.dim)))
        self.build(train)
        first, *others = train
        self.learns_labels = True
        yield self.stage(
            train, "labels", {first: [self.nets[first], self.labels]}, scored=False, patience=None
        )
        self.learns_labels = False
        self.labels.requires_grad_(False)
        if others:
            yield self.stage(train, "others", {name: [self.nets[name]] for name in others})

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return the shared features, unit rows."""
        return self.forward(modality, x)[0]

    def forward(self, modality: str, x: Tensor) -> Tensor:
        """Return shared and exclusive features, ``(2, n, d)``."""
        return torch.stack(self.nets[modality](x))

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Return `mars_loss` against the labels of other rows, drawn from the whole training split."""
        ((name, (shared, exclusive)),) = z.items()
        targets = self.targets[name]
        y_label = targets[t.on_device(torch.randperm(len(targets))[: len(batch)], targets)]
        return mars_loss(
            self.labels(y_label),
            y_label,
            shared,
            exclusive,
            batch.targets[name],
            self.directions,
            self.settings,
            learns_labels=self.learns_labels,
        )

    def validation_loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Compare shared features with the label network where it learns, with each other elsewhere."""
        ((name, (shared, _)),) = z.items()
        y = batch.targets[name]
        return pair_loss(self.labels(y) if self.learns_labels else shared, shared, y, y)


class DataNet(nn.Module):
    """A modality's network: common layers and two heads without bias, for shared and exclusive features."""

    def __init__(self, width: int, hidden: tuple[int, ...], dim: int) -> None:
        """Draw the weights; those of the heads from ``U(+-1/sqrt(d_v))``, as released."""
        super().__init__()
        self.trunk = t.mlp((width, *hidden), activate_last=True)
        self.heads = nn.ModuleList(nn.Linear(hidden[-1], dim, bias=False) for _ in range(2))
        for weight in self.heads.parameters():
            nn.init.uniform_(weight, -(width**-0.5), width**-0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return shared and exclusive features, unit rows ``(n, d)``."""
        hidden = self.trunk(x)
        shared, exclusive = (t.unit(head(hidden)) for head in self.heads)
        return shared, exclusive


def mars_loss(
    label: Tensor,
    y_label: Tensor,
    shared: Tensor,
    exclusive: Tensor,
    y: Tensor,
    w: Tensor,
    s: MARSSettings,
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
    beta = s.beta if learns_labels else s.beta_others
    return {"loss": pairs + s.alpha * ce + beta * h, "P": pairs, "CE": ce, "H": h}


def pair_loss(a: Tensor, b: Tensor, y_a: Tensor, y_b: Tensor) -> Tensor:
    """Return the negative log likelihood of "shares a class" under logits ``2 cos(a_i, b_j)``."""
    return t.pair_nll(2 * t.cosines(a, b), (y_a @ y_b.T > 0.5).to(y_a.dtype))
