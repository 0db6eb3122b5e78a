"""Arrays as callers have them: NumPy or torch, any precision; and which embeddings are refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, RefusedEmbeddings, UsageError

Precision = Literal["float32", "float64"]
Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Indices = NDArray[np.intp]


def is_tensor(values: Any) -> bool:
    """Return whether ``values`` is a torch tensor, without ever importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and hasattr(torch, "Tensor") and isinstance(values, torch.Tensor)


def to_array(values: Any) -> Array:
    """Return a NumPy array of a sequence, an array or a torch tensor on any device."""
    if not is_tensor(values):
        return np.asarray(values)
    tensor = values.detach()
    if str(tensor.dtype) == "torch.bfloat16":  # unknown to NumPy
        tensor = tensor.float()
    array: Array = tensor.cpu().numpy()
    return array


def accelerator_of(*values: Any) -> str | None:
    """Return the torch name of the CUDA device that one of ``values`` lives on; None for the CPU."""
    for value in values:
        if is_tensor(value) and value.is_cuda:
            return str(value.device)
    return None


def as_rows(values: Any, what: str) -> Array:
    """Return ``values`` as a real matrix with at least one row.

    Raises:
        UsageError: if it is not a matrix of numbers.
    """
    rows = to_array(values)
    if rows.ndim != 2 or 0 in rows.shape:
        raise UsageError(f"{what} must be a matrix (n, d) with n, d >= 1, not of shape {rows.shape}")
    if rows.dtype.kind not in "fiub":
        raise UsageError(f"{what} must be real numbers, not {rows.dtype}")
    return rows


def check_embeddings(modality: str, embeddings: Any, n_expected: int) -> Array:
    """Return embeddings that can be ranked by cosine, unchanged.

    Args:
        modality: name used in the message.
        embeddings: ``(n_expected, d)``.
        n_expected: number of rows that were to be embedded.

    Raises:
        RefusedEmbeddings: for a wrong shape, NaN or infinite values, collapsed rows (all that are not zero
            are equal), or if more than half of the rows are zero.
    """
    rows = to_array(embeddings)
    problem: str | None
    if rows.ndim != 2 or rows.dtype.kind not in "fiub":
        problem = f"must be a real matrix (n, d), not {rows.dtype} of shape {rows.shape}"
    elif len(rows) != n_expected:
        problem = f"have {len(rows)} rows, but {n_expected} were asked for"
    else:
        problem = _unrankable(rows)
    if problem:
        raise RefusedEmbeddings(f"the embeddings of modality {modality!r} {problem}; they cannot be ranked")
    return rows


def check_same_width(embeddings: Mapping[str, Array]) -> None:
    """Refuse embeddings whose widths differ over modalities.

    Raises:
        RefusedEmbeddings: if there is no common space.
    """
    widths = {name: int(rows.shape[1]) for name, rows in embeddings.items()}
    if len(set(widths.values())) > 1:
        raise RefusedEmbeddings(
            f"the modalities are embedded in different widths, {widths}; there is no common space"
        )


def check_finite(rows: Array, what: str) -> None:
    """Refuse rows that cannot be compared; rows may be zero or all equal, then they are tied.

    Raises:
        RefusedEmbeddings: for NaN or infinite values.
    """
    problem = _not_finite(rows)
    if problem:
        raise RefusedEmbeddings(f"{what} {problem}; cosine similarity is not defined for them")


def count_zero_rows(rows: Array) -> int:
    """Return how many rows of ``rows`` ``(n, d)`` are zero: they have no direction."""
    return int(len(rows) - np.count_nonzero(rows.any(axis=1)))


def _unrankable(rows: Array) -> str | None:
    problem = _not_finite(rows)
    if problem is not None:
        return problem
    zeros = count_zero_rows(rows)
    if 2 * zeros > len(rows):
        return (
            f"are zero in {zeros} of {len(rows)} rows, more than half (units that answer to no input give "
            "such rows; standardise the features, widen the network or lower the learning rate)"
        )
    directed = rows[rows.any(axis=1)] if zeros else rows
    if len(directed) > 1 and bool((directed == directed[0]).all()):
        besides = f" but for {zeros} rows of zeros" if zeros else ""
        return f"are collapsed: all {len(directed)} rows are equal{besides}"
    return None


def _not_finite(rows: Array) -> str | None:
    if rows.shape[1] == 0:
        return "have no columns"
    if rows.dtype.kind == "f":
        finite = np.isfinite(rows)
        if not finite.all():
            bad = np.flatnonzero(~finite.all(axis=1))
            kind = "NaN" if np.isnan(rows[bad[0]]).any() else "infinite values"
            return f"contain {kind}, first in row {bad[0]} ({len(bad)} of {len(rows)} rows are not finite)"
    return None
