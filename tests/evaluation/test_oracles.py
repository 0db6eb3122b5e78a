"""Numbers that the released code of the field produced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.spatial.distance import cdist

from bench.evaluation import average_precision, average_precision_of_similarities, mean_average_precision
from tests.evaluation.naive import naive_map
from tests.methods.golden import Golden, golden
from tests.shared import shared

# (query view, k): exact expectation of mAP over the orders of tied items, of DRCL's released test features
DRCL = {(0, None): 0.561914, (1, None): 0.537586, (0, 50): 0.559908, (1, 50): 0.684775}


@pytest.mark.parametrize(("view", "k"), DRCL)
def test_drcl_features_score_as_published(view: int, k: int | None) -> None:
    """21 of the 462 rows are repeated, so that published numbers are those of one order of them.

    Which order NumPy's unstable sort leaves depends on the processor; the expectation does not.
    """
    files = [loadmat(shared(f"data/drcl_wikipedia_outputs/wiki_{v}.mat")) for v in (view, 1 - view)]
    (queries, wanted), (gallery, offered) = [(file["test_fea"], file["test_lab"].ravel()) for file in files]
    rows = queries, gallery, wanted, offered
    low, mid, high, by_sort = (
        mean_average_precision(*rows, k, "hits", ties, dtype="float64")
        for ties in ("pessimistic", "expected", "optimistic", "argsort")
    )
    assert mid == pytest.approx(DRCL[view, k], abs=1e-6)
    assert mean_average_precision(*rows, k) == pytest.approx(DRCL[view, k], abs=1e-6)
    assert low < by_sort < high
    ranking = cdist(queries, gallery, "cosine").argsort(axis=1)
    assert by_sort == pytest.approx(naive_map(ranking, wanted, offered, k, "hits"), abs=1e-9)


@pytest.fixture(scope="module")
def numbers() -> Golden:
    return golden("drcl_eval")


def _rows(numbers: Golden) -> tuple[NDArray[Any], NDArray[Any]]:
    return numbers["query"], numbers["gallery"]


def test_single_label_ap_and_map_equal_the_release(numbers: Golden) -> None:
    labels = numbers["query_label"], numbers["gallery_label"]
    for key, k in (("map_all", None), ("map_at50", 50), ("map_at5", 5), ("map_at1", 1)):
        assert abs(mean_average_precision(*_rows(numbers), *labels, k) - numbers[key]) <= 1e-6
    for key, k in (("ap_all_per_query", None), ("ap_at50_per_query", 50)):
        ours = average_precision(*_rows(numbers), *labels, k)
        np.testing.assert_allclose(ours, numbers[key], atol=1e-6, rtol=0)
        assert (ours == 0).any()  # a class that the gallery lacks counts as zero


def test_multi_label_map_equals_the_release_which_skips_queries_without_hits(numbers: Golden) -> None:
    labels = numbers["query_multihot"], numbers["gallery_multihot"]
    for key, k in (("ml_map_all", None), ("ml_map_at50", 50), ("ml_map_at5", 5), ("ml_map_default_k", 33)):
        ours = mean_average_precision(*_rows(numbers), *labels, k, empty="skip")
        assert abs(ours - numbers[key]) <= 1e-6


def test_euclidean_ranking_equals_the_release_by_given_similarities(numbers: Golden) -> None:
    similarities = -cdist(*_rows(numbers), "euclidean")
    ours = average_precision_of_similarities(similarities, numbers["query_label"], numbers["gallery_label"])
    assert abs(ours.mean() - numbers["map_all_euclidean"]) <= 1e-6


@pytest.mark.parametrize(("key", "k"), [("multi_test_all", None), ("multi_test_at20", 20)])
def test_both_directions_equal_the_release(numbers: Golden, key: str, k: int | None) -> None:
    labels = numbers["views_label"], numbers["views_label"]
    for i, j in ((0, 1), (1, 0)):
        ours = mean_average_precision(numbers[f"view{i}"], numbers[f"view{j}"], *labels, k)
        assert abs(ours - numbers[key][i, j]) <= 1e-6
