"""An order of rows that depends on their content alone, so that the caller's order cannot matter.

Equal similarities must come out as equal numbers, yet a matrix product rounds an entry differently
depending on where in the matrix it stands. So rows are put into an order given by label and content, and
a row that occurs several times takes part in the product once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array
from bench.evaluation.arrays import Indices
from bench.evaluation.relevance import LabelSets


@dataclass(frozen=True, eq=False)
class Arrangement:
    """The places of n items, sorted by label set and, within one, by content.

    Attributes:
        labels: label sets; place order follows their codes.
        order: ``(n,)`` original row of every place.
        starts: ``(g + 1,)`` first place of every label set, and n.
        distinct: ``(m,)`` an original row for each distinct content.
        member: ``(n,)`` which distinct content stands at each place; None where place i holds content i.
    """

    labels: LabelSets
    order: Indices
    starts: Indices
    distinct: Indices
    member: Indices | None

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.order)

    def members(self, places: Indices) -> Indices:
        """Return the distinct content at ``places``."""
        return places if self.member is None else self.member[places]

    def shuffled(self, modality: str) -> Arrangement:
        """Return the same places, with the distinct contents in the order of `row_order`."""
        order = row_order(modality, len(self.distinct))
        member = inverse(order)[self.members(np.arange(len(self)))]
        return replace(self, distinct=self.distinct[order], member=member)


def row_order(modality: str, n_rows: int) -> Indices:
    """Return the order ``(n_rows,)`` in which a method gets the rows of a modality.

    It depends on the modality's name and the number of rows alone, so that a position says nothing of a
    row's label, nor of the row that shows the same thing in another modality.
    """
    seed = blake2b(f"{modality}\x1f{n_rows}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(seed, "big")).permutation(n_rows)


def inverse(order: Indices) -> Indices:
    """Return the permutation that puts back what ``order`` rearranged."""
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return back


def arrange(rows: Array, labels: LabelSets) -> Arrangement:
    """Sort rows ``(n, d)`` by label set and content and find those that are equal bit by bit."""
    keys = _content_keys(np.ascontiguousarray(rows))
    by_content = np.lexsort((keys[:, 1], keys[:, 0]))
    order = by_content[np.argsort(labels.codes[by_content], kind="stable")]
    starts = np.searchsorted(labels.codes[order], np.arange(len(labels.sets) + 1))
    fresh = ~_as_previous(keys[by_content])
    if fresh.all():
        return Arrangement(labels, order, starts, order, None)
    content = np.empty(len(rows), dtype=np.intp)
    content[by_content] = np.cumsum(fresh) - 1
    _, first, member = np.unique(content[order], return_index=True, return_inverse=True)
    # Number the contents by their first place, which the caller's order has no part in.
    rank = np.empty(len(first), dtype=np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return Arrangement(labels, order, starts, order[np.sort(first)], rank[member.reshape(-1)])


def arrange_by_labels(labels: LabelSets) -> Arrangement:
    """Sort items by label set only, where their similarities are given and cannot round differently."""
    order = np.argsort(labels.codes, kind="stable")
    starts = np.searchsorted(labels.codes[order], np.arange(len(labels.sets) + 1))
    return Arrangement(labels, order, starts, order, None)


def _content_keys(rows: Array) -> NDArray[np.uint64]:
    """Return 128 bits per row, ``(n, 2)``, that are equal where rows are equal and nowhere else.

    The first 16 bytes of a row tell most embeddings apart. Rows that share them get a cryptographic
    digest of the whole row instead.
    """
    raw = rows.view(np.uint8)
    width = min(16, raw.shape[1])
    keys = np.zeros((len(rows), 16), dtype=np.uint8)
    keys[:, :width] = raw[:, :width]
    halves = keys.view("<u8")
    by_start = np.lexsort((halves[:, 1], halves[:, 0]))
    repeated = _as_previous(halves[by_start])
    repeated[:-1] |= repeated[1:]
    shared = by_start[repeated]
    digests = b"".join([blake2b(raw[row].data, digest_size=16).digest() for row in shared])
    halves[shared] = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
    return halves.astype(np.uint64)


def _as_previous(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which keys equal the key before them."""
    same = np.zeros(len(keys), dtype=bool)
    same[1:] = (keys[1:] == keys[:-1]).all(axis=1)
    return same
