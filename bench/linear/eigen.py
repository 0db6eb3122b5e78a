"""The generalised symmetric eigenvalue problem behind the linear methods, and its blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Solutions of ``A w = lambda B w``, by falling lambda.

    Attributes:
        values: ``(k,)``.
        vectors: ``(D, k)``, with ``w^T B w = 1`` (B including the ridge) and the sign of `fix_signs`.
    """

    values: Matrix
    vectors: Matrix


def top_eigenpairs(
    numerator: Matrix, denominator: Matrix, count: int, ridge: float = 0.0, size: Matrix | None = None
) -> Eigenpairs:
    """Solve ``A w = lambda (B + ridge I) w`` for the largest eigenvalues.

    The coordinates are first divided by their size, so that no modality outweighs the others by its scale.
    There, ten times the rounding error of a Cholesky factorisation (D times machine epsilon)
    is added to the diagonal of B: too little to be seen in a well-posed result, enough for a B that is
    singular if ridge = 0.

    A is symmetric ``(D, D)``; B positive semi-definite ``(D, D)``, or its diagonal ``(D,)``; the ridge in the
    units of B. ``size`` ``(D,)`` is what counts as large in each coordinate of B, such as the total scatter
    where B is the rest of a subtraction and may vanish; the diagonal of B if None.
    """
    count = min(count, len(numerator))
    diagonal = denominator if denominator.ndim == 1 else np.diagonal(denominator)
    sized = (diagonal if size is None else size) + ridge
    shrink = 1.0 / np.sqrt(np.where(sized > 0.0, sized, max(float(sized.max()), 0.0) or 1.0))
    floor = 10.0 * len(numerator) * float(np.finfo(np.float64).eps)
    scaled = numerator * shrink[:, None] * shrink
    if denominator.ndim == 1:
        whiten = 1.0 / np.sqrt((diagonal + ridge) * shrink**2 + floor)
        values, vectors = _largest(scaled * whiten[:, None] * whiten, count)
        vectors = vectors * whiten[:, None]
    else:
        bottom = denominator * shrink[:, None] * shrink
        bottom[np.diag_indices(len(bottom))] += ridge * shrink**2 + floor
        lower = linalg.cholesky(bottom, lower=True, overwrite_a=True, check_finite=False)
        half = linalg.solve_triangular(lower, scaled, lower=True, check_finite=False)
        whole = linalg.solve_triangular(lower, half.T, lower=True, overwrite_b=True, check_finite=False)
        values, whitened = _largest(np.asarray(0.5 * (whole + whole.T)), count)
        vectors = linalg.solve_triangular(lower, whitened, lower=True, trans="T", check_finite=False)
    return Eigenpairs(values, fix_signs(vectors * shrink[:, None]))


def fix_signs(vectors: Matrix) -> Matrix:
    """Turn every column so that its entry of largest magnitude (the first such) is positive."""
    largest = np.argmax(np.abs(vectors), axis=0)
    signs = np.where(vectors[largest, np.arange(vectors.shape[1])] < 0.0, -1.0, 1.0)
    return vectors * signs


def assemble(blocks: Mapping[tuple[int, int], Matrix], sizes: Sequence[int]) -> Matrix:
    """Put blocks of row-modality i and column-modality j into one symmetric matrix of modalities' sizes.

    Of a pair (i, j), (j, i) only one is needed, and what is missing is zero. A one-dimensional block is a
    diagonal.
    """
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    whole = np.zeros((starts[-1], starts[-1]))
    for (i, j), block in blocks.items():
        rows, columns = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
        filled = np.diag(block) if block.ndim == 1 else block
        whole[rows, columns] = filled
        whole[columns, rows] = filled.T
    return whole


def split(vectors: Matrix, sizes: Sequence[int]) -> list[Matrix]:
    """Cut stacked vectors ``(D, k)`` into one ``(d_v, k)`` per modality."""
    return [np.asarray(part) for part in np.split(vectors, np.cumsum(sizes)[:-1], axis=0)]


def _largest(symmetric: Matrix, count: int) -> tuple[Matrix, Matrix]:
    size = len(symmetric)
    part = [size - count, size - 1]
    values, vectors = linalg.eigh(
        symmetric, subset_by_index=part, driver="evr", overwrite_a=True, check_finite=False
    )
    return values[::-1], vectors[:, ::-1]
