"""Numbers that the released code of the field produced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.spatial.distance import cdist

from bench.evaluation import average_precision, average_precision_of_similarities, mean_average_precision
from bench.evaluation.inputs import Precision
from tests.evaluation.naive import naive_map
from tests.shared import shared

Features = dict[str, NDArray[Any]]

# (query view, k): exact expectation of mAP over the orders of tied items, of DRCL's released test features
DRCL = {(0, None): 0.561914, (1, None): 0.537586, (0, 50): 0.559908, (1, 50): 0.684775}


@pytest.fixture(scope="module")
def views() -> list[tuple[NDArray[Any], NDArray[Any]]]:
    files = [loadmat(shared(f"data/drcl_wikipedia_outputs/wiki_{view}.mat")) for view in (0, 1)]
    return [(file["test_fea"], file["test_lab"].ravel()) for file in files]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("view", "k"), list(DRCL))
def test_drcl_features_score_as_published(
    views: list[tuple[NDArray[Any], NDArray[Any]]], view: int, k: int | None, dtype: Precision
) -> None:
    """21 of the 462 rows are repeated, so that published numbers are those of one order of them.

    Which order NumPy's unstable sort leaves depends on the processor; the expectation does not.
    """
    (queries, wanted), (gallery, offered) = views[view], views[1 - view]
    low, mid, high, by_sort = (
        mean_average_precision(queries, gallery, wanted, offered, k, "hits", ties, dtype=dtype)
        for ties in ("pessimistic", "expected", "optimistic", "argsort")
    )
    assert mid == pytest.approx(DRCL[view, k], abs=1e-6)
    assert low < by_sort < high
    ranking = cdist(queries, gallery, "cosine").argsort(axis=1)
    assert by_sort == pytest.approx(naive_map(ranking, wanted, offered, k, "hits"), abs=1e-9)


@pytest.fixture(scope="module")
def golden() -> Iterator[Any]:
    with np.load(shared("golden/drcl_eval.npz")) as file:
        yield dict(file)


@pytest.mark.parametrize(("key", "k"), [("map_all", None), ("map_at50", 50), ("map_at5", 5), ("map_at1", 1)])
def test_single_label_map_equals_the_release(golden: Features, key: str, k: int | None) -> None:
    ours = mean_average_precision(*_rows(golden), golden["query_label"], golden["gallery_label"], k)
    assert abs(ours - golden[key]) <= 1e-6


@pytest.mark.parametrize(("key", "k"), [("ap_all_per_query", None), ("ap_at50_per_query", 50)])
def test_ap_per_query_equals_the_release(golden: Features, key: str, k: int | None) -> None:
    ours = average_precision(*_rows(golden), golden["query_label"], golden["gallery_label"], k)
    np.testing.assert_allclose(ours, golden[key], atol=1e-6, rtol=0)
    assert (ours == 0).any()  # a class that the gallery lacks counts as zero


@pytest.mark.parametrize(
    ("key", "k"), [("ml_map_all", None), ("ml_map_at50", 50), ("ml_map_at5", 5), ("ml_map_default_k", 33)]
)
def test_multi_label_map_equals_the_release_which_skips_queries_without_hits(
    golden: Features, key: str, k: int | None
) -> None:
    labels = golden["query_multihot"], golden["gallery_multihot"]
    ours = mean_average_precision(*_rows(golden), *labels, k, empty="skip")
    assert abs(ours - golden[key]) <= 1e-6


def test_euclidean_ranking_equals_the_release_by_given_similarities(golden: Features) -> None:
    similarities = -cdist(*_rows(golden), "euclidean")
    ours = average_precision_of_similarities(similarities, golden["query_label"], golden["gallery_label"])
    assert abs(ours.mean() - golden["map_all_euclidean"]) <= 1e-6


@pytest.mark.parametrize(("key", "k"), [("multi_test_all", None), ("multi_test_at20", 20)])
def test_both_directions_equal_the_release(golden: Features, key: str, k: int | None) -> None:
    labels = golden["views_label"], golden["views_label"]
    for i, j in ((0, 1), (1, 0)):
        ours = mean_average_precision(golden[f"view{i}"], golden[f"view{j}"], *labels, k)
        assert abs(ours - golden[key][i, j]) <= 1e-6


def _rows(golden: Features) -> tuple[NDArray[Any], NDArray[Any]]:
    return golden["query"], golden["gallery"]
