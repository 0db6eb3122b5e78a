"""Row independence: tests that the embedding of a row depends on no other row and on no position.

In a file, rows may be sorted by class, and row i may be the same object in every modality: a method could use
positions. So each modality's rows are shuffled before the method gets them, and it is checked that a row's
result depends neither on the other rows nor on their order.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any, Final

import numpy as np

from bench.contract import Array, Method, Modality, PluginError, Split
from bench.contract.data import read_only
from bench.evaluation.inputs import Indices, check_embeddings, check_similarities, to_array
from bench.evaluation.order import row_order

SAMPLE: Final = 64
"""Rows per modality that `check_independence` tests."""

TOLERANCE: Final = 1e-3
"""Relative to the range of a column: matrix products of other shapes round in other positions."""

ROUNDING: Final = 1e-5
"""Relative to a column's largest entry and to the range of the widest column, for columns of little range."""


def embed_rows(method: Method, modality: str, features: Array) -> Array:
    """Return the embeddings ``(n, d)`` of shuffled features ``(n, d_v)``, in the order of the features.

    Raises:
        RefusedEmbeddings: as `check_embeddings`.
    """
    order = row_order(modality, len(features))
    embedded = to_array(method.embed(modality, read_only(features[order])))
    if embedded.ndim != 2 or len(embedded) != len(order):
        return check_embeddings(modality, embedded, len(order))
    rows = np.empty_like(embedded)
    rows[order] = embedded
    return check_embeddings(modality, rows, len(order), method.card.similarity)


def compare_rows(method: Method, query: str, queries: Array, gallery: str, items: Array) -> Array:
    """Return a method's similarities ``(n_queries, n_items)`` of shuffled features, in their order.

    Features are ``(n_queries, d_query)`` of the modality ``query`` and ``(n_items, d_gallery)`` of
    ``gallery``.

    Raises:
        RefusedEmbeddings: for similarities of a wrong shape, or NaN.
    """
    rows, columns = row_order(query, len(queries)), row_order(gallery, len(items))
    left, right = read_only(queries[rows]), read_only(items[columns])
    values = check_similarities(method.similarity(query, left, gallery, right), (len(rows), len(columns)))
    similarities = np.empty_like(values)
    similarities[np.ix_(rows, columns)] = values
    return similarities


def check_independence(method: Method, split: Split) -> None:
    """Embed or compare a sample of a split in several ways, and refuse a method that gives different results.

    Tests a learned similarity where the method has one, and the embeddings otherwise: what is
    ranked. What cannot be ranked at all (a wrong shape, NaN) is left to the evaluation.

    Raises:
        PluginError: naming the modality and the difference, or the features that were changed in place.
    """
    sample = {
        name: modality.take(np.linspace(0, len(modality) - 1, min(len(modality), SAMPLE)).astype(np.intp))
        for name, modality in split.items()
    }
    before = {name: modality.features.copy() for name, modality in sample.items()}
    try:
        if type(method).similarity is Method.similarity:
            for name, modality in sample.items():
                check_embedding(method, name, modality)
        else:
            for query, gallery in permutations(sample.items(), 2):
                check_similarity(method, query, gallery)
    except PluginError as error:
        for name, modality in sample.items():
            if not np.array_equal(before[name], modality.features):
                raise PluginError(
                    f"features of {name} are changed in place, as by a tensor that shares their memory; "
                    "copy first: torch.tensor(features), not torch.from_numpy(features)"
                ) from error
        raise


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
        _require_equal(whole, rows, part, f"rows of {name} are embedded", "embed")


def check_similarity(method: Method, query: tuple[str, Modality], gallery: tuple[str, Modality]) -> None:
    """Compare rows all together, with both sides in another order, and for smaller blocks of queries.

    Raises:
        PluginError: if a similarity differs by more than `TOLERANCE`.
    """
    (query_name, queries), (item_name, items) = query, gallery
    whole = to_array(method.similarity(query_name, queries.features, item_name, items.features))
    if whole.shape != (len(queries), len(items)):
        return
    order = _requests(len(items))[0]
    for rows in _requests(len(queries)):
        chosen = queries.take(rows).features, items.take(order).features
        part = method.similarity(query_name, chosen[0], item_name, chosen[1])
        what = f"queries of {query_name} and items of {item_name} are compared"
        _require_equal(whole[:, order], rows, part, what, "similarity")


def _requests(count: int) -> list[Indices]:
    """Return rows to embed: all in another order, some of them, one of them."""
    order = np.random.default_rng(count).permutation(count)
    return [order[:size] for size in dict.fromkeys((count, -(-count // 3), 1))]


def _require_equal(whole: Array, rows: Indices, answer: Any, what: str, where: str) -> None:
    """Compare some rows of a matrix with those that were asked for apart.

    A large constant in a column hides no difference: it changes neither distances nor the order of items.
    """
    part, expected = to_array(answer), whole[rows].astype(np.float64)
    if part.shape != expected.shape:
        raise PluginError(f"{what} in shape {part.shape}, not {expected.shape}, when fewer are asked for")
    if np.isnan(whole).any():
        return
    finite = np.isfinite(whole)
    low = whole.min(axis=0, where=finite, initial=np.inf).astype(np.float64)
    high = whole.max(axis=0, where=finite, initial=-np.inf).astype(np.float64)
    low, high = (np.where(finite.any(axis=0), side, 0.0) for side in (low, high))
    spread = high - low
    allowed = TOLERANCE * spread + ROUNDING * (np.maximum(high, -low) + spread.max(initial=0.0))
    with np.errstate(invalid="ignore"):  # of infinite entries, which have to be equal
        apart = ~((part == expected) | (np.abs(part - expected) <= allowed))
    if apart.any():
        row, column = np.argwhere(apart)[0]
        raise PluginError(
            f"{what} differently beside other rows or in another order: {part[row, column]:.6g} instead of "
            f"{expected[row, column]:.6g} in column {column}, of range {spread[column]:.3g}; {where} may "
            "use no batch statistics (switch networks to eval()), no row numbers and no random draws"
        )
