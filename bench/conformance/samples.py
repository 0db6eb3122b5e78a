"""Tiny datasets, on which a promise is tested in a fraction of a second."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.contract import Dataset, DatasetCard, Fact, Modality, ModalityCard, Pairing, Split

CLASSES = 4
WIDTHS: Mapping[str, int] = {"image": 12, "text": 9, "audio": 7, "shape": 6, "video": 10}
PAIR = ("image", "text")


@dataclass(frozen=True)
class Sample:
    """A recipe for a tiny dataset.

    Attributes:
        modalities: names, out of `WIDTHS`.
        rows: training rows of each modality.
        multi_label: whether rows may have several classes.
        pairing: of the training rows.
        without: a class that no validation row has.
        widen: factor on every feature width.
        constant: how many feature columns have one value throughout.
        dtype: of the features.
        enlarged: modality whose features are multiplied by ``factor``; empty for none.
        factor: see ``enlarged``.
        unlabelled: label that a third of the training rows have instead of their class, -1 for none; None
            where all keep it.
        shift: by which the ids of training rows are shifted from modality to modality.
    """

    modalities: tuple[str, ...] = PAIR
    rows: tuple[int, ...] = (24, 24)
    multi_label: bool = False
    pairing: Pairing = "natural"
    without: int | None = None
    widen: int = 1
    constant: int = 0
    dtype: str = "float32"
    enlarged: str = ""
    factor: float = 1.0
    unlabelled: int | None = None
    shift: int = 0

    def dataset(self) -> Dataset:
        """Return the dataset; the same recipe gives the same bytes."""
        train = self._changed(self._split("train", self.rows))
        even = (12,) * len(self.modalities)
        validation = self._split("validation", even, self.without)
        return Dataset(
            name="conformance",
            card=self._card(train),
            train=train,
            validation=replace(validation, pairing="natural"),
            kind="look-alike",
            fingerprint=hashlib.sha256(repr(self).encode()).hexdigest(),
            split="tiny",
            open_test=lambda: self._split("test", even),
        )

    def _split(self, part: str, rows: tuple[int, ...], without: int | None = None) -> Split:
        """Return a part, with so many rows of each modality."""
        modalities = {
            name: self._modality(name, part, count, without)
            for name, count in zip(self.modalities, rows, strict=True)
        }
        return Split(modalities, CLASSES, self.pairing)

    def _changed(self, train: Split) -> Split:
        """Return training rows without some labels, with other ids."""
        if self.unlabelled is None and not self.shift:
            return train
        modalities = {}
        for index, (name, part) in enumerate(train.items()):
            third = np.arange(len(part)) % 3 == 1
            labels = part.labels if self.unlabelled is None else np.where(third, self.unlabelled, part.labels)
            modalities[name] = replace(part, labels=labels, ids=np.arange(len(part)) + index * self.shift)
        return Split(modalities, CLASSES)

    def _modality(self, name: str, part: str, count: int, without: int | None) -> Modality:
        """Return rows around the centres of their classes."""
        width = WIDTHS[name] * self.widen
        centres = _generator("centres", name).normal(size=(CLASSES, width))
        present = [label for label in range(CLASSES) if label != without]
        labels = np.resize(np.array(present), count)
        noise = _generator(part, name).normal(size=(count, width))
        features = centres[labels] + 0.5 * noise
        features[:, : self.constant] = 1.0
        # Sixteen bits hold these values exactly, so any float type carries the same data.
        features = features.astype(np.float16).astype(self.dtype)
        if name == self.enlarged:
            features *= self.factor
        if self.multi_label:  # each row its class, every third row the next class as well
            third = np.arange(0, count, 3)
            matrix = np.eye(CLASSES, dtype=np.int64)[labels]
            matrix[third, (labels[third] + 1) % CLASSES] = 1
            return Modality(features, matrix)
        return Modality(features, labels)

    def _card(self, train: Split) -> DatasetCard:
        """Return a card of the dataset."""

        def fact(value: object) -> Fact[Any]:
            return Fact(value, "confirmed")

        return DatasetCard(
            name="conformance",
            title="Conformance sample",
            modalities=tuple(
                ModalityCard(name, fact("generated"), fact(rows.dimension), fact(None), "dense")
                for name, rows in train.items()
            ),
            n_classes=fact(CLASSES),
            licence="none needed",
            source="generated for the conformance suite",
            multi_label=self.multi_label,
        )


def _generator(*words: str) -> np.random.Generator:
    """Return a generator that depends on words alone."""
    digest = hashlib.sha256(" ".join(words).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
