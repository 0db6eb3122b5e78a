"""Rows are embedded and compared one by one: what a method says of a row depends on that row alone.

Otherwise a ranking would depend on which other test rows there are, and in which order they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any, Final

import numpy as np

from bench.contract import Array, Method, Modality, PluginError, Split
from bench.evaluation.arrays import Indices, to_array

SAMPLE: Final = 64
"""Rows per modality that `check_independence` looks at."""

TOLERANCE: Final = 1e-3
"""Relative to the largest entry: matrix products of other shapes round in other places."""


def check_independence(method: Method, split: Split) -> None:
    """Embed or compare a sample of a split in several ways, and refuse a method that gives different results.

    Looks at the similarity where the method has one of its own, and at the embeddings otherwise: at what is
    ranked. What cannot be ranked at all (a wrong shape, NaN) is left to the evaluation.

    Raises:
        PluginError: naming the modality and the difference.
    """
    rows = {name: sampled(modality) for name, modality in split.items()}
    if type(method).similarity is Method.similarity:
        for name, modality in rows.items():
            check_embedding(method, name, modality)
    else:
        for query, gallery in permutations(rows, 2):
            check_similarity(method, (query, rows[query]), (gallery, rows[gallery]))


def sampled(modality: Modality) -> Modality:
    """Return at most `SAMPLE` rows from all over a modality."""
    count = len(modality)
    return modality.take(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.intp))


def check_embedding(method: Method, name: str, modality: Modality) -> None:
    """Embed rows all together, in another order, and in parts.

    Raises:
        PluginError: if a row's embedding differs by more than `TOLERANCE`.
    """
    whole = to_array(method.embed(name, modality.features))
    if whole.ndim != 2 or len(whole) != len(modality):
        return
    for rows in _requests(len(modality)):
        part = method.embed(name, modality.take(rows).features)
        _require_equal(whole[rows], part, f"rows of {name} are embedded", "embed")


def check_similarity(method: Method, query: tuple[str, Modality], gallery: tuple[str, Modality]) -> None:
    """Compare rows all together, with both sides in another order, and for smaller blocks of queries.

    Args:
        method: fitted.
        query: modality and its rows.
        gallery: modality and its rows.

    Raises:
        PluginError: if a similarity differs by more than `TOLERANCE`.
    """
    (asking, queries), (asked, items) = query, gallery
    whole = to_array(method.similarity(asking, queries.features, asked, items.features))
    if whole.shape != (len(queries), len(items)):
        return
    order = _order(len(items))
    for rows in _requests(len(queries)):
        part = method.similarity(asking, queries.take(rows).features, asked, items.take(order).features)
        what = f"queries of {asking} and items of {asked} are compared"
        _require_equal(whole[np.ix_(rows, order)], part, what, "similarity")


def _order(count: int) -> Indices:
    return np.random.default_rng(count).permutation(count)


def _requests(count: int) -> Sequence[Indices]:
    """Return rows to ask for: all in another order, some of them, one of them."""
    order = _order(count)
    return [order[:size] for size in dict.fromkeys((count, -(-count // 3), 1))]


def _require_equal(expected: Array, answer: Any, what: str, where: str) -> None:
    part = to_array(answer)
    hint = (
        f"{where} may use no batch statistics (switch networks to eval()), no row numbers and no random draws"
    )
    if part.shape != expected.shape:
        raise PluginError(f"{what} in shape {part.shape}, not {expected.shape}, when fewer are asked for")
    comparable = np.isfinite(expected) & np.isfinite(part)
    largest = float(np.abs(expected[comparable], dtype=np.float64).max(initial=0.0))
    apart = np.abs(expected[comparable].astype(np.float64) - part[comparable]).max(initial=0.0)
    if not apart <= TOLERANCE * largest:
        raise PluginError(
            f"{what} differently beside other rows or in another order, by up to {apart:.3g} where the "
            f"largest value is {largest:.3g}; {hint}"
        )
