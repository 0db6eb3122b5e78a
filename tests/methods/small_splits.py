"""Small random data on which the deep methods are tried."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from bench.contract import Context, Method, Modality, Split
from bench.contract.data import Pairing

M = TypeVar("M", bound=Method)
PAIR = {"image": 30, "text": 30}


def separable(
    rows: dict[str, int],
    *,
    n_classes: int = 3,
    dimension: int = 6,
    pairing: Pairing = "none",
    multi_label: bool = False,
    seed: int = 0,
) -> Split:
    """Return modalities whose classes lie apart, with ``rows[name]`` samples each."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(len(rows), n_classes, dimension)) * 3
    modalities = {}
    for index, (name, count) in enumerate(rows.items()):
        classes = np.arange(count) % n_classes
        labels: Any = classes
        if multi_label:
            labels = np.eye(n_classes, dtype=np.int64)[classes]
            labels[::4, 0] = 1
        features = centres[index, classes] + generator.normal(size=(count, dimension))
        modalities[name] = Modality(features.astype(np.float32), labels)
    return Split(modalities, n_classes, pairing)


def fitted(method: M, train: Split, validation: Split | None = None, context: Context | None = None) -> M:
    """Fit a method, by default with the training rows for validation, and return it."""
    method.fit(train, validation or train, context or Context(scope=("small",)))
    return method
