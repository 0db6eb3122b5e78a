"""DRCL: learn a class prior W per modality, keep the best, train each modality towards it with recast labels.

The first stage is selective prior learning (SPL), the second reversible semantic consistency (RSC).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from bench import training as t

BY_QUALITY = t.Rule("quality", "mean true-class probability on the training rows", per_track=True)
BLOCK = 8192  # rows whose quality is measured at a time, to bound the memory of wide layers


@dataclass(frozen=True, kw_only=True)
class DRCLSettings(t.DeepSettings):
    """Settings of DRCL; defaults are the released code's for Wikipedia."""

    epochs: int = t.setting(200, "epochs of RSC", "release")
    spl_epochs: int | None = t.setting(None, "epochs of SPL; None for as many as of RSC", "release")
    batch_size: int = t.setting(1024, "rows per batch", "release")
    hidden: tuple[int, ...] = t.setting((4096, 4096), "widths of the hidden layers", "release")
    dim: int = t.setting(2048, "width of the embedding", "release")
    lr: t.PerModality = t.setting(
        {"image": 6e-6, "text": 5e-3, "audio": 8e-4, "3d": 3e-3, "video": 4e-4, "default": 5e-4},
        "learning rate of RSC",
        "release; modalities besides images and texts as for XMedia; the default is ours",
    )
    spl_lr: t.PerModality = t.setting(5e-4, "learning rate of SPL", "release")
    alpha: float = t.setting(0.1, "weight of J_D", "release")
    beta: float = t.setting(0.1, "weight of J_MSE", "release")
    eta: float = t.setting(1.0, "weight of J_L", "release")
    intra: float = t.setting(1.0, "weight inside J_D of the structure within labels and within data")
    inter: float = t.setting(1.0, "weight inside J_D of the structure between them")
    mix: float = t.setting(0.9, "lambda of feature augmentation (FA); 1 switches it off", "release")
    mix_beta: float | None = t.setting(None, "draw lambda from Beta(a, a) per batch; None for the constant")
    loss: Literal["gce", "ce"] = t.setting("gce", "of the classes: generalised or plain cross-entropy")
    prior: str = t.setting("selected", "selected by quality, orthogonal (random, no SPL), or a modality")
    faithful_to: t.FaithfulTo = t.setting("paper", "release: the procedure of methods/released/drcl.py")


class DRCL(t.DeepMethod):
    """Deep reversible consistency learning."""

    card = t.card("drcl")
    Settings = DRCLSettings
    settings: DRCLSettings
    independent = True
    unit_length = True
    variants = {
        "without_spl": {"prior": "orthogonal"},
        "prior_image": {"prior": "image"},
        "prior_text": {"prior": "text"},
        "prior_audio": {"prior": "audio"},
        "prior_3d": {"prior": "3d"},
        "prior_video": {"prior": "video"},
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

    def build(self, data: t.DeviceSplit) -> None:
        """Make an encoder of RSC for each modality."""
        self.encoders = {name: self.new_encoder("rsc", name, data) for name in data}

    def stages(self, train: t.DeviceSplit, context: t.Context) -> Iterator[t.Stage]:
        """Yield SPL, unless the prior is random, and RSC."""
        s = self.settings
        if s.prior not in (*train, "selected", "orthogonal"):
            known = f"the modalities are {', '.join(train)}; take one of these, 'selected' or 'orthogonal'"
            raise t.Unsupported(f"drcl.prior is {s.prior!r}, but {known}")
        self.prior_of, self.quality, self.prior = s.prior, dict[str, float](), self.new_prior(train)
        if s.prior != "orthogonal":
            names = list(train) if s.prior == "selected" else [s.prior]
            self.encoders = {name: self.new_encoder("spl", name, train) for name in names}
            priors = {name: self.new_prior(train) for name in names}
            tracks = [self.spl_track(name, priors[name], train) for name in names]
            yield t.Stage(tracks, s.spl_epochs or s.epochs, "spl", BY_QUALITY, scored=False, kept=False)
            traced = {name: context.trace.column(f"quality/{name}", "spl") for name in names}
            self.quality = {name: max(float(value or 0.0) for value in traced[name]) for name in names}
            self.prior_of = max(self.quality, key=self.quality.__getitem__)
            self.prior = priors[self.prior_of]
        self.prior.requires_grad_(False)
        self.recast = torch.linalg.pinv(self.prior.weight)
        self.build(train)
        yield self.stage(train, "rsc")

    def spl_track(self, name: str, prior: t.Prototypes, data: t.DeviceSplit) -> t.Track:
        """Train an encoder and its W together, and trace their quality on the training rows."""
        modules = [self.encoders[name], prior]
        step = self.step(name, modules, partial(self.spl_loss, prior), self.settings.spl_lr)

        def quality(_: t.Clock) -> dict[str, float]:
            """Return S_k, the mean probability of the true classes over all training rows."""
            parts = -(-len(data.features[name]) // BLOCK)
            rows, targets = data.features[name].tensor_split(parts), data.targets[name].tensor_split(parts)
            blocks = zip(rows, targets, strict=True)
            p = [(prior(self.encode(name, x)).softmax(dim=1) * y).sum(dim=1) for x, y in blocks]
            return {"quality": float(torch.cat(p).mean())}

        return t.Track(name, modules, [step], self.plan(name, data), after_epoch=quality)

    def spl_loss(self, prior: t.Prototypes, z: t.Views, batch: t.Batch, clock: t.Clock) -> Tensor:
        """SPL: return ``GCE(softmax(z W), y)``."""
        ((name, rows),) = z.items()
        return class_loss(prior(rows), batch.targets[name], generalisation(clock.epoch), self.settings.loss)

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """RSC: return J of features and labels that are mixed with those of other rows (FA)."""
        ((name, rows),) = z.items()
        y, a, lam = batch.targets[name], self.settings.mix_beta, self.settings.mix
        partner = t.on_device(self.partners(name, clock, len(rows)), rows)
        lam = lam if a is None else float(torch.distributions.Beta(a, a).sample())
        mixed = lam * rows + (1 - lam) * rows[partner]
        return self.j(mixed, lam * y + (1 - lam) * y[partner], clock.epoch)

    def validation_loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Take rows and labels as they are, and the same q in all epochs, so that they compare."""
        ((name, rows),) = z.items()
        return self.j(rows, batch.targets[name], clock.epochs)

    def j(self, z: Tensor, y: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return `drcl_loss` towards the fixed W, at the q of an epoch."""
        return drcl_loss(z, y, self.prior.weight, self.recast, generalisation(epoch), self.settings)

    def notes(self) -> Mapping[str, Any]:
        """Add the quality S_k of each modality's prior, and whose prior was chosen."""
        return {**super().notes(), "quality": self.quality, "prior": self.prior_of}

    def new_prior(self, data: t.DeviceSplit) -> t.Prototypes:
        """Return W at its start: C orthonormal columns, the same for every modality."""
        return self.prototypes(data, "prior")

    def new_encoder(self, stage: str, name: str, data: t.DeviceSplit) -> nn.Sequential:
        """Return a modality's encoder at the start of a stage."""
        width, s = data.dimension(name), self.settings
        return self.module(f"{stage}/{name}", lambda: drcl_encoder(width, s.hidden, s.dim))

    def partners(self, name: str, clock: t.Clock, count: int) -> Tensor:
        """Return the row that each row of a batch is mixed with."""
        return torch.randperm(count)


def drcl_loss(
    z: Tensor, y: Tensor, w: Tensor, w_inverse: Tensor, q: float, s: DRCLSettings
) -> dict[str, Tensor]:
    """Return ``J = eta J_L + alpha J_D + beta J_MSE`` and its parts.

    With recast labels ``r = y W^+`` and ``t(a, b)_ij = 2 cos(a_i, b_j)``:
    ``J_L = GCE(softmax(z W), y)``,
    ``J_D = mean (t(r, r) - t(z, z))^2 + mean (t(r, z) - t(r, z)^T)^2``,
    ``J_MSE`` = mean over rows and dimensions of ``(r - z)^2``.
    """
    r = y @ w_inverse
    cross = 2 * t.cosines(r, z)
    intra = (2 * t.cosines(r, r) - 2 * t.cosines(z, z)).square().mean()
    inter = (cross - cross.T).square().mean()
    j_l, j_d = class_loss(z @ w, y, q, s.loss), s.intra * intra + s.inter * inter
    j_mse = (r - z).square().mean()
    return {"loss": s.eta * j_l + s.alpha * j_d + s.beta * j_mse, "J_L": j_l, "J_D": j_d, "J_MSE": j_mse}


def class_loss(logits: Tensor, y: Tensor, q: float, kind: Literal["gce", "ce"]) -> Tensor:
    """Return the generalised or the plain cross-entropy of ``softmax(z W)``."""
    return t.gce(logits, y, q) if kind == "gce" else -(y * log_softmax(logits, dim=1)).sum(dim=1).mean()


def generalisation(epoch: int) -> float:
    """Return ``q = min(1, .01 epoch)``."""
    return min(1.0, 0.01 * epoch)


def drcl_encoder(width: int, hidden: tuple[int, ...], dim: int) -> nn.Sequential:
    """Return ``d_v - hidden - d``, ReLU; the last layer has no bias and starts in ``U(+-1/sqrt(d_v))``."""
    encoder = t.mlp((width, *hidden, dim), bias_last=False)
    nn.init.uniform_(next(encoder[-1].parameters()), -(width**-0.5), width**-0.5)
    return encoder
