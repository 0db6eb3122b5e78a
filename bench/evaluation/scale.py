"""Scaling of embeddings before they are compared, so that ties are exact under each similarity.

Rows are scaled by powers of two, which is exact and makes them safe to multiply: each row by its largest
magnitude for the cosine, all rows of a comparison by one power otherwise. For Euclidean distances they are
moved by a common vector near their middle first, since the product of rows far from the origin would swallow
small distances; the vector is whole where the rows are, so that whole-numbered rows stay exact. Codes of 0
and 1 become -1 and 1, whose product counts equal positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import numpy as np

from bench.contract import Array, RefusedEmbeddings, Similarity, UsageError
from bench.evaluation.inputs import Vector


@dataclass(frozen=True, eq=False)
class Scale:
    """Transformation of the rows of both sides before they are compared."""

    similarity: Similarity = "cosine"  # by which they are compared
    # all rows are divided by this power of two; 0 for the cosine, whose rows are scaled alone
    exponent: int = 0
    centre: Vector | None = None  # ``(d,)`` what is subtracted from all rows for Euclidean distances
    binary: bool = False  # whether codes of 0 and 1 become -1 and 1, for Hamming distances

    @classmethod
    def of(cls, similarity: Similarity, sides: Iterable[Array]) -> Scale:
        """Return the scale of all rows ``(n, d)`` that are compared; their order has no part in it.

        Raises:
            RefusedEmbeddings: if rows are no codes under Hamming distances.
            UsageError: for an unknown similarity.
        """
        if similarity not in get_args(Similarity):
            raise UsageError(
                f"similarity must be one of {', '.join(get_args(Similarity))}, not {similarity!r}"
            )
        sides = list(sides)
        if similarity == "hamming":
            if all(bool(((side == 0) | (side == 1)).all()) for side in sides):
                return cls("hamming", binary=True)
            numbers = (side.astype(np.int8) if side.dtype == bool else side for side in sides)
            if all(bool((np.abs(side) == 1).all()) for side in numbers):
                return cls("hamming")
            raise RefusedEmbeddings(
                "Hamming distances are of codes: all entries of all modalities must be 0 or 1, or all -1 or "
                "1 (take the sign of the embeddings, or whether they exceed a threshold)"
            )
        if similarity == "cosine":
            return cls()
        with np.errstate(all="ignore"):  # rows that are not finite are refused where they are scaled
            low = np.min([side.min(axis=0) for side in sides], axis=0).astype(np.float64)
            high = np.max([side.max(axis=0) for side in sides], axis=0).astype(np.float64)
            centre: Vector | None = None
            if similarity == "euclidean":
                # The middle of each column, rounded to a power of two that is at most 1 and its range.
                spread = high - low
                grain = np.ldexp(1.0, np.minimum(np.frexp(spread)[1] - 1, 0))
                centre = np.asarray(np.where(spread > 0, np.rint((low / 2 + high / 2) / grain) * grain, low))
            moved = 0.0 if centre is None else centre
            largest = max(float(np.abs(low - moved).max()), float(np.abs(high - moved).max()))
        return cls(similarity, int(np.frexp(largest)[1]), centre)

    def scaled(self, rows: Array, largest: Vector) -> Array:
        """Return rows in the form in which they are compared; may overwrite them.

        Args:
            rows: ``(n, d)`` in float64, or for the cosine in float32.
            largest: ``(n,)`` magnitude of each row's largest entry.
        """
        if self.binary:
            rows *= 2.0
            rows -= 1.0
        if self.centre is not None:
            rows -= self.centre
        exponent = np.frexp(largest[:, None])[1] if self.similarity == "cosine" else self.exponent
        if rows.dtype == np.float32 and int(np.min(exponent)) >= -127:  # 2**127 is the largest power
            rows *= np.ldexp(np.float32(1.0), -exponent)
        else:
            rows = rows.astype(np.float64, copy=False)
            half = -exponent // 2  # two steps: a power of two can overflow where the product does not
            rows *= np.ldexp(1.0, half)
            rows *= np.ldexp(1.0, -exponent - half)
        return rows

    def squares(self, rows: Array, largest: Vector) -> Vector:
        """Return what the product with scaled rows ``(n, d)`` is divided by, or reduced by, ``(n,)``.

        That is the squared norm for the cosine, 1 for rows of zeros, and half of it for Euclidean distances.
        """
        if self.similarity in ("dot", "hamming"):
            return np.zeros(len(rows))
        rows = rows.astype(np.float64)
        rows *= rows
        squares = rows.sum(axis=1)
        return np.asarray(squares + (largest == 0) if self.similarity == "cosine" else squares / 2)
