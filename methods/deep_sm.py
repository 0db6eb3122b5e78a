"""Deep-SM: a perceptron per modality learns the classes; retrieval compares the posteriors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bench.contract import Context, MethodCard
from bench.training import (
    Batch,
    Clock,
    DeepMethod,
    DeepSettings,
    DeviceSplit,
    Independent,
    PerModality,
    Stage,
    Step,
    Track,
    adam,
    per_modality,
    perceptrons,
)


@dataclass(frozen=True, kw_only=True)
class DeepSMSettings(DeepSettings):
    """Settings of Deep-SM on extracted features; those of the family's common network (ours).

    Attributes:
        epochs: 100.
        batch_size: 100.
        hidden: two layers of 4096.
        lr: 1e-4.
    """

    epochs: int = 100
    batch_size: int = 100
    hidden: tuple[int, ...] = (4096, 4096)
    lr: PerModality = 1e-4


class DeepSM(DeepMethod):
    """Deep semantic matching."""

    card = MethodCard(
        name="deep_sm",
        title="Deep-SM",
        authors="Wei, Zhao, Lu et al.",
        year=2017,
        venue="IEEE Transactions on Cybernetics",
        family="deep supervised, independent",
        role="extra",
        pairs="unused",
        any_modalities=True,
        multi_label=True,
        selects_by="map",
        from_paper=(
            "Perceptrons on extracted features, as in later comparisons; the paper fine-tunes the "
            "convolutional network of the images.",
            "Several labels per sample: one sigmoid posterior per class.",
        ),
        from_release=("No release is followed.",),
        parity="none: no numbers of released code; the loss is plain cross-entropy",
        citation="wei2017deepsm",
        position=1003,
    )
    Settings = DeepSMSettings
    settings: DeepSMSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"selected_by_loss": {"select": "loss"}}

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage; each modality in a track of its own."""
        self._several = train.split.multi_label
        own = self.settings
        self.classifiers = perceptrons(train, own.hidden, train.n_classes, context)
        yield Stage([self._track(name) for name in train], own.epochs, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return class posteriors ``(n, C)``."""
        logits: Tensor = self.classifiers[modality](x)
        return logits.sigmoid() if self._several else logits.softmax(dim=1)

    def _track(self, name: str) -> Track:
        """Train a modality's classifier by the cross-entropy of its classes."""
        own = self.settings
        classifier = self.classifiers[name]

        def loss(batch: Batch, _: Clock) -> Tensor:
            logits, y = classifier(batch.features[name]), batch.targets[name]
            return (binary_cross_entropy_with_logits if self._several else cross_entropy)(logits, y)

        step = Step(loss, adam(classifier.parameters(), per_modality(own.lr, name)))
        return Track(name, [classifier], [step], Independent(own.batch_size, (name,)), loss)
