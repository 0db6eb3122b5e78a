"""DRCL: the most discriminative modality lends its class prior to all; labels are recast and met.

First each modality learns its own prior W (selective prior learning, SPL); the prior of the modality
that separates the training classes best is kept. Then each modality trains a new encoder towards that
prior, apart from the others (reversible semantic consistency, RSC).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from bench.contract import Context, MethodCard, Unsupported
from bench.training import (
    BY_LOSS,
    Batch,
    Best,
    Clock,
    DeepMethod,
    DeepSettings,
    DeviceSplit,
    FaithfulTo,
    Independent,
    PerModality,
    Plan,
    Prototypes,
    Stage,
    Step,
    Track,
    adam,
    built,
    cosines,
    gce,
    mlp,
    per_modality,
    prototypes,
    unit,
)

BY_QUALITY = Best("quality", "mean true-class probability on the training rows", per_track=True)
AS_RELEASED = replace(BY_LOSS, rankable=False)
"""The release takes the least validation loss, whether or not the embeddings of that epoch can be ranked."""
RELEASED_PRIOR_SEED = 1000
BLOCK = 8192
"""Rows whose quality is measured at a time, to bound the memory of wide layers."""


@dataclass(frozen=True, kw_only=True)
class DRCLSettings(DeepSettings):
    """Settings of DRCL; defaults are the released code's for Wikipedia.

    Attributes:
        epochs: of RSC, 200.
        spl_epochs: of SPL; None for as many as ``epochs``, as released.
        batch_size: 1024.
        hidden: two layers of 4096.
        dim: 2048.
        lr: of RSC: 6e-6 for images, 5e-3 for texts; other modalities as released for XMedia.
        spl_lr: 5e-4.
        alpha: weight of J_D, .1.
        beta: weight of J_MSE, .1.
        eta: weight of J_L, 1.
        intra: weight inside J_D of the structure within labels and within data, 1.
        inter: weight inside J_D of the structure between them, 1.
        mix: lambda of feature augmentation (FA), .9; 1 switches it off.
        mix_beta: draw lambda from Beta(a, a) per batch instead; None for the constant. The ablation
            takes a = 1 (ours).
        loss: of the classes, ``gce`` or plain cross-entropy (``ce``).
        prior: ``selected`` by quality, ``orthogonal`` (random, no SPL), or the name of a modality.
        faithful_to: ``release`` repeats what the released code does: SPL counts its epochs from 0 and
            changes nothing in the first, its last W is used instead of the best, rows that do not fill
            a batch are dropped, both stages start from the same weights, W starts the same for all seeds,
            and validation losses of different q are compared with each other.
    """

    epochs: int = 200
    spl_epochs: int | None = None
    batch_size: int = 1024
    hidden: tuple[int, ...] = (4096, 4096)
    dim: int = 2048
    lr: PerModality = field(
        default_factory=lambda: {
            "image": 6e-6,
            "text": 5e-3,
            "audio": 8e-4,
            "3d": 3e-3,
            "video": 4e-4,
            "default": 5e-4,
        }
    )
    spl_lr: PerModality = 5e-4
    alpha: float = 0.1
    beta: float = 0.1
    eta: float = 1.0
    intra: float = 1.0
    inter: float = 1.0
    mix: float = 0.9
    mix_beta: float | None = None
    loss: Literal["gce", "ce"] = "gce"
    prior: str = "selected"
    faithful_to: FaithfulTo = "paper"


class DRCL(DeepMethod):
    """Deep reversible consistency learning."""

    card = MethodCard(
        name="drcl",
        title="DRCL",
        authors="Pu, Qin, Peng, Song, Zheng",
        year=2025,
        venue="IEEE TMM",
        family="deep supervised, independent",
        role="proposed",
        pairs="unused",
        any_modalities=True,
        multi_label=True,
        selects_by="loss",
        from_paper=(
            "q of the generalised cross-entropy counts epochs from 1 in both stages.",
            "SPL runs as many epochs as RSC unless set otherwise, as released.",
            "Multi-hot rows enter the generalised cross-entropy raw: p sums over all classes of a sample.",
            "S_k averages over the training rows of modality k: one that lacks classes is not held back for "
            "it, though its W then knows nothing of them.",
        ),
        from_release=(
            "The prior is the W of the epoch of highest quality; the release ends up with the last epoch's.",
            "The first SPL epoch trains; in the release q = 0 makes it a no-op.",
            "The rows that do not fill the last batch are used; the release drops them.",
            "RSC starts from weights of its own, and the seed reaches the start of W.",
            "Validation losses are taken at the q of the last planned epoch (1 from 100 epochs on). In the "
            "release their q grows with the epoch, which lowers the loss by itself: the least one leans to "
            "the last epochs, also where validation mAP falls, and an early stop by it means nothing.",
            "An epoch whose validation embeddings cannot be ranked is never chosen. The variant as_released "
            "keeps the release's rule and all else that it does.",
        ),
        parity="losses, gradients, whole training, evaluation: released code",
        citation="pu2025drcl",
        code="https://github.com/perquisite/DRCL",
        position=0,
    )
    Settings = DRCLSettings
    settings: DRCLSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without_spl": {"prior": "orthogonal"},
        **{f"prior_{name}": {"prior": name} for name in ("image", "text", "audio", "3d", "video")},
        "without_mrr": {"alpha": 0.0, "beta": 0.0},
        "without_jl": {"eta": 0.0},
        "without_jd": {"alpha": 0.0},
        "without_jd_intra": {"intra": 0.0},
        "without_jd_inter": {"inter": 0.0},
        "without_jmse": {"beta": 0.0},
        "without_fa": {"mix": 1.0},
        "fa_beta": {"mix_beta": 1.0},
        "cross_entropy": {"loss": "ce"},
        "selected_by_map": {"select": "map"},
        "as_released": {"faithful_to": "release"},
    }

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """Yield SPL, unless the prior is random, and RSC."""
        own = self.settings
        self.prior_of, self.quality = own.prior, dict[str, float]()
        if own.prior == "orthogonal":
            prior = self.draw_prior(train, context)
        else:
            priors = {name: self.draw_prior(train, context) for name in self._candidates(train)}
            tracks = [self._spl_track(name, priors[name], train, context) for name in priors]
            last = own.faithful_to == "release"
            yield Stage(
                tracks,
                own.spl_epochs or own.epochs,
                "spl",
                rule=BY_QUALITY,
                scored=False,
                kept=False,
                then="last" if last else "best",
            )
            self.quality = {name: _highest(context, name) for name in priors}
            self.prior_of = max(self.quality, key=self.quality.__getitem__)
            prior = priors[self.prior_of]
        self.prior = prior.requires_grad_(False)
        self.recast = torch.linalg.pinv(self.prior.weight)
        self.encoders: dict[str, nn.Module] = {}
        tracks = [self._rsc_track(name, train, context) for name in train]
        rule = AS_RELEASED if own.faithful_to == "release" and own.select == "card" else None
        yield Stage(tracks, own.epochs, "rsc", rule=rule, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return unit rows ``z``."""
        return unit(self.encoders[modality](x))

    def notes(self) -> Mapping[str, Any]:
        """Add the quality S_k of each modality's prior, and whose prior was chosen."""
        return {**super().notes(), "quality": self.quality, "prior": self.prior_of}

    def draw_prior(self, train: DeviceSplit, context: Context) -> Prototypes:
        """Return W at its start: C orthonormal columns, the same for every modality."""
        if self.settings.faithful_to == "release":
            context = Context(RELEASED_PRIOR_SEED, context.device)
        return prototypes(train, self.settings.dim, context, "prior")

    def build(self, stage: str, name: str, width: int, context: Context) -> nn.Sequential:
        """Return a modality's encoder at the start of a stage."""
        stream = name if self.settings.faithful_to == "release" else f"{stage}/{name}"
        return built(lambda: drcl_encoder(width, self.settings.hidden, self.settings.dim), context, stream)

    def plan(self, stage: str, name: str) -> Plan:
        """Return how a modality's rows are put into batches."""
        return Independent(self.settings.batch_size, (name,), keep_rest=self.settings.faithful_to == "paper")

    def partners(self, name: str, clock: Clock, count: int) -> Tensor:
        """Return the row that each row of a batch is mixed with."""
        return torch.randperm(count)

    def _candidates(self, train: DeviceSplit) -> list[str]:
        if self.settings.prior == "selected":
            return list(train)
        if self.settings.prior not in train:
            raise Unsupported(
                f"drcl.prior is {self.settings.prior!r}, but the modalities are {', '.join(train)}; "
                "take one of these, 'selected' or 'orthogonal'"
            )
        return [self.settings.prior]

    def _spl_track(self, name: str, prior: Prototypes, train: DeviceSplit, context: Context) -> Track:
        """Train an encoder and its own W together, and measure how well they know the training classes."""
        own = self.settings
        encoder = self.build("spl", name, train.dimension(name), context)
        shift = 1 if own.faithful_to == "release" else 0

        def loss(batch: Batch, clock: Clock) -> Tensor:
            q = generalisation(clock.epoch - shift)
            j_l = class_loss(prior(unit(encoder(batch.features[name]))), batch.targets[name], q, own.loss)
            # At q = 0 the release computes 0 / 0, with gradient 0 in PyTorch; Adam counts the step.
            return j_l if q > 0 else 0.0 * j_l

        def quality(_: Clock) -> dict[str, float]:
            """Return S_k, the mean probability of the true classes over all training rows."""
            parts = -(-len(train.features[name]) // BLOCK)
            blocks = (torch.tensor_split(rows[name], parts) for rows in (train.features, train.targets))
            posteriors = [(prior(unit(encoder(x))).softmax(dim=1), y) for x, y in zip(*blocks, strict=True)]
            return {"quality": float(torch.cat([(p * y).sum(dim=1) for p, y in posteriors]).mean())}

        parameters = [*encoder.parameters(), *prior.parameters()]
        step = Step(loss, adam(parameters, per_modality(own.spl_lr, name)))
        return Track(name, [encoder, prior], [step], self.plan("spl", name), after_epoch=quality)

    def _rsc_track(self, name: str, train: DeviceSplit, context: Context) -> Track:
        """Train a new encoder towards the fixed W on augmented features."""
        own = self.settings
        self.encoders[name] = encoder = self.build("rsc", name, train.dimension(name), context)

        def loss(batch: Batch, clock: Clock) -> dict[str, Tensor]:
            z, y = unit(encoder(batch.features[name])), batch.targets[name]
            partner = self.partners(name, clock, len(z)).to(z.device)
            lam = own.mix if own.mix_beta is None else _beta_draw(own.mix_beta)
            z, y = lam * z + (1 - lam) * z[partner], lam * y + (1 - lam) * y[partner]
            return drcl_loss(z, y, self.prior.weight, self.recast, generalisation(clock.epoch), own)

        def validation_loss(batch: Batch, clock: Clock) -> dict[str, Tensor]:
            """Take rows and labels as they are, and the same q in all epochs, so that they compare."""
            z, y = unit(encoder(batch.features[name])), batch.targets[name]
            q = generalisation(clock.epoch if own.faithful_to == "release" else clock.epochs)
            return drcl_loss(z, y, self.prior.weight, self.recast, q, own)

        step = Step(loss, adam(encoder.parameters(), per_modality(own.lr, name)))
        return Track(name, [encoder], [step], self.plan("rsc", name), validation_loss)


def drcl_loss(
    z: Tensor, y: Tensor, w: Tensor, w_inverse: Tensor, q: float, settings: DRCLSettings
) -> dict[str, Tensor]:
    """Return ``J = eta J_L + alpha J_D + beta J_MSE`` and its parts.

    With recast labels ``r = y W^+`` and ``t(a, b)_ij = 2 cos(a_i, b_j)``:
    ``J_L = GCE(softmax(z W), y)``,
    ``J_D = mean (t(r, r) - t(z, z))^2 + mean (t(r, z) - t(r, z)^T)^2``,
    ``J_MSE`` = mean over rows and dimensions of ``(r - z)^2``.
    """
    r = y @ w_inverse
    cross = 2 * cosines(r, z)
    intra = (2 * cosines(r, r) - 2 * cosines(z, z)).square().mean()
    inter = (cross - cross.T).square().mean()
    j_l = class_loss(z @ w, y, q, settings.loss)
    j_d = settings.intra * intra + settings.inter * inter
    j_mse = (r - z).square().mean()
    total = settings.eta * j_l + settings.alpha * j_d + settings.beta * j_mse
    return {"loss": total, "J_L": j_l, "J_D": j_d, "J_MSE": j_mse}


def class_loss(logits: Tensor, y: Tensor, q: float, kind: Literal["gce", "ce"]) -> Tensor:
    """Return the generalised or the plain cross-entropy of ``softmax(z W)``."""
    return gce(logits, y, q) if kind == "gce" else -(y * log_softmax(logits, dim=1)).sum(dim=1).mean()


def generalisation(epoch: int) -> float:
    """Return ``q = min(1, .01 epoch)``."""
    return min(1.0, 0.01 * epoch)


def drcl_encoder(width: int, hidden: tuple[int, ...], dim: int) -> nn.Sequential:
    """Return ``d_v - hidden - d``, ReLU; the last layer has no bias and starts in ``U(+-1/sqrt(d_v))``."""
    encoder = mlp((width, *hidden, dim), bias_last=False)
    last = encoder[-1]
    assert isinstance(last, nn.Linear)
    nn.init.uniform_(last.weight, -(width**-0.5), width**-0.5)
    return encoder


def _beta_draw(a: float) -> float:
    return float(torch.distributions.Beta(a, a).sample())


def _highest(context: Context, name: str) -> float:
    return max(float(value) for value in context.trace.column(f"quality/{name}", "spl") if value is not None)
