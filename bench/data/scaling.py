"""Feature scaling: a recorded setting of every method, fitted on training rows only.

All toolkits use this one scaler. It is free of scale: a positive factor on a modality's features changes the
scaled features by no more than rounding. It therefore compares a feature's deviation with the feature's
mean, never with a fixed number, and squares nothing that could overflow or vanish.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.contract import State, UsageError

Scaling = Literal["none", "standard", "unit"]
"""``none``: as stored; ``standard``: zero mean and unit variance per feature; ``unit``: rows of length 1."""

CONSTANT = 1e-6
"""A feature whose deviation is at most this share of its mean is constant: float32 resolves little more."""

_BLOCK_BYTES = 1 << 25


@dataclass(frozen=True, eq=False)
class Scaler:
    """A fitted scaling of one modality's features.

    Attributes:
        scaling: see `Scaling`.
        shift: ``(d,)`` float64, subtracted from every row; None where there is nothing to subtract.
        factor: ``(d,)`` float64, multiplied after the shift; None likewise. It is 0 for features that are
            constant in training, which therefore are 0 in every row: nothing was learnt about them.
    """

    scaling: Scaling = "none"
    shift: NDArray[np.float64] | None = None
    factor: NDArray[np.float64] | None = None

    @classmethod
    def fit(cls, features: NDArray[Any], scaling: Scaling) -> Scaler:
        """Learn a scaling from training features ``(n, d)`` of any number type.

        Raises:
            UsageError: if ``scaling`` is none of `Scaling`.
        """
        if scaling not in get_args(Scaling):
            raise UsageError(f"scaling {scaling!r} is unknown; use one of {', '.join(get_args(Scaling))}")
        if scaling != "standard":
            return cls(scaling)
        mean, deviation = mean_and_deviation(features)
        constant = deviation <= CONSTANT * np.abs(mean)
        factor = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
        return cls(scaling, mean, factor)

    def arrays(self, prefix: str) -> dict[str, NDArray[np.float64]]:
        """Return the statistics ``<prefix>shift`` and ``<prefix>factor``; none where there are none."""
        values = {"shift": self.shift, "factor": self.factor}
        return {prefix + name: value for name, value in values.items() if value is not None}

    @classmethod
    def of_state(cls, scaling: Scaling, state: State, prefix: str, width: int) -> Scaler:
        """Return the scaler whose `arrays` are in a stored state, for features of this width.

        Raises:
            DataError: if they are missing or of another shape.
        """
        if scaling != "standard":
            return cls(scaling)
        shift, factor = (state.array(prefix + name, width) for name in ("shift", "factor"))
        return cls(scaling, shift.astype(np.float64), factor.astype(np.float64))

    def __call__(self, features: NDArray[Any]) -> NDArray[Any]:
        """Scale rows ``(n, d)``; float64 stays float64, everything else becomes float32.

        Sums and differences are formed in float64, a block of rows at a time, and rounded at the end. A row
        of zeros stays a row of zeros under ``unit``.
        """
        kind = np.float64 if features.dtype == np.float64 else np.float32
        if self.scaling == "none":
            return features.astype(kind, copy=False)
        scaled = np.empty(features.shape, dtype=kind)
        for rows, block in blocks(features):
            scaled[rows] = self._scaled(block)
        return scaled

    def _scaled(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a block of rows, scaled, in float64."""
        if self.shift is not None and self.factor is not None:
            return np.asarray((block - self.shift) * self.factor)
        # divided by the largest entry first, whose square might overflow or vanish
        largest = np.abs(block).max(axis=1, keepdims=True, initial=0.0)
        block = block / np.where(largest > 0.0, largest, 1.0)
        length = np.linalg.norm(block, axis=1, keepdims=True)
        return np.asarray(block / np.where(length > 0.0, length, 1.0))


def blocks(features: NDArray[Any]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield the rows of a matrix in float64, a block at a time, so that it is never copied whole."""
    step = max(1, _BLOCK_BYTES // (8 * max(features.shape[1], 1)))
    for start in range(0, len(features), step):
        rows = slice(start, start + step)
        yield rows, features[rows].astype(np.float64, copy=False)


def mean_and_deviation(features: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each column's mean and deviation, from two passes."""
    count, width = features.shape
    total, largest = np.zeros(width), np.zeros(width)
    for _, block in blocks(features):
        total += block.sum(axis=0)
        np.maximum(largest, np.abs(block).max(axis=0), out=largest)
    mean = total / count
    squares = np.zeros(width)
    unit = np.where(largest > 0.0, largest, 1.0)
    for _, block in blocks(features):
        centred = (block - mean) / unit
        squares += np.einsum("ij,ij->j", centred, centred)
    return mean, unit * np.sqrt(squares / count)
