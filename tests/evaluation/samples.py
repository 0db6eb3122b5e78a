"""Methods without training, and rows, that the tests of the evaluator share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, Context, Method, MethodCard, Split
from bench.evaluation import Precision
from bench.evaluation.inputs import label_sets
from bench.evaluation.similarity import Side, embedded_side


class AsGiven(Method):
    """Embeds rows as they are."""

    card = MethodCard("given", "Given", "A. Author", 2000, "Venue", "test")
    Settings = dict

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        """Nothing to learn."""

    def embed(self, modality: str, features: Array) -> Array:
        return features


class Embeds(AsGiven):
    """Embeds rows by a rule."""

    def __init__(self, rule: Callable[[Array], Array]) -> None:
        super().__init__()
        self.rule = rule

    def embed(self, modality: str, features: Array) -> Array:
        return self.rule(features)


class Cubes(AsGiven):
    """Compares rows by the cube of their inner product."""

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        return np.asarray((queries @ gallery.T) ** 3)


def side(rows: NDArray[Any], labels: NDArray[Any], precision: Precision = "float32") -> Side:
    """Return rows with labels as one side of a comparison."""
    return embedded_side(rows, label_sets(labels, len(rows), "labels"), precision, "rows")


def coarse(seed: int, n: int, classes: int = 3, zeros: float = 0.0) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return rows of which most occur several times, some of zeros, and labels."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 2, (n, 4)) + np.array([1.0, 0, 0, 0])
    rows[rng.random(n) < zeros] = 0
    return rows, rng.integers(0, classes, n)
