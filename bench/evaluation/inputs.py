"""Checks of embeddings, similarities and labels: what cannot be ranked is refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, RefusedEmbeddings, Similarity, UsageError

Precision = Literal["float32", "float64"]
Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Indices = NDArray[np.intp]


def _is_tensor(values: Any) -> bool:
    """Return whether ``values`` is a torch tensor, without ever importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and hasattr(torch, "Tensor") and isinstance(values, torch.Tensor)


def to_array(values: Any) -> Array:
    """Return a NumPy array of a sequence, an array or a torch tensor on any device."""
    if not _is_tensor(values):
        return np.asarray(values)
    tensor = values.detach()
    if str(tensor.dtype) == "torch.bfloat16":  # unknown to NumPy
        tensor = tensor.float()
    array: Array = tensor.cpu().numpy()
    return array


def cuda_device_of(*values: Any) -> str | None:
    """Return the torch name of the CUDA device of one of the ``values``; None if there is none."""
    return next((str(value.device) for value in values if _is_tensor(value) and value.is_cuda), None)


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


def check_ids(ids: Any, n_items: int, what: str) -> Array | None:
    """Return ids ``(n_items,)`` as an array of integers; None for none.

    Raises:
        UsageError: for another shape or other values.
    """
    if ids is None:
        return None
    array = to_array(ids)
    if array.shape != (n_items,) or array.dtype.kind not in "iu":
        raise UsageError(f"{what} must be {n_items} integers, not {array.dtype} of shape {array.shape}")
    return array


def check_embeddings(
    modality: str, embeddings: Any, n_expected: int, similarity: Similarity = "cosine"
) -> Array:
    """Return embeddings ``(n_expected, d)`` that can be ranked by a similarity, unchanged.

    Raises:
        RefusedEmbeddings: for a wrong shape, NaN or infinite values, collapsed rows (all are equal; under the
            cosine all that are not zero), or, under the cosine, if more than half of the rows are zero.
    """
    rows = to_array(embeddings)
    problem: str | None
    if rows.ndim != 2 or rows.dtype.kind not in "fiub":
        problem = f"must be a real matrix (n, d), not {rows.dtype} of shape {rows.shape}"
    elif len(rows) != n_expected:
        problem = f"have {len(rows)} rows, but {n_expected} were asked for"
    elif (problem := not_finite(rows)) is None:
        zeros = count_zero_rows(rows) if similarity == "cosine" else 0
        directed = rows[rows.any(axis=1)] if zeros else rows
        if 2 * zeros > len(rows):
            problem = (
                f"are zero in {zeros} of {len(rows)} rows, more than half (units that answer to no input "
                "give such rows; standardise the features, widen the network or lower the learning rate)"
            )
        elif len(directed) > 1 and bool((directed == directed[0]).all()):
            besides = f" but for {zeros} rows of zeros" if zeros else ""
            problem = f"are collapsed: all {len(directed)} rows are equal{besides}"
    if problem:
        raise RefusedEmbeddings(f"the embeddings of modality {modality!r} {problem}; they cannot be ranked")
    return rows


def check_similarities(values: Any, shape: tuple[int, int]) -> Array:
    """Return similarities as a floating-point matrix of the expected shape.

    Raises:
        RefusedEmbeddings: for another shape, or NaN.
    """
    matrix = to_array(values)
    if matrix.shape != shape or matrix.dtype.kind not in "fiub":
        raise RefusedEmbeddings(
            f"similarities are {matrix.dtype} of shape {matrix.shape}; expected numbers {shape}"
        )
    if matrix.dtype.kind != "f" or matrix.dtype.itemsize < 4:
        matrix = matrix.astype(np.float64)
    if np.isnan(matrix).any():
        raise RefusedEmbeddings("similarities contain NaN; they cannot be ranked")
    return matrix


def check_widths(widths: Mapping[str, int]) -> None:
    """Refuse embeddings whose modalities have different widths.

    Raises:
        RefusedEmbeddings: naming them.
    """
    if len(set(widths.values())) > 1:
        raise RefusedEmbeddings(
            f"the modalities are embedded in different widths, {dict(widths)}; there is no common space"
        )


def count_zero_rows(rows: Array) -> int:
    """Return how many rows of ``rows`` ``(n, d)`` are zero: they have no direction."""
    return int(len(rows) - np.count_nonzero(rows.any(axis=1)))


def not_finite(rows: Array) -> str | None:
    """Return why rows ``(n, d)`` have no cosine, or None: no columns, NaN or infinite values."""
    if rows.shape[1] == 0:
        return "have no columns"
    finite = np.isfinite(rows)
    if finite.all():
        return None
    bad = np.flatnonzero(~finite.all(axis=1))
    kind = "NaN" if np.isnan(rows[bad[0]]).any() else "infinite values"
    return f"contain {kind}, first in row {bad[0]} ({len(bad)} of {len(rows)} rows are not finite)"


@dataclass(frozen=True, eq=False)
class LabelSets:
    """The labels of n items, each distinct set of labels kept once; relevant means a shared label."""

    sets: Array  # ``(g,)`` class numbers, or ``(g, C)`` booleans; distinct, in a fixed order
    codes: Indices  # ``(n,)`` which set every item has

    def relevant_to(self, labels: Array) -> NDArray[np.bool_]:
        """Return which of the sets ``(g,)`` share a label with the set ``labels`` of a query."""
        if self.sets.ndim == 1:
            return np.asarray(self.sets == labels)
        return np.asarray(self.sets.T[labels].any(axis=0))

    def count_relevant(self, gallery: LabelSets) -> Indices:
        """Return how many items of ``gallery`` share a label with each item ``(n,)``."""
        sizes = np.bincount(gallery.codes, minlength=len(gallery.sets))
        counts = [int(sizes[gallery.relevant_to(labels)].sum()) for labels in self.sets]
        return np.asarray(counts, dtype=np.intp)[self.codes]

    def check_comparable(self, other: LabelSets) -> None:
        """Refuse to compare class numbers with label matrices, or matrices of different widths.

        Raises:
            UsageError: if the two are not of one kind.
        """
        shapes = [f"(n, {s.sets.shape[1]})" if s.sets.ndim == 2 else "(n,)" for s in (self, other)]
        if shapes[0] != shapes[1]:
            raise UsageError(
                f"query labels are of shape {shapes[0]} and gallery labels {shapes[1]}; "
                "both must be class numbers (n,) or 0/1 matrices (n, C) with the same C"
            )


def label_sets(labels: Any, n_items: int, what: str) -> LabelSets:
    """Read labels: ``(n,)`` integers, or ``(n, C)`` 0/1 for items with several classes.

    Raises:
        UsageError: for another shape, another number of rows or other values.
    """
    array = to_array(labels)
    if array.ndim not in (1, 2) or len(array) != n_items:
        raise UsageError(
            f"{what} must be ({n_items},) integers or ({n_items}, C) 0/1, not of shape {array.shape}"
        )
    if array.ndim == 1:
        if array.dtype.kind not in "iub" and not (
            array.dtype.kind == "f" and bool((array == np.floor(array)).all())
        ):
            raise UsageError(f"{what} must be whole numbers, not {array.dtype}")
        sets, codes = np.unique(array, return_inverse=True)
        return LabelSets(sets, codes.reshape(-1))
    chosen = array == 1
    if array.shape[1] == 0 or not bool((chosen | (array == 0)).all()):
        raise UsageError(f"{what} given as a matrix must hold 0 and 1 only, in at least one column")
    packed = np.ascontiguousarray(np.packbits(chosen, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).reshape(-1)
    _, first, codes = np.unique(keys, return_index=True, return_inverse=True)
    return LabelSets(np.asarray(chosen[first]), codes.reshape(-1))
