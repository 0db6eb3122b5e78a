"""Training rows as the linear methods read them: scaled, centred, float64, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import DataError
from bench.data.scaling import Scaler, Scaling

Matrix = NDArray[np.float64]

_BLOCK_BYTES = 1 << 26


def block_size(width: int) -> int:
    """Return how many float64 rows of ``width`` columns make a block of about 64 MB."""
    return max(1, _BLOCK_BYTES // (8 * max(width, 1)))


@dataclass(frozen=True, eq=False)
class CentredRows:
    """A modality's features minus their mean, without ever holding a centred copy of them all.

    Attributes:
        features: ``(n, d)`` as given, any floating type.
        scaler: applied to every block before centring.
        mean: ``(d,)`` mean of the scaled rows.
    """

    features: NDArray[Any]
    scaler: Scaler
    mean: Matrix

    @classmethod
    def of(cls, features: NDArray[Any], scaling: Scaling = "none") -> CentredRows:
        """Fit the scaler and the mean on ``features`` ``(n, d)``.

        Raises:
            DataError: if there are no rows, or a value is NaN or infinite.
        """
        if not features.size:
            raise DataError(f"features of shape {features.shape} hold nothing to learn from")
        scaler = Scaler.fit(features, scaling)
        total = np.zeros(features.shape[1])
        for block in _scaled_blocks(features, scaler, block_size(features.shape[1])):
            total += block.sum(axis=0)
        mean = total / len(features)
        if not np.isfinite(mean).all():
            raise DataError("features hold NaN or infinite values; check the file they come from")
        return cls(features, scaler, mean)

    def __len__(self) -> int:
        """Return the number of rows n."""
        return len(self.features)

    @property
    def width(self) -> int:
        """Number of features d."""
        return int(self.features.shape[1])

    def blocks(self, size: int | None = None) -> Iterator[Matrix]:
        """Yield the centred rows in order, ``size`` at a time (default: about 64 MB)."""
        for block in _scaled_blocks(self.features, self.scaler, size or block_size(self.width)):
            yield block - self.mean


def _scaled_blocks(features: NDArray[Any], scaler: Scaler, size: int) -> Iterator[Matrix]:
    for start in range(0, len(features), size):
        yield scaler(features[start : start + size].astype(np.float64))
