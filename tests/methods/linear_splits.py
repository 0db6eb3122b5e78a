"""Small random data on which the linear methods are tried, and comparisons of their directions."""

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


def random_split(counts: tuple[int, ...] = (60, 45), pairing: Pairing = "none") -> Split:
    """Return modalities of ``counts`` rows whose four classes lie apart, none of them centred."""
    generator = np.random.default_rng(0)
    labels = [np.arange(count) % 4 for count in counts]
    centres = generator.normal(size=(4, 3)) * 2
    views = [
        centres[y] @ generator.normal(size=(3, 6 + i)) + generator.normal(size=(len(y), 6 + i)) + 4
        for i, y in enumerate(labels)
    ]
    return split_of(views, labels, 4, pairing)


def projector(weights: Array) -> Array:
    """Return the projector onto the span of the columns."""
    return np.asarray(weights @ np.linalg.pinv(weights))


def assert_same_directions(ours: Array, theirs: Array) -> None:
    """Compare columns up to their lengths and signs."""
    lengths = np.linalg.norm(ours, axis=0) * np.linalg.norm(theirs, axis=0)
    np.testing.assert_allclose(np.abs(np.sum(ours * theirs, axis=0)) / lengths, 1.0, atol=1e-8)


def assert_same_up_to_sign(ours: Array, theirs: Array) -> None:
    """Compare columns up to their signs."""
    signs = np.sign(np.sum(ours * theirs, axis=0))
    np.testing.assert_allclose(ours * signs, theirs, rtol=1e-8, atol=1e-8)
