"""Principal axes of a modality: the coordinates in which every linear method here is solved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from bench.contract.errors import Unsupported, UsageError
from bench.linear.eigen import fix_signs
from bench.linear.rows import CentredRows, Matrix
from bench.linear.scatter import scatter


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """Orthonormal directions of a modality, by falling variance.

    Attributes:
        basis: ``(d, k)`` orthonormal columns.
        spectrum: ``(k,)`` sums of squares of the centred rows along them; divided by n - 1, variances.
        energy: share of the total sum of squares that they hold.
    """

    basis: Matrix
    spectrum: Matrix
    energy: float

    @property
    def count(self) -> int:
        """Number of axes k."""
        return len(self.spectrum)


def principal_axes(rows: CentredRows, energy: float = 1.0, limit: int | None = None) -> PrincipalAxes:
    """Find the fewest principal axes that hold ``energy`` of the variance, at most ``limit``.

    Axes without variance beyond rounding are always left out: constant or linearly dependent features and
    fewer rows than features then need no special treatment, and nothing is lost by it. The axes come from
    the covariance where that is the smaller matrix, from a thin singular value decomposition otherwise.

    Args:
        rows: n centred rows of d features.
        energy: share in (0, 1]; 1 keeps everything.
        limit: largest number of axes; None for no limit.

    Raises:
        UsageError: if ``energy`` or ``limit`` is out of range.
        Unsupported: if the features do not vary at all.
    """
    if not 0.0 < energy <= 1.0:
        raise UsageError(f"pca_energy must lie in (0, 1], not {energy}")
    if limit is not None and limit < 1:
        raise UsageError(f"pca_limit must be at least 1, not {limit}")
    spectrum, basis = _of_covariance(rows) if len(rows) >= rows.width else _of_rows(rows)
    rank = _rank(spectrum, rows)
    if rank == 0:
        raise Unsupported("the training features of a modality are all equal: there is no direction to learn")
    share = np.cumsum(spectrum[:rank]) / spectrum[:rank].sum()
    count = rank if energy == 1.0 else min(rank, int(np.searchsorted(share, energy - 1e-12)) + 1)
    count = count if limit is None else min(count, limit)
    return PrincipalAxes(fix_signs(basis[:, :count]), spectrum[:count].copy(), float(share[count - 1]))


def _of_covariance(rows: CentredRows) -> tuple[Matrix, Matrix]:
    values, vectors = linalg.eigh(scatter(rows), overwrite_a=True, check_finite=False, driver="evd")
    return values[::-1], vectors[:, ::-1]


def _of_rows(rows: CentredRows) -> tuple[Matrix, Matrix]:
    whole = np.concatenate(list(rows.blocks()))
    _, lengths, directions = linalg.svd(whole, full_matrices=False, overwrite_a=True, check_finite=False)
    return lengths**2, directions.T


def _rank(spectrum: Matrix, rows: CentredRows) -> int:
    """Count the axes above rounding: that of the accumulated sums, and that of values far from 0."""
    epsilon = float(np.finfo(np.float64).eps)
    larger = max(len(rows), rows.width)
    offset = len(rows) * (epsilon * float(np.linalg.norm(rows.mean))) ** 2
    return int(np.sum(spectrum > larger * max(epsilon * spectrum[0], offset)))
