"""Ties in the order that a sort gives them: how the field's released evaluators come to their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from bench.contract import Modality, Split
from bench.evaluation import (
    Denominator,
    Protocol,
    average_precision,
    average_precision_of_similarities,
    evaluate,
)
from tests.evaluation.naive import naive_ap
from tests.evaluation.samples import AsGiven, Cubes

Ints = NDArray[np.int64]


def _coarse(seed: int, n: int) -> tuple[NDArray[Any], Ints]:
    """Return rows of which most occur several times, and labels."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, (n, 4)) + np.array([1.0, 0, 0, 0]), rng.integers(0, 3, n)


@pytest.mark.parametrize("k", [5, 300])
@pytest.mark.parametrize("denominator", ["hits", "min", "relevant"])
def test_ties_stand_as_a_plain_sort_of_the_distances_leaves_them(k: int, denominator: Denominator) -> None:
    (queries, wanted), (gallery, offered) = _coarse(0, 40), _coarse(1, 300)
    distances = cdist(queries, gallery, "cosine")
    naive = naive_ap(distances.argsort(axis=1), wanted, offered, k, denominator)
    ours = average_precision(queries, gallery, wanted, offered, k, denominator, "argsort", dtype="float64")
    given = average_precision_of_similarities(-distances, wanted, offered, k, denominator, "argsort")
    np.testing.assert_allclose(ours, naive, rtol=1e-12, atol=0)
    np.testing.assert_allclose(given, naive, rtol=1e-12, atol=0)
    expected = average_precision(queries, gallery, wanted, offered, k, denominator, dtype="float64")
    assert (np.abs(ours - expected) > 1e-3).any()


def test_without_ties_it_is_the_usual_result() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((300, 9)), rng.standard_normal((400, 9))
    labels = rng.integers(0, 5, 300), rng.integers(0, 5, 400)
    for k in (None, 50):
        usual = average_precision(queries, gallery, *labels, k, dtype="float64")
        np.testing.assert_array_equal(
            average_precision(queries, gallery, *labels, k, ties="argsort", dtype="float64"), usual
        )


@pytest.mark.parametrize("learned", [False, True])
def test_evaluate_takes_the_rule_beside_others(learned: bool) -> None:
    modalities = {name: Modality(*_coarse(seed, 60)) for seed, name in enumerate(("image", "text"))}
    method = Cubes() if learned else AsGiven()
    result = evaluate(method, Split(modalities, 3), ["map@10/hits/argsort", Protocol()], dtype="float64")
    assert result.protocols == ("map@10/hits/argsort", "map@all")
    left, right = modalities["image"], modalities["text"]
    distances = (
        -((left.features @ right.features.T) ** 3)
        if learned
        else cdist(left.features, right.features, "cosine")
    )
    naive = naive_ap(distances.argsort(axis=1), left.labels, right.labels, 10, "hits")
    np.testing.assert_allclose(result["image", "text"].ap["map@10/hits/argsort"], naive, rtol=1e-12, atol=0)
