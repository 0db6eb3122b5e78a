"""Average precision by enumerating every order of tied items, in rational numbers.

Knows nothing of the evaluator: cosines of whole-numbered vectors are compared exactly, and every
arrangement of relevant and other items inside the tie groups is written down and scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations, groupby, product

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def cosine_key(query: Ints, item: Ints) -> Fraction:
    """Return a number that orders items as the cosine with ``query`` does, exactly; 0 for rows of zeros."""
    dot = int(query @ item)
    return Fraction(dot * abs(dot), max(1, int(item @ item)))


def related(query_label: Ints, gallery_labels: Ints) -> list[bool]:
    """Return which gallery items share the class, or a label, with the query."""
    if gallery_labels.ndim == 1:
        return [bool(label == query_label) for label in gallery_labels]
    return [bool((label * query_label).any()) for label in gallery_labels]


def orders(keys: Sequence[Fraction], relevant: Sequence[bool]) -> Iterator[tuple[bool, ...]]:
    """Yield the relevance of the ranking, once for each equally likely placement within tie groups."""
    ranked = sorted(zip(keys, relevant, strict=True), key=lambda pair: -pair[0])
    choices = []
    for _, group in groupby(ranked, key=lambda pair: pair[0]):
        flags = [flag for _, flag in group]
        placements = combinations(range(len(flags)), sum(flags))
        choices.append([tuple(i in chosen for i in range(len(flags))) for chosen in placements])
    for parts in product(*choices):
        yield tuple(flag for part in parts for flag in part)


def average_precision(ranking: Sequence[bool], k: int | None, denominator: str) -> Fraction:
    """Score one ranking by the definition."""
    cut = len(ranking) if k is None else k
    n_relevant = sum(ranking)
    hits, total = 0, Fraction(0)
    for rank, flag in enumerate(ranking[:cut], start=1):
        if flag:
            hits += 1
            total += Fraction(hits, rank)
    divisor = {"hits": hits, "min": min(n_relevant, cut), "relevant": n_relevant}[denominator]
    return total / divisor if divisor else Fraction(0)


def over_orders(
    keys: Sequence[Fraction], relevant: Sequence[bool], k: int | None, denominator: str, ties: str
) -> float:
    """Return the mean, largest or smallest average precision over all orders of tied items."""
    values = [average_precision(ranking, k, denominator) for ranking in orders(keys, relevant)]
    if ties == "expected":
        return float(sum(values, Fraction(0)) / len(values))
    return float(max(values) if ties == "optimistic" else min(values))
