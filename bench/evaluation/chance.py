"""What a ranking that knows nothing reaches: the floor under every table."""

from __future__ import annotations

from itertools import permutations
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.contract import Split
from bench.evaluation.relevance import label_sets


@overload
def expected_random_ap(n_relevant: int, n_gallery: int) -> float: ...


@overload
def expected_random_ap(n_relevant: ArrayLike, n_gallery: int) -> float | NDArray[np.float64]: ...


def expected_random_ap(n_relevant: ArrayLike, n_gallery: int) -> float | NDArray[np.float64]:
    """Return the exact expectation of AP over all orders of the gallery.

    With R relevant among N items and H_N the N-th harmonic number::

        E[AP] = (1 / N) * (H_N + (R - 1) / (N - 1) * (N - H_N))

    Rank k holds a relevant item with probability R / N, and two given ranks both do with probability
    R (R - 1) / (N (N - 1)); summing the precision at k over the ranks gives the formula. The result is
    also the AP of a full ranking in which all items are tied.

    Args:
        n_relevant: R, one number or an array with one entry per query; 0 gives 0.
        n_gallery: N, at least 1.

    Returns:
        A number, or an array of the shape of ``n_relevant``.

    Raises:
        ValueError: if the gallery is empty or R is not within 0 and N.
    """
    relevant = np.asarray(n_relevant, dtype=np.float64)
    if n_gallery < 1:
        raise ValueError("the gallery needs at least one item")
    if relevant.size and (relevant.min() < 0 or relevant.max() > n_gallery):
        raise ValueError(f"relevant items must number 0 to {n_gallery}, the size of the gallery")
    harmonic = float(np.sum(1.0 / np.arange(1, n_gallery + 1)))
    others = (relevant - 1.0) / max(n_gallery - 1, 1)
    value = np.where(relevant > 0, (harmonic + others * (n_gallery - harmonic)) / n_gallery, 0.0)
    return float(value) if value.ndim == 0 else value


def expected_random_map(split: Split) -> dict[str, float]:
    """Return the exact expectation of mAP@all of a random ranking, by direction such as ``image>text``.

    It follows from the labels alone. Queries without relevant items count 0.
    """
    labels = {
        name: label_sets(modality.labels, len(modality), f"labels of modality {name!r}")
        for name, modality in split.items()
    }
    return {
        f"{query}>{gallery}": float(
            np.mean(expected_random_ap(labels[query].count_relevant(labels[gallery]), len(split[gallery])))
        )
        for query, gallery in permutations(split, 2)
    }
