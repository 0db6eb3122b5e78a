"""The expected AP of a random ranking, against every ranking there is and against a gallery of ties."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.evaluation import average_precision_of_similarities, expected_random_ap


def _average_over_all_rankings(n_relevant: int, n_gallery: int) -> float:
    rankings = combinations(range(1, n_gallery + 1), n_relevant)
    return float(np.mean([[(hit + 1) / rank for hit, rank in enumerate(ranks)] for ranks in rankings]))


@pytest.mark.parametrize("n_gallery", range(1, 9))
def test_it_is_the_mean_over_all_rankings(n_gallery: int) -> None:
    for n_relevant in range(1, n_gallery + 1):
        exact = _average_over_all_rankings(n_relevant, n_gallery)
        assert expected_random_ap(n_relevant, n_gallery) == pytest.approx(exact, rel=1e-12)


@given(n_gallery=st.integers(1, 300), share=st.floats(0.0, 1.0))
def test_it_is_the_ap_of_a_gallery_of_ties(n_gallery: int, share: float) -> None:
    n_relevant = round(share * n_gallery)
    labels = (np.arange(n_gallery) < n_relevant).astype(np.int64)
    tied = np.zeros((1, n_gallery))
    found = average_precision_of_similarities(tied, np.ones(1, dtype=np.int64), labels)
    assert found[0] == pytest.approx(expected_random_ap(n_relevant, n_gallery), rel=1e-6)


def test_it_takes_one_number_per_query() -> None:
    values = expected_random_ap([0, 3, 10], 10)
    np.testing.assert_allclose(values, [0.0, float(expected_random_ap(3, 10)), 1.0])


@pytest.mark.parametrize(("n_relevant", "n_gallery"), [(1, 0), (4, 3), (-1, 3)])
def test_impossible_counts_are_refused(n_relevant: int, n_gallery: int) -> None:
    with pytest.raises(ValueError, match="gallery"):
        expected_random_ap(n_relevant, n_gallery)
