"""Deep-SM: a perceptron per modality learns the classes; retrieval compares the posteriors."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bench import training as t


@dataclass(frozen=True, kw_only=True)
class DeepSMSettings(t.DeepSettings):
    """Settings of Deep-SM on extracted features; those of the family's common network (ours)."""

    epochs: int = t.setting(100, "passes over the training rows", "ours")
    batch_size: int = t.setting(100, "rows per batch", "ours")
    hidden: tuple[int, ...] = t.setting((4096, 4096), "widths of the hidden layers", "ours")
    lr: t.PerModality = t.setting(1e-4, "learning rate", "ours")


class DeepSM(t.DeepMethod):
    """Deep semantic matching."""

    card = t.card("deep_sm")
    Settings = DeepSMSettings
    settings: DeepSMSettings
    independent = True
    variants = {"selected_by_loss": {"select": "loss"}}

    def build(self, data: t.DeviceSplit) -> None:
        """Make a classifier for each modality."""
        self.multi_label = data.split.multi_label
        self.encoders = self.mlps(data, data.n_classes)

    def forward(self, modality: str, x: Tensor) -> Tensor:
        """Return logits ``(n, C)``."""
        return super().encode(modality, x)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return class posteriors ``(n, C)``."""
        logits = self.forward(modality, x)
        return logits.sigmoid() if self.multi_label else logits.softmax(dim=1)

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Return the cross-entropy of a modality's classes, one by one where a sample may have several."""
        ((name, logits),) = z.items()
        return (binary_cross_entropy_with_logits if self.multi_label else cross_entropy)(
            logits, batch.targets[name]
        )

    validation_loss = loss
