"""Instance level: which gallery items have a query's id, and their ranks in similarities that are sorted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.contract import Array
from bench.evaluation.inputs import Indices
from bench.evaluation.order import CanonicalOrder, inverse
from bench.evaluation.ties import Counts, Ranks, tie_groups


@dataclass(frozen=True, eq=False)
class Matches:
    """The gallery positions that have each query's id; those of one id stand side by side.

    Attributes:
        positions: ``(n,)`` gallery positions, by id.
        begin: ``(n_queries,)`` first of a query's entries in ``positions``.
        count: ``(n_queries,)`` how many there are.
    """

    positions: Indices
    begin: Indices
    count: Indices

    @classmethod
    def by_ids(cls, queries: Array, items: Array, gallery: CanonicalOrder) -> Matches:
        """Join ids of queries ``(n_queries,)`` and of items ``(n,)``, both in the caller's order of rows."""
        by_id = np.argsort(items, kind="stable")
        begin = np.searchsorted(items, queries, side="left", sorter=by_id)
        end = np.searchsorted(items, queries, side="right", sorter=by_id)
        return cls(inverse(gallery.order)[by_id], begin, end - begin)

    def pairs(self, rows: Indices) -> tuple[Indices, Indices]:
        """Return every match of query rows ``(q,)``: the number of the row in ``rows``, and the position."""
        count = self.count[rows]
        which = np.repeat(np.arange(len(rows)), count)
        offset = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        return which, self.positions[self.begin[rows][which] + offset]

    def ranks(self, rows: Indices, above: Counts, size: Counts, n: int) -> Iterator[tuple[Indices, Ranks]]:
        """Yield query rows that have equally many matches, and the ranks of these.

        Args:
            rows: ``(q,)`` query rows.
            above: of each of their `pairs`, items that are strictly more similar.
            size: of each, items that are exactly as similar, itself included.
            n: number of gallery items.
        """
        count = self.count[rows]
        begin = np.cumsum(count) - count
        for width in np.unique(count).tolist():
            chosen = np.flatnonzero(count == width)
            pairs = begin[chosen][:, None] + np.arange(width)
            order = np.argsort(above[pairs], axis=1, kind="stable")
            before, tied = (np.take_along_axis(column[pairs], order, axis=1) for column in (above, size))
            row, column = np.nonzero(tied > 1)
            groups = tie_groups(row, column, before[row, column], tied[row, column])
            yield rows[chosen], Ranks(before, groups, n)


def locate(sorted_keys: Array, row: Indices, keys: Array) -> tuple[Counts, Counts]:
    """Return how many items are more similar, and how many exactly as similar, as each of some items.

    Args:
        sorted_keys: ``(b, n)`` `order_keys`, each row sorted, with or without marks.
        row: ``(p,)`` row of each item, ascending.
        keys: ``(p,)`` of the items, without marks.
    """
    start, end = (np.empty(len(row), dtype=np.int64) for _ in range(2))
    bounds = np.searchsorted(row, np.arange(len(sorted_keys) + 1))
    for i in np.unique(row).tolist():
        part = slice(bounds[i], bounds[i + 1])
        start[part] = sorted_keys[i].searchsorted(keys[part], side="left")
        end[part] = sorted_keys[i].searchsorted(keys[part] | 1, side="right")
    return start, end - start
