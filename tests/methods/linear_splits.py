"""Small random data on which the linear methods are tried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.contract import Array, Modality, Pairing, Split


def split_of(
    views: Sequence[Array], labels: Sequence[Array], n_classes: int, pairing: Pairing = "none"
) -> Split:
    """Return modalities ``v0``, ``v1``, ... of features ``(n_v, d_v)`` and class numbers ``(n_v,)``."""
    parts = {f"v{i}": Modality(x, y) for i, (x, y) in enumerate(zip(views, labels, strict=True))}
    return Split(parts, n_classes, pairing)


def random_split(counts: tuple[int, ...] = (60, 45), n_classes: int = 4) -> Split:
    """Return modalities of ``counts`` rows whose classes lie apart, none of them centred."""
    generator = np.random.default_rng(0)
    labels = [np.arange(count) % n_classes for count in counts]
    centres = generator.normal(size=(n_classes, 3)) * 2
    views = [
        centres[y] @ generator.normal(size=(3, 6 + i)) + generator.normal(size=(len(y), 6 + i)) + 4
        for i, y in enumerate(labels)
    ]
    return split_of(views, labels, n_classes)
