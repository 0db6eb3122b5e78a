"""Moments (means, covariances) of a training set in the coordinates of its principal axes.

Sums of outer products are accumulated in float64 over blocks of rows: never a matrix with n x n entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from bench.contract import Context, Split
from bench.contract.errors import DataError, Unsupported, UsageError
from bench.data.scaling import Scaler, Scaling
from bench.linear.eigen import Matrix, fix_signs

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
            raise DataError(f"features of shape {features.shape} are empty; there is nothing to learn")
        width = features.shape[1]
        uncentred = cls(features, Scaler.fit(features, scaling), np.zeros(width))
        total = np.zeros(width)
        for block in uncentred.blocks():
            total += block.sum(axis=0)
        mean = total / len(features)
        if not np.isfinite(mean).all():
            raise DataError("features hold NaN or infinite values; check the file they come from")
        return cls(features, uncentred.scaler, mean)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def width(self) -> int:
        """Number of features d."""
        return int(self.features.shape[1])

    def blocks(self, size: int | None = None) -> Iterator[Matrix]:
        """Yield the centred rows in order, ``size`` at a time (default: about 64 MB)."""
        step = size or block_size(self.width)
        for start in range(0, len(self), step):
            yield self.scaler(self.features[start : start + step].astype(np.float64)) - self.mean


def scatter(rows: CentredRows) -> Matrix:
    """Return the total scatter ``X^T X`` ``(d, d)`` of centred rows; divided by n - 1, the covariance."""
    total = np.zeros((rows.width, rows.width))
    for block in rows.blocks():
        total += block.T @ block
    return total


def cross_scatter(left: CentredRows, right: CentredRows) -> Matrix:
    """Return ``X_u^T X_v`` ``(d_u, d_v)`` of paired, centred rows.

    Raises:
        DataError: if the two do not have equally many rows.
    """
    if len(left) != len(right):
        raise DataError(f"rows cannot be pairs: {len(left)} in one modality, {len(right)} in the other")
    size = block_size(max(left.width, right.width))
    total = np.zeros((left.width, right.width))
    for rows_u, rows_v in zip(left.blocks(size), right.blocks(size), strict=True):
        total += rows_u.T @ rows_v
    return total


def class_sums(rows: CentredRows, labels: NDArray[Any], n_classes: int) -> tuple[Matrix, Matrix]:
    """Return the sum ``(C, d)`` of the centred rows of every class, and its number of rows ``(C,)``.

    Labels are class numbers ``(n,)``, or ``(n, C)`` 0/1: a row counts for each of its classes. Rows of -1
    have no label and count for none.
    """
    members: Any  # sparse (C, n) indicator of the classes' rows
    if labels.ndim == 2:
        members = sparse.csc_matrix((labels > 0).T.astype(np.float64))
    else:
        known = np.flatnonzero(labels >= 0)
        entries = np.ones(len(known)), (labels[known], known)
        members = sparse.csc_matrix(entries, shape=(n_classes, len(labels)))
    sums = np.zeros((n_classes, rows.width))
    start = 0
    for block in rows.blocks():
        sums += members[:, start : start + len(block)] @ block
        start += len(block)
    return sums, np.asarray(members.sum(axis=1), dtype=np.float64).ravel()


def between_scatter(sums: Matrix, counts: Matrix) -> Matrix:
    """Return ``sum_c n_c m_c m_c^T`` ``(d, d)`` from the class sums of centred rows.

    It equals ``X^T G X`` with G_ij = 1 / n_c for i and j of the same class c and 0 otherwise, the form in
    which the graph-embedding family writes it.
    """
    present = counts > 0
    scaled = sums[present] / np.sqrt(counts[present])[:, None]
    return np.asarray(scaled.T @ scaled)


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
    """Return the fewest principal axes that hold a share ``energy`` of the variance, at most ``limit``.

    Axes without variance beyond rounding are always left out: constant or linearly dependent features and
    fewer rows than features then need no special treatment, and nothing is lost by it. The axes come from
    the covariance where that is the smaller matrix, from a thin singular value decomposition otherwise.

    Raises:
        UsageError: if ``energy`` or ``limit`` is out of range.
        Unsupported: if the features do not vary at all.
    """
    if not 0.0 < energy <= 1.0:
        raise UsageError(f"pca_energy must lie in (0, 1], not {energy}")
    if limit is not None and limit < 1:
        raise UsageError(f"pca_limit must be at least 1, not {limit}")
    if len(rows) >= rows.width:
        values, vectors = linalg.eigh(scatter(rows), overwrite_a=True, check_finite=False, driver="evd")
        spectrum, basis = values[::-1], vectors[:, ::-1]
    else:
        whole = np.concatenate(list(rows.blocks()))
        _, lengths, axes = linalg.svd(whole, full_matrices=False, overwrite_a=True, check_finite=False)
        spectrum, basis = lengths**2, axes.T
    # Above rounding: that of the accumulated sums, and that of values far from 0.
    epsilon = float(np.finfo(np.float64).eps)
    offset = len(rows) * (epsilon * float(np.linalg.norm(rows.mean))) ** 2
    least = max(len(rows), rows.width) * max(epsilon * spectrum[0], offset)
    rank = int(np.sum(spectrum > least))
    if rank == 0:
        raise Unsupported("the training features of a modality are all equal: there is no direction to learn")
    share = np.cumsum(spectrum[:rank]) / spectrum[:rank].sum()
    count = rank if energy == 1.0 else min(rank, int(np.searchsorted(share, energy - 1e-12)) + 1)
    count = count if limit is None else min(count, limit)
    return PrincipalAxes(fix_signs(basis[:, :count]), spectrum[:count].copy(), float(share[count - 1]))


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments and class sums of centred rows along each modality's principal axes.

    Attributes:
        names: modalities, in order.
        rows: number of rows of each modality.
        axes: principal axes of each; its total scatter there is ``diag(axes.spectrum)``.
        sums: class sums ``(C, k_v)`` of each.
        counts: rows per class ``(C,)`` of each.
        cross: ``X_u^T X_v`` ``(k_u, k_v)`` for u before v; empty where rows are not pairs or not asked for.
    """

    names: tuple[str, ...]
    rows: Mapping[str, int]
    axes: Mapping[str, PrincipalAxes]
    sums: Mapping[str, Matrix]
    counts: Mapping[str, Matrix]
    cross: Mapping[tuple[str, str], Matrix]

    @classmethod
    def of(
        cls,
        train: Split,
        rows: Mapping[str, CentredRows],
        context: Context,
        *,
        energy: float = 1.0,
        limit: int | None = None,
        pairs: bool = False,
    ) -> Moments:
        """Accumulate the moments of training rows that are centred; with ``pairs`` the cross scatters, too.

        For ``energy`` and ``limit`` see `principal_axes`.

        Raises:
            DeadlineExceeded: if the time is over.
            Unsupported: if a modality does not vary.
        """
        axes: dict[str, PrincipalAxes] = {}
        sums: dict[str, Matrix] = {}
        counts: dict[str, Matrix] = {}
        for name, modality in rows.items():
            context.check_deadline()
            axes[name] = principal_axes(modality, energy, limit)
            raw, counts[name] = class_sums(modality, train[name].labels, train.n_classes)
            sums[name] = raw @ axes[name].basis
        cross: dict[tuple[str, str], Matrix] = {}
        for u, v in combinations(rows, 2) if pairs else ():
            context.check_deadline()
            cross[u, v] = axes[u].basis.T @ cross_scatter(rows[u], rows[v]) @ axes[v].basis
        context.check_deadline()
        return cls(tuple(rows), {name: len(r) for name, r in rows.items()}, axes, sums, counts, cross)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of axes of each modality: the block widths of joint matrices."""
        return tuple(self.axes[name].count for name in self.names)

    def between(self, name: str) -> Matrix:
        """Return the between-class scatter ``(k, k)`` of a modality."""
        return between_scatter(self.sums[name], self.counts[name])

    def within(self, name: str) -> Matrix:
        """Return the within-class scatter ``(k, k)`` of a modality: total minus between."""
        return np.asarray(np.diag(self.axes[name].spectrum) - self.between(name))

    def class_means(self, name: str) -> Matrix:
        """Return the class means ``(C, k)`` of a modality; zeros for a class without rows."""
        return np.asarray(self.sums[name] / np.maximum(self.counts[name], 1.0)[:, None])

    def common_classes(self) -> NDArray[np.intp]:
        """Return the numbers of the classes that have rows in every modality."""
        present = [self.counts[name] > 0 for name in self.names]
        return np.flatnonzero(np.logical_and.reduce(present))
