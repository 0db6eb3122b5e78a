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
    """The gallery positions that have each query's id; those of one id are adjacent."""

    positions: Indices  # ``(n,)`` gallery positions, by id
    begin: Indices  # ``(n_queries,)`` first of a query's entries in ``positions``
    count: Indices  # ``(n_queries,)`` how many there are

    @classmethod
    def by_ids(cls, queries: Array | None, items: Array | None, gallery: CanonicalOrder) -> Matches | None:
        """Join ids of queries ``(n_queries,)`` and of items ``(n,)``, in the caller's order; None without."""
        if queries is None or items is None:
            return None
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

        Of each of the rows' `pairs`, ``above`` items are strictly more similar and ``size`` exactly as
        similar, itself included; ``n`` is the size of the gallery.
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
    """Return how many items are more similar, and how many exactly as similar, as each of p items.

    Rows of ``sorted_keys`` ``(b, n)`` are sorted `order_keys`; the items have ``keys`` ``(p,)`` without marks
    in these rows ``row`` ``(p,)``, ascending.
    """
    start, end = (np.empty(len(row), dtype=np.int64) for _ in range(2))
    bounds = np.searchsorted(row, np.arange(len(sorted_keys) + 1))
    for i in np.unique(row).tolist():
        part = slice(bounds[i], bounds[i + 1])
        start[part] = sorted_keys[i].searchsorted(keys[part], side="left")
        end[part] = sorted_keys[i].searchsorted(keys[part] | 1, side="right")
    return start, end - start
