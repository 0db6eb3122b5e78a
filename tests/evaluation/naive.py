"""Average precision of given rankings, query by query, as the field's released evaluators compute it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def naive_ap(
    ranking: NDArray[Any], wanted: NDArray[Any], offered: NDArray[Any], k: int | None, denominator: str
) -> list[float]:
    """Return the average precision of every query.

    Args:
        ranking: ``(n_queries, n_gallery)`` gallery rows, best first.
        wanted: ``(n_queries,)`` classes.
        offered: ``(n_gallery,)`` classes.
        k: cut-off; None for the full ranking.
        denominator: ``hits``, ``min`` or ``relevant``.
    """
    scores = []
    for label, row in zip(wanted, ranking, strict=True):
        hits: NDArray[np.bool_] = offered[row] == label
        cut = len(hits) if k is None else k
        precisions = (np.cumsum(hits) / np.arange(1, len(hits) + 1))[:cut][hits[:cut]]
        divisor = {"hits": hits[:cut].sum(), "min": min(cut, hits.sum()), "relevant": hits.sum()}[denominator]
        scores.append(float(precisions.sum() / divisor) if divisor else 0.0)
    return scores


def naive_map(
    ranking: NDArray[Any], wanted: NDArray[Any], offered: NDArray[Any], k: int | None, denominator: str
) -> float:
    """Return the mean of `naive_ap` over the queries."""
    return float(np.mean(naive_ap(ranking, wanted, offered, k, denominator)))
