"""Feature scaling: a recorded setting of every method, fitted on training rows and on nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import UsageError

Scaling = Literal["none", "standard", "unit"]
"""``none``: as stored; ``standard``: zero mean and unit variance per feature; ``unit``: rows of length 1."""

_BLOCK_BYTES = 1 << 25


@dataclass(frozen=True, eq=False)
class Scaler:
    """A fitted scaling of one modality's features.

    Attributes:
        scaling: see `Scaling`.
        shift: ``(d,)`` float64, subtracted from every row; None where there is nothing to subtract.
        factor: ``(d,)`` float64, multiplied after the shift; None likewise. It is 1 for features that are
            constant in training, which therefore become 0 there.
    """

    scaling: Scaling = "none"
    shift: NDArray[np.float64] | None = None
    factor: NDArray[np.float64] | None = None

    @classmethod
    def fit(cls, features: NDArray[Any], scaling: Scaling) -> Scaler:
        """Learn a scaling from training features ``(n, d)``.

        Raises:
            UsageError: if ``scaling`` is none of `Scaling`.
        """
        if scaling not in get_args(Scaling):
            raise UsageError(f"scaling {scaling!r} is unknown; use one of {', '.join(get_args(Scaling))}")
        if scaling != "standard":
            return cls(scaling)
        mean, deviation = _mean_and_deviation(features)
        # A constant feature leaves rounding behind, which must not be blown up to unit variance.
        flat = deviation <= 1e-7 * np.abs(mean)
        return cls(scaling, mean, 1.0 / np.where(flat | (deviation == 0.0), 1.0, deviation))

    def __call__(self, features: NDArray[Any]) -> NDArray[Any]:
        """Scale rows ``(n, d)``; float64 stays float64, everything else becomes float32.

        A row of zeros stays a row of zeros under ``unit``.
        """
        kind = np.float64 if features.dtype == np.float64 else np.float32
        rows = features.astype(kind, copy=False)
        if self.shift is not None and self.factor is not None:
            return np.asarray((rows - self.shift.astype(kind)) * self.factor.astype(kind))
        if self.scaling == "unit":
            length = np.linalg.norm(rows, axis=1, keepdims=True)
            return np.asarray(rows / np.where(length > 0.0, length, 1.0).astype(kind))
        return rows


def _mean_and_deviation(features: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two passes in float64, a block of rows at a time, so that a large matrix is never copied whole."""
    count, width = features.shape
    step = max(1, _BLOCK_BYTES // (8 * max(width, 1)))
    total = np.zeros(width)
    for start in range(0, count, step):
        total += features[start : start + step].sum(axis=0, dtype=np.float64)
    mean = total / count
    squares = np.zeros(width)
    for start in range(0, count, step):
        centred = features[start : start + step] - mean
        squares += np.einsum("ij,ij->j", centred, centred)
    return mean, np.sqrt(squares / count)
