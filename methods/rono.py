"""RONO: class centres that repel rows with doubtful labels, a shared classifier, and contrast."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import training as t


@dataclass(frozen=True, kw_only=True)
class RONOSettings(t.DeepSettings):
    """Settings of RONO; defaults are the released code's unless marked."""

    epochs: int = t.setting(50, "passes over the training rows", "release")
    batch_size: int = t.setting(128, "pairs per batch", "release")
    hidden: tuple[int, ...] = t.setting((1024, 512), "as in the image network", "release")
    dim: int = t.setting(256, "width of the embedding", "release")
    head_hidden: tuple[int, ...] = t.setting((128,), "of the classifier that modalities share", "release")
    lr: t.PerModality = t.setting({"image": 5e-5, "default": 1e-4}, "learning rate", "release")
    head_lr: float = t.setting(1e-4, "learning rate of the classifier", "release")
    centre_lr: float = t.setting(1e-4, "learning rate of the centres", "release")
    weight_decay: float = t.setting(1e-5, "of networks and classifier", "release")
    classification: float = t.setting(5.0, "factor on each modality's classification loss", "release")
    tau: float = t.setting(0.22, "temperature of the contrast", "release")
    alpha: float = t.setting(0.3, "margin of the centre loss's second half", "release")
    scale: float = t.setting(0.05, "divisor a of both halves of the centre loss", "release")
    warm_up: int = t.setting(25, "epochs in which the centre loss turns from its first half", "release")


class RONO(t.DeepMethod):
    """Robust discriminative learning with noisy labels."""

    card = t.card("rono")
    Settings = RONOSettings
    settings: RONOSettings
    batches = t.AlignedPairs()
    variants = {"without_classification": {"classification": 0.0}}

    def build(self, data: t.DeviceSplit) -> None:
        """Make the networks, the classifier that all share, and centres of the classes from N(0, 1)."""
        s, count = self.settings, data.n_classes
        self.encoders = self.mlps(data)
        self.head = self.module("head", lambda: t.mlp((s.dim, *s.head_hidden, count)))
        self.centres = self.module("centres", lambda: nn.Embedding(count, s.dim))

    def steps(self, track: str, modules: Sequence[nn.Module]) -> Sequence[t.Step]:
        """Return one update of all; `optimiser` knows the rate of every group."""
        return [self.step(track, modules, lr=self.settings.head_lr)]

    def optimiser(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        """Return Adam with its usual moments, unlike the family's, and four learning rates."""
        s = self.settings
        rates = [(net, t.per_modality(s.lr, name)) for name, net in self.encoders.items()]
        groups = [{"params": net.parameters(), "lr": rate} for net, rate in [*rates, (self.head, s.head_lr)]]
        groups.append({"params": self.centres.parameters(), "lr": s.centre_lr, "weight_decay": 0.0})
        return t.adam(groups, lr, (0.9, 0.999), s.weight_decay)

    def forward(self, modality: str, x: Tensor) -> Tensor:
        """Return ``z`` of any length."""
        return super().encode(modality, x)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return ``z`` as the contrast sees it, unit rows."""
        return t.unit(self.forward(modality, x))

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Return `rono_loss`, for which epochs count from 0."""
        views, y, epoch = list(z.values()), list(batch.targets.values()), clock.epoch - 1
        logits = [self.head(rows) for rows in views]
        return rono_loss(views, logits, y, self.centres.weight, epoch, self.settings)


def rono_loss(
    views: Sequence[Tensor],
    logits: Sequence[Tensor],
    targets: Sequence[Tensor],
    centres: Tensor,
    epoch: int,
    s: RONOSettings,
) -> dict[str, Tensor]:
    """Return ``CRC + RDC + MG`` and its parts.

    ``CRC = sum over modalities of 5 mean(1 - p_y)`` on the shared classifier's probabilities, ``MG`` is the
    contrast of instances over modalities, ``RDC`` see `centre_loss`.
    """
    terms = [t.gce(scores, y, q=1.0) for scores, y in zip(logits, targets, strict=True)]
    crc = s.classification * torch.stack(terms).sum()
    turned = min(epoch / max(s.warm_up - 1, 1), 1.0)
    rdc = centre_loss(torch.cat(list(views)), torch.cat(list(targets)), centres, turned, s.alpha, s.scale)
    mg = t.multimodal_contrast([t.unit(z) for z in views], s.tau)
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
    cosine = t.unit(z) @ t.unit(centres).T
    a = cosine.mean(dim=1).exp()
    s = (cosine * y).sum(dim=1) / y.sum(dim=1).clamp_min(1)
    classes = len(centres)
    l_1 = (a - torch.exp((classes + 1) / classes * s)).mean() / scale
    l_2 = -(a - s.exp() + alpha).abs().mean() / scale
    return (1 - turned) * l_1 + turned * l_2
