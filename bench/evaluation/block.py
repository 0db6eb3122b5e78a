"""The ranking of a block of queries on the CPU: ranks of their relevant items, and ties.

A block goes through the cache in parts of some rows: all passes over a part, from its products to its ranks,
come before the next part.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bench.contract import Array
from bench.evaluation.inputs import Indices
from bench.evaluation.keys import marked_and_tied, order_keys
from bench.evaluation.ties import Columns, Counts, Ranks, TieGroups, count_columns

_PART_ITEMS = 1 << 17  # similarities that go through all passes at a time
_EXACT = 2.0**-6  # squared products from which on quotients by norms lose no bits
_SMALLER = 2.0**-110  # factor of the norms' squares where there are smaller products
_SETS = 4  # sets of items per rank before the cut-off; their best items bound the similarities there


def cosines(products: Array, squares: Array, out: Array | None = None) -> Array:
    """Return cosines ``(b, n)``, squared with their sign kept, up to a factor per query.

    Args:
        products: minus the inner products, times `bench.evaluation.similarity.lift_for`.
        squares: ``(n,)`` of the gallery's norms, times a power of two that keeps quotients below 1.
        out: where to write them.
    """
    out = np.abs(products, out=out)
    out *= products
    out /= squares * -_SMALLER
    return out


def _cosine_keys(products: Array, squares: Array, scratch: Array) -> Array:
    """Return the `order_keys` of `cosines`; overwrites ``scratch`` ``(2, b, n)``."""
    n = products.shape[1]
    integers = f"i{products.itemsize}"
    keys, sign = (values.view(integers) for values in scratch)
    width = -(-n // -(-n // _PART_ITEMS))
    for start in range(0, n, width):  # rows that exceed the cache in several pieces
        piece = slice(start, start + width)
        given, magnitude, of_piece = products[:, piece], scratch[0, :, piece], sign[:, piece]
        np.multiply(given, given, out=magnitude)
        if magnitude.min() < _EXACT:
            return order_keys(cosines(products, squares, scratch[0]), scratch[1])
        magnitude /= squares[piece]
        np.right_shift(given.view(integers), 8 * products.itemsize - 1, out=of_piece)
        of_piece &= -2
        twice = keys[:, piece]
        twice += twice
        twice ^= of_piece
    return np.asarray(keys)


def rank_numpy(block: Array, columns: Columns, k: int | None = None, squares: Array | None = None) -> Ranks:
    """Rank the relevant ``columns`` of a block ``(b, n)``, which may be overwritten.

    Args:
        block: similarities, or their keys, which come out sorted; with ``squares`` the products of `cosines`.
        columns: gallery positions.
        k: rank from which on the order of items does not matter; None for none.
        squares: what makes `cosines` of the block.
    """
    b, n = block.shape
    if isinstance(columns, slice):
        relevant = np.zeros(n, dtype=np.int32)
        relevant[columns] = 1
    else:
        relevant = columns.astype(np.int32)
    step = max(1, _PART_ITEMS // n)
    parts = [slice(start, min(start + step, b)) for start in range(0, b, step)]
    if k is not None and n >= 2 * _SETS * k:
        values = (block[part] if squares is None else cosines(block[part], squares) for part in parts)
        return _rank_leading(values, relevant, b, k)
    width = count_columns(columns)
    above = np.empty((b, width), dtype=np.int64)
    scratch = np.empty((2, min(step, b), n), dtype=block.dtype)
    groups = []
    for part in parts:
        rows, start, spare = block[part], part.start, scratch[:, : part.stop - part.start]
        keys = order_keys(rows, spare[1]) if squares is None else _cosine_keys(rows, squares, spare)
        keys |= relevant
        keys.sort(axis=1)
        marked, first, size, hits, tied = marked_and_tied(keys, len(keys) * width)
        np.subtract(marked.reshape(len(keys), width), n * np.arange(len(keys))[:, None], out=above[part])
        groups.append((first + start * n, size, hits + start * width, tied))
    first, size, hits, tied = map(np.concatenate, zip(*groups, strict=True))
    row, before = np.divmod(first, n)
    return _tied(above, TieGroups(row, hits - row * width, tied, before, size), n)


def _rank_leading(parts: Iterable[Array], relevant: Array, b: int, k: int) -> Ranks:
    """Rank the first items of each of ``b`` rows, k or more, by similarities in parts of rows.

    All further items count as the last.
    """
    n, chosen, similar, start = len(relevant), [], [], 0
    for part in parts:
        found = _leading(part, k)
        similar.append(part.reshape(-1)[found])
        chosen.append(found + start)
        start += part.size
    row, column = np.divmod(np.concatenate(chosen), n)
    keys = order_keys(np.concatenate(similar)[None])[0]
    keys |= relevant[column]
    begin = np.searchsorted(row, np.arange(b))
    within = np.arange(len(row)) - begin[row]
    leading = np.full((b, int(within.max()) + 1), np.iinfo(keys.dtype).max - 1, dtype=keys.dtype)
    leading[row, within] = keys
    leading.sort(axis=1)
    marked, first, size, hits, tied = marked_and_tied(leading, int(np.count_nonzero(keys & 1)))
    row, position = np.divmod(marked, leading.shape[1])
    begin = np.searchsorted(row, np.arange(b))
    above = np.full((b, int(relevant.sum())), n - 1)
    above[row, np.arange(len(row)) - begin[row]] = position
    row, before = np.divmod(first, leading.shape[1])
    return _tied(above, TieGroups(row, hits - begin[row], tied, before, size), n)


def _leading(values: Array, k: int) -> Indices:
    """Return the indices in the flattened matrix ``(b, n)`` of the first k items of each row, and some more.

    These are all that are at least as similar as the k-th of the best items of some disjoint sets.
    """
    b, n = values.shape
    sets = _SETS * k
    best = values[:, : n // sets * sets].reshape(b, n // sets, sets).max(axis=1)
    best.partition(sets - k, axis=1)
    return np.flatnonzero(values >= best[:, sets - k, None])


def _tied(above: Counts, ties: TieGroups, n: int) -> Ranks:
    """Return ranks ``(b, R)`` whose items are tied."""
    above[ties.items()] = np.repeat(ties.before, ties.relevant)
    return Ranks(above, ties, n)
