"""Similarities as integers: their order without their scale, and a free bit to mark relevant items."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.contract import Array
from bench.evaluation.inputs import Indices
from bench.evaluation.ties import Counts

_INTEGERS: dict[np.dtype[Any], type[np.signedinteger[Any]]] = {
    np.dtype(np.float32): np.int32,
    np.dtype(np.float64): np.int64,
}


def order_keys(values: Array, scratch: Array | None = None) -> Array:
    """Turn similarities ``(b, n)`` into even integers: the more similar the less, equal where they are equal.

    Only keys of one row can be compared; the two largest integers are never used. Keys of float32 and float64
    overwrite ``values``, and a ``scratch`` of their shape and type; keys stay as they are.

    The bits of a float without its sign are an integer that rises with the magnitude. Half of all magnitudes
    fit beside a free bit: 0, and those above 2**-127 (float64: 2**-1023) of the largest. Where there are
    others, distinct values are numbered.
    """
    if values.dtype.kind == "i":
        return values
    integers = _INTEGERS.get(values.dtype)
    if integers is None:  # extended precision
        return _numbered(values)
    keys: Array = values.view(integers)
    magnitude = np.abs(values, out=scratch).view(integers)
    bits = 8 * keys.itemsize - 2
    excess = max(0, int(magnitude.max()) - (2**bits - 2))
    zero = None
    if int(magnitude.min()) <= excess:
        zero = magnitude <= excess
        magnitude -= 1  # 0 becomes the largest without a sign
        if int(magnitude.view(f"u{keys.itemsize}").min()) < excess:
            keys[:] = _numbered(values)
            return keys
    keys += (2 ** (bits + 1) if excess else -(2 ** (bits + 1))) - excess  # changes the sign
    sign = np.right_shift(keys, bits, out=magnitude)  # -2 for the more similar than 0, 0 for others
    keys += keys
    keys ^= sign
    if zero is not None:
        np.copyto(keys, 0, where=zero)
    return keys


def _numbered(values: Array) -> Counts:
    return np.stack([-2 * np.unique(row, return_inverse=True)[1].astype(np.int64) for row in values])


def marked_and_tied(keys: Array, n_marked: int) -> tuple[Indices, Indices, Indices, Indices, Indices]:
    """Find marked items, and with which items of their row they are tied.

    Args:
        keys: ``(b, k)`` sorted keys, with a lowest bit of 1 where the item is marked.
        n_marked: how many are marked.

    Returns:
        Indices of the marked items in the flattened matrix ``(n_marked,)``. Then of each group of tied items
        with marked ones, ``(g,)`` each: the index of its first item, its size, how many marked items of the
        matrix come before it, how many it has.
    """
    values = keys.reshape(-1)
    count = len(values)
    # NumPy searches arrays with a branch per entry where at most a tenth of the bits are set, and without
    # elsewhere, which is quicker from a thirtieth on. So set bits are added.
    more = max(0, count // 9 - n_marked + 1) if n_marked > count // 32 else 0
    marks = np.empty(count + more, dtype=np.int8)
    marks[:count] = values
    marks &= 1
    marks[count:] = 1
    marked = np.flatnonzero(marks.view(np.bool_))[:n_marked]
    joined = np.zeros(count + 1, dtype=np.bool_)  # whether an item is tied with the one before it
    np.less((values[1:] ^ values[:-1]).view(f"u{keys.itemsize}"), 2, out=joined[1:-1])
    joined[:: keys.shape[1]] = False
    edges = np.flatnonzero(joined[1:] != joined[:-1])
    first, end = edges[::2], edges[1::2] + 1
    hits, upto = marked.searchsorted(first), marked.searchsorted(end)
    some = np.flatnonzero(upto - hits)
    return marked, first[some], (end - first)[some], hits[some], (upto - hits)[some]
