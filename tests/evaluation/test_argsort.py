"""Ties in the order that a sort gives them: how the field's released evaluators come to their numbers."""

from __future__ import annotations

import numpy as np
import pytest
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
from tests.evaluation.samples import AsGiven, Cubes, coarse


@pytest.mark.parametrize("k", [5, 300])
@pytest.mark.parametrize("denominator", ["hits", "min", "relevant"])
def test_ties_stand_as_a_plain_sort_of_the_distances_leaves_them(k: int, denominator: Denominator) -> None:
    (queries, wanted), (gallery, offered) = coarse(0, 40, zeros=0.1), coarse(1, 300, zeros=0.1)
    distances = np.nan_to_num(cdist(queries, gallery, "cosine"), nan=1.0)  # NaN: rows of zeros
    naive = naive_ap(distances.argsort(axis=1), wanted, offered, k, denominator)
    ours = average_precision(queries, gallery, wanted, offered, k, denominator, "argsort", dtype="float64")
    given = average_precision_of_similarities(-distances, wanted, offered, k, denominator, "argsort")
    np.testing.assert_allclose(ours, naive, rtol=1e-12, atol=0)
    np.testing.assert_allclose(given, naive, rtol=1e-12, atol=0)
    low, expected, high = (
        average_precision(queries, gallery, wanted, offered, k, denominator, ties, dtype="float64")
        for ties in ("pessimistic", "expected", "optimistic")
    )
    assert (np.abs(ours - expected) > 1e-3).any()
    # SciPy rounds cosines that are equal to unequal numbers, so that only rows of zeros are compared.
    zero = ~queries.any(axis=1)
    assert zero.any()
    assert (low[zero] <= ours[zero] + 1e-12).all()
    assert (ours[zero] <= high[zero] + 1e-12).all()


@pytest.mark.parametrize("k", [None, 50])
def test_without_ties_it_is_the_usual_result(k: int | None) -> None:
    rng = np.random.default_rng(0)
    given = (rng.normal(size=(300, 9)), rng.normal(size=(400, 9)), rng.integers(0, 5, 300))
    usual, sorted_ = (
        average_precision(*given, np.arange(400) % 5, k, ties=ties, dtype="float64")
        for ties in ("expected", "argsort")
    )
    np.testing.assert_array_equal(sorted_, usual)


@pytest.mark.parametrize("learned", [False, True])
def test_evaluate_takes_the_rule_beside_others(learned: bool) -> None:
    left, right = (Modality(*coarse(seed, 60)) for seed in (0, 1))
    split = Split({"image": left, "text": right}, 3)
    result = evaluate(
        Cubes() if learned else AsGiven(), split, ["map@10/hits/argsort", Protocol()], dtype="float64"
    )
    assert result.protocols == ("map@10/hits/argsort", "map@all")
    cubes = -((left.features @ right.features.T) ** 3)
    distances = cubes if learned else cdist(left.features, right.features, "cosine")
    naive = naive_ap(distances.argsort(axis=1), left.labels, right.labels, 10, "hits")
    np.testing.assert_allclose(result["image", "text"].ap["map@10/hits/argsort"], naive, rtol=1e-12, atol=0)
