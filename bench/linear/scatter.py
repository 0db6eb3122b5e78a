"""Sums of outer products, accumulated in float64 over blocks of rows: never a matrix with n x n entries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.contract.errors import DataError
from bench.linear.rows import CentredRows, Matrix, block_size


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
    for one, other in zip(left.blocks(size), right.blocks(size), strict=True):
        total += one.T @ other
    return total


def class_sums(rows: CentredRows, labels: NDArray[Any], n_classes: int) -> tuple[Matrix, Matrix]:
    """Return the sum of the centred rows of every class, and how many rows it has.

    Args:
        rows: n centred rows.
        labels: ``(n,)`` class numbers, or ``(n, C)`` 0/1; a row counts for each of its classes.
        n_classes: C.

    Returns:
        Sums ``(C, d)`` and counts ``(C,)``; a class without rows has zeros.
    """
    members = _membership(labels, n_classes)
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


def class_means(sums: Matrix, counts: Matrix) -> Matrix:
    """Return the class means ``(C, d)``; a class without rows has zeros."""
    return np.asarray(sums / np.maximum(counts, 1.0)[:, None])


def _membership(labels: NDArray[Any], n_classes: int) -> Any:
    """Sparse ``(C, n)`` indicator of who belongs where."""
    if labels.ndim == 2:
        return sparse.csc_matrix((labels != 0).T.astype(np.float64))
    count = len(labels)
    return sparse.csc_matrix((np.ones(count), (labels, np.arange(count))), shape=(n_classes, count))
