"""CLIP4CMR's head: each modality is trained towards learned class prototypes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import training as t


@dataclass(frozen=True, kw_only=True)
class CLIP4CMRSettings(t.DeepSettings):
    """Settings of CLIP4CMR's head; defaults are the released code's."""

    epochs: int = t.setting(500, "passes over the training rows", "release")
    batch_size: int = t.setting(300, "rows of each modality per batch", "release")
    hidden: tuple[int, ...] = t.setting((256,), "widths of the hidden layers", "release")
    dim: int = t.setting(1024, "width of the embedding", "release")
    lr: float = t.setting(1e-4, "learning rate", "release")
    dropout: float = t.setting(0.1, "probability of dropping a unit of the embedding", "release")
    patience: int | None = t.setting(10, "epochs without a better validation value before the end", "release")
    faithful_to: t.FaithfulTo = t.setting("paper", "release: fixed prototypes, loss divided twice")


class CLIP4CMR(t.DeepMethod):
    """The prototype contrastive head of CLIP4CMR on any extracted features."""

    card = t.card("clip4cmr")
    Settings = CLIP4CMRSettings
    settings: CLIP4CMRSettings
    batches = t.Independent(minimum=2)
    unit_length = True

    def build(self, data: t.DeviceSplit) -> None:
        """Make encoders, whose output is dropped out and not their hidden layers, and the prototypes."""
        s = self.settings

        def encoder(width: int) -> nn.Module:
            return nn.Sequential(*t.mlp((width, *s.hidden, s.dim), activation=nn.GELU), nn.Dropout(s.dropout))

        self.encoders = dict(self.each(data, encoder))
        self.classes = self.module("prototypes", lambda: UnitPrototypes(data.n_classes, s.dim))

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Return the sum over modalities of the contrast of their rows with the prototypes."""
        return torch.stack([self.contrast(rows, batch.targets[name]) for name, rows in z.items()]).sum()

    def contrast(self, z: Tensor, y: Tensor) -> Tensor:
        """Return `prototype_contrast` of one modality."""
        return prototype_contrast(z, self.classes(), y)


class UnitPrototypes(nn.Module):
    """One unit row per class; ``weight`` ``(C, d)`` is drawn from a normal distribution."""

    def __init__(self, n_classes: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(t.unit(torch.randn(n_classes, dim)))

    def forward(self) -> Tensor:
        """Return the rows ``(C, d)``, of length 1."""
        return t.unit(self.weight)


def prototype_contrast(z: Tensor, c: Tensor, y: Tensor) -> Tensor:
    """Return ``PCL = -mean_i log softmax_k(-||z_i - c_k||^2)`` at the class of i.

    Args:
        z: embeddings ``(n, d)``.
        c: prototypes ``(C, d)``.
        y: targets ``(n, C)``; several classes of a row have equal parts.
    """
    squares = z.square().sum(dim=1, keepdim=True) - 2 * z @ c.T + c.square().sum(dim=1)
    return t.shared_cross_entropy(-squares, y)
