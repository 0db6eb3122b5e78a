"""Similarities as integers: their order without their scale, and a free bit to mark relevant items."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.contract import Array
from bench.evaluation.ties import Counts

_INTEGERS: dict[np.dtype[Any], type[np.signedinteger[Any]]] = {
    np.dtype(np.float32): np.int32,
    np.dtype(np.float64): np.int64,
}


def order_keys(values: Array) -> Array:
    """Turn similarities ``(b, n)`` into even integers: the more similar the less, equal where they are equal.

    Only keys of one row can be compared. Those of float32 and float64 overwrite ``values``; keys stay
    as they are.

    The bits of a float without its sign are an integer that rises with the magnitude. Half of all magnitudes
    fit beside a free bit: 0, and those from 2**-127 (float64: 2**-1023) of the largest. Where there are
    others, distinct values are numbered.
    """
    if values.dtype.kind == "i":
        return values
    integers = _INTEGERS.get(values.dtype)
    if integers is None:  # extended precision
        return _numbered(values)
    keys: Array = values.view(integers)
    twice = keys + keys  # the magnitude with a free bit; the sign is lost
    magnitude = twice.view(f"u{keys.itemsize}")
    excess = int(magnitude.max()) - (np.iinfo(integers).max - 1)
    if excess > 0:
        if magnitude.min() <= excess:
            lost = magnitude <= excess
            if magnitude[lost].any():
                keys[:] = _numbered(values)
                return keys
            magnitude[lost] = excess
        magnitude -= magnitude.dtype.type(excess)
    keys >>= 8 * keys.itemsize - 1  # -1 where the similarity is negative, else 0
    twice ^= keys
    np.subtract(keys, twice, out=keys)  # minus twice the magnitude with its sign
    return keys


def _numbered(values: Array) -> Counts:
    return np.stack([-2 * np.unique(row, return_inverse=True)[1].astype(np.int64) for row in values])


def best(keys: Array, k: int) -> Array:
    """Sort rows of keys ``(b, n)`` in place and return them, or only the first ``k`` where that is enough.

    It is not where the item at rank k is tied with the next one.
    """
    if 2 * k < keys.shape[1]:
        keys.partition(k, axis=1)
        top = keys[:, :k]
        top.sort(axis=1)
        if not (top[:, -1] | 1 == keys[:, k] | 1).any():
            return top
    keys.sort(axis=1)
    return keys


def marked_ranks(keys: Array, n_marked: int) -> tuple[Counts, Counts, Counts, Counts]:
    """Find marked items among the first k, and which items are tied.

    Args:
        keys: ``(b, k)`` sorted keys, with a lowest bit of 1 where the item is marked; afterwards everywhere.
        n_marked: marked items of each row, whether among these or not.

    Returns:
        The index of each marked item in its row, ``(b, n_marked)``, k for those that are not there; then of
        each group of tied items row, first index and size, ``(g,)`` each.
    """
    b, k = keys.shape
    marks = keys.astype(np.int8)
    marks &= 1
    marked = np.flatnonzero(marks.view(np.bool_))
    if len(marked) == b * n_marked:
        places = marked.reshape(b, n_marked) - k * np.arange(b)[:, None]
    else:
        places = np.full((b, n_marked), k)
        places[:, :k] = np.sort(np.where(marks, np.arange(k), k), axis=1)[:, :n_marked]
    keys |= 1
    values = keys.reshape(-1)
    joined = np.zeros(b * k + 1, dtype=np.bool_)  # whether an item is tied with the one before it
    np.equal(values[1:], values[:-1], out=joined[1:-1])
    joined[::k] = False
    edges = np.flatnonzero(joined[1:] != joined[:-1])
    row, first = np.divmod(edges[::2], k)
    return places, row, first, edges[1::2] + 1 - edges[::2]
