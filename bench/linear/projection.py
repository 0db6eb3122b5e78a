"""The map from a modality's raw features to the common space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import UsageError
from bench.data.scaling import Scaler
from bench.linear.rows import Matrix, block_size


@dataclass(frozen=True, eq=False)
class Projection:
    """Scale, centre, and project.

    Attributes:
        scaler: as fitted in training.
        mean: ``(d_v,)`` mean of the scaled training rows.
        weights: ``(d_v, d)``.
    """

    scaler: Scaler
    mean: Matrix
    weights: Matrix

    def __call__(self, features: NDArray[Any]) -> Matrix:
        """Map ``(n, d_v)``, of any floating type, to ``(n, d)`` float64, a block of rows at a time.

        Raises:
            UsageError: if the width is not that of training.
        """
        width = len(self.weights)
        if features.ndim != 2 or features.shape[1] != width:
            raise UsageError(
                f"features of shape {features.shape} cannot be embedded; (n, {width}) are needed"
            )
        embedded = np.empty((len(features), self.weights.shape[1]))
        size = block_size(width)
        for start in range(0, len(features), size):
            rows = self.scaler(features[start : start + size].astype(np.float64))
            embedded[start : start + size] = (rows - self.mean) @ self.weights
        return embedded
