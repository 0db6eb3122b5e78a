"""SDML: every modality learns alone to meet the same fixed orthogonal class directions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

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
    PerModality,
    Plan,
    Prototypes,
    Stage,
    Step,
    Track,
    adam,
    built,
    mlp,
    per_modality,
    prototypes,
    row_norm,
    unit,
)


@dataclass(frozen=True, kw_only=True)
class SDMLSettings(DeepSettings):
    """Settings of SDML; every default is the released code's.

    Attributes:
        epochs: 200.
        batch_size: 100.
        hidden: two layers of 1024 in the encoder, mirrored in the decoder.
        dim: 512.
        lr: 1e-4 for images, 2e-4 for every other modality.
        alpha: weight of the reconstruction against the label term, .5.
        faithful_to: ``release`` leaves out the rows that do not fill a batch.
    """

    epochs: int = 200
    batch_size: int = 100
    hidden: tuple[int, ...] = (1024, 1024)
    dim: int = 512
    lr: PerModality = field(default_factory=lambda: {"image": 1e-4, "default": 2e-4})
    alpha: float = 0.5
    faithful_to: FaithfulTo = "paper"


class SDML(DeepMethod):
    """Scalable deep multimodal learning."""

    card = MethodCard(
        name="sdml",
        title="SDML",
        authors="Hu, Zhen, Peng, Liu",
        year=2019,
        venue="SIGIR",
        family="deep supervised, independent",
        role="baseline",
        pairs="unused",
        any_modalities=True,
        multi_label=True,
        selects_by="loss",
        from_paper=("Multi-hot targets are used raw, as in the release.",),
        from_release=(
            "The class directions are drawn from the seed; the release ships one fixed orthogonal matrix.",
            "The rows that do not fill the last batch are used; the release drops them.",
            "Unlabelled rows (without any class) are supported as released, but no dataset here has some.",
            "As released, the decoder gives rows of length 1 while its target keeps its length.",
        ),
        parity="loss, gradients, network, Adam steps: released code",
        citation="hu2019sdml",
        code="https://github.com/penghu-cs/SDML",
        position=8,
    )
    Settings = SDMLSettings
    settings: SDMLSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without_reconstruction": {"alpha": 0.0},
        "selected_by_map": {"select": "map"},
    }

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage; each modality in a track of its own, towards the same directions W."""
        own = self.settings
        self.prior = self.draw_prior(train, context)
        self.encoders: dict[str, nn.Module] = {}
        yield Stage([self._track(name, train, context) for name in train], own.epochs, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return unit rows ``z``."""
        return unit(self.encoders[modality](x))

    def draw_prior(self, train: DeviceSplit, context: Context) -> Prototypes:
        """Return the fixed W, ``(d, C)`` with orthonormal columns."""
        return prototypes(train, self.settings.dim, context, "prior", trained=False)

    def build(self, name: str, width: int, context: Context) -> nn.ModuleDict:
        """Return a modality's encoder and decoder."""
        widths = (width, *self.settings.hidden, self.settings.dim)
        return built(
            lambda: nn.ModuleDict({"encoder": mlp(widths), "decoder": mlp(widths[::-1])}), context, name
        )

    def plan(self, name: str) -> Plan:
        """Return how a modality's rows are put into batches."""
        return Independent(self.settings.batch_size, (name,), keep_rest=self.settings.faithful_to == "paper")

    def _track(self, name: str, train: DeviceSplit, context: Context) -> Track:
        """Train a modality's encoder and decoder towards W; its validation loss is that of the labels."""
        nets = self.build(name, train.dimension(name), context)
        encoder, decoder = nets["encoder"], nets["decoder"]
        self.encoders[name] = encoder

        def loss(batch: Batch, _: Clock) -> dict[str, Tensor]:
            x, y = batch.features[name], batch.targets[name]
            z = unit(encoder(x))
            return sdml_loss(x, unit(decoder(z)), self.prior(z), y, self.settings.alpha)

        def label_loss(batch: Batch, _: Clock) -> Tensor:
            """Leave the reconstruction out: validation selects by the labels alone."""
            return label_distance(self.prior(unit(encoder(batch.features[name]))), batch.targets[name])

        step = Step(loss, adam(nets.parameters(), per_modality(self.settings.lr, name)))
        return Track(name, [nets], [step], self.plan(name), label_loss)


def sdml_loss(
    x: Tensor, reconstruction: Tensor, prediction: Tensor, y: Tensor, alpha: float
) -> dict[str, Tensor]:
    """Return ``alpha mean ||dec(z) - x|| + (1 - alpha) mean ||z W - y||``, the latter over labelled rows."""
    j_ae = row_norm(reconstruction - x).mean()
    j_label = label_distance(prediction, y)
    return {"loss": alpha * j_ae + (1 - alpha) * j_label, "J_ae": j_ae, "J_label": j_label}


def label_distance(prediction: Tensor, y: Tensor) -> Tensor:
    """Return the mean of ``||z W - y||`` over the rows that have a class, 0 if none has."""
    labelled = y.any(dim=1).to(prediction.dtype)
    return (row_norm(prediction - y) * labelled).sum() / labelled.sum().clamp_min(1)
