"""SDML: every modality is trained alone towards the same fixed orthogonal class directions."""

from dataclasses import dataclass

from torch import Tensor, nn

from bench import training as t


@dataclass(frozen=True, kw_only=True)
class SDMLSettings(t.DeepSettings):
    """Settings of SDML; defaults are the released code's."""

    epochs: int = t.setting(200, "passes over the training rows", "release")
    batch_size: int = t.setting(100, "rows per batch", "release")
    hidden: tuple[int, ...] = t.setting(
        (1024, 1024), "widths in the encoder, mirrored in the decoder", "release"
    )
    dim: int = t.setting(512, "width of the embedding", "release")
    lr: t.PerModality = t.setting({"image": 1e-4, "default": 2e-4}, "learning rate", "release")
    alpha: float = t.setting(0.5, "weight of the reconstruction against the label term", "release")
    faithful_to: t.FaithfulTo = t.setting("paper", "release: rows that do not fill a batch are left out")


class SDML(t.DeepMethod):
    """Scalable deep multimodal learning."""

    card = t.card("sdml")
    Settings = SDMLSettings
    settings: SDMLSettings
    independent = True
    variants = {"without_reconstruction": {"alpha": 0.0}, "selected_by_map": {"select": "map"}}

    def build(self, data: t.DeviceSplit) -> None:
        """Make an encoder and a decoder for each modality, and the fixed W with orthonormal columns."""
        s = self.settings
        self.nets = self.each(data, lambda width: autoencoder((width, *s.hidden, s.dim)))
        self.prior = self.prototypes(data, "prior", trained=False)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return unit rows ``z``."""
        return t.unit(self.nets[modality]["encoder"](x))

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Return ``alpha mean ||dec(z) - x|| + (1 - alpha) mean ||z W - y||``, that of labelled rows."""
        ((name, rows),) = z.items()
        alpha, decoded = self.settings.alpha, t.unit(self.nets[name]["decoder"](rows))
        j_ae = t.row_norm(decoded - batch.features[name]).mean()
        j_label = label_distance(self.prior(rows), batch.targets[name])
        return {"loss": alpha * j_ae + (1 - alpha) * j_label, "J_ae": j_ae, "J_label": j_label}

    def validation_loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Leave the reconstruction out: validation selects by the labels alone."""
        ((name, rows),) = z.items()
        return label_distance(self.prior(rows), batch.targets[name])


def autoencoder(widths: tuple[int, ...]) -> nn.ModuleDict:
    """Return an encoder of these widths and the decoder that mirrors it."""
    return nn.ModuleDict({"encoder": t.mlp(widths), "decoder": t.mlp(widths[::-1])})


def label_distance(prediction: Tensor, y: Tensor) -> Tensor:
    """Return the mean of ``||z W - y||`` over the rows that have a class, 0 if none has."""
    labelled = y.any(dim=1).to(prediction.dtype)
    return (t.row_norm(prediction - y) * labelled).sum() / labelled.sum().clamp_min(1)
