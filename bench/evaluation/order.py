"""Canonical order of rows: given by label and content alone, so that the caller's order cannot matter.

Equal similarities must come out as equal numbers, yet a matrix product rounds an entry differently
depending on its position in the matrix. So rows are put into an order given by label and content, and
a row that occurs several times takes part in the product once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array
from bench.evaluation.inputs import Indices, LabelSets


@dataclass(frozen=True, eq=False)
class CanonicalOrder:
    """Positions of n items, sorted by label set and, within one, by content."""

    labels: LabelSets  # label sets; positions follow their codes
    order: Indices  # ``(n,)`` original row at every position
    starts: Indices  # ``(g + 1,)`` first position of every label set, and n
    distinct: Indices  # ``(m,)`` an original row for each distinct content
    # ``(n,)`` which distinct content is at each position; None if position i holds content i
    member: Indices | None

    def __len__(self) -> int:
        return len(self.order)

    def members(self, positions: Indices) -> Indices:
        """Return the distinct content at ``positions``."""
        return positions if self.member is None else self.member[positions]

    def shuffled(self, modality: str) -> CanonicalOrder:
        """Return the same positions, with the distinct contents in the order of `row_order`."""
        order = row_order(modality, len(self.distinct))
        member = inverse(order)[self.members(np.arange(len(self)))]
        return replace(self, distinct=self.distinct[order], member=member)


def row_order(modality: str, n_rows: int) -> Indices:
    """Return the order ``(n_rows,)`` in which a method gets the rows of a modality.

    It depends on the modality's name and the number of rows alone, so that a position is unrelated to
    a row's label, and to the row of the same object in another modality.
    """
    seed = blake2b(f"{modality}\x1f{n_rows}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(seed, "big")).permutation(n_rows)


def inverse(order: Indices) -> Indices:
    """Return the inverse of the permutation ``order``."""
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return back


def canonical_order(rows: Array | None, labels: LabelSets) -> CanonicalOrder:
    """Sort items by label set and, where there are rows ``(n, d)``, by content; find equal rows, bit by bit.

    Items without rows have given similarities, which cannot round differently.
    """
    keys, by_content = None, np.arange(len(labels.codes))
    if rows is not None:
        keys, by_content = _content_keys(np.ascontiguousarray(rows))
    order = by_content[np.argsort(labels.codes[by_content], kind="stable")]
    starts = np.searchsorted(labels.codes[order], np.arange(len(labels.sets) + 1))
    fresh = None if keys is None else ~_equals_previous(keys[by_content])
    if fresh is None or fresh.all():
        return CanonicalOrder(labels, order, starts, order, None)
    content = np.empty(len(order), dtype=np.intp)
    content[by_content] = np.cumsum(fresh) - 1
    _, first, member = np.unique(content[order], return_index=True, return_inverse=True)
    # Number the contents by their first position, which the caller's order has no part in.
    rank = inverse(np.argsort(first))
    return CanonicalOrder(labels, order, starts, order[np.sort(first)], rank[member.reshape(-1)])


def _content_keys(rows: Array) -> tuple[NDArray[np.uint64], Indices]:
    """Return 128 bits per row, ``(n, 2)``, equal where rows are equal and nowhere else, and their order.

    The first 16 bytes of a row distinguish most embeddings. Rows that share them get a cryptographic
    digest of the whole row instead.
    """
    raw = rows.view(np.uint8)
    width = min(16, raw.shape[1])
    keys = np.zeros((len(rows), 16), dtype=np.uint8)
    keys[:, :width] = raw[:, :width]
    halves = keys.view("<u8")
    by_start = _sorted(halves)
    repeated = _equals_previous(halves[by_start])
    repeated[:-1] |= repeated[1:]
    shared = by_start[repeated]
    if len(shared) == 0:
        return halves.astype(np.uint64), by_start
    digests = b"".join([blake2b(raw[row].data, digest_size=16).digest() for row in shared])
    halves[shared] = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
    return halves.astype(np.uint64), _sorted(halves)


def _sorted(keys: NDArray[np.uint64]) -> Indices:
    """Return the order of keys ``(n, 2)``, equal ones in the order of their rows."""
    order = keys[:, 0].argsort()  # not stable, but several times as quick as what is
    first = keys[order, 0]
    return np.lexsort((keys[:, 1], keys[:, 0])) if (first[1:] == first[:-1]).any() else order


def _equals_previous(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    same = np.zeros(len(keys), dtype=bool)
    same[1:] = (keys[1:] == keys[:-1]).all(axis=1)
    return same
