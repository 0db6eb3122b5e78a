"""A row of zeros has similarity 0 to everything, wherever similarities are computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.contract import Modality, RefusedEmbeddings, Split
from bench.evaluation import (
    Precision,
    average_precision,
    check_embeddings,
    evaluate,
    expected_random_ap,
    mean_average_precision,
    precision_at_k,
    precision_recall,
)
from tests.evaluation.samples import AsGiven


def _rows(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    rows = rng.integers(-2, 3, (n, 4)).astype(np.float64)
    rows[rng.random(n) < 0.2] = 0
    return rows


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [None, 1, 7])
def test_as_a_query_it_ties_the_whole_gallery(k: int | None, dtype: Precision) -> None:
    rng = np.random.default_rng(0)
    gallery, offered, tied = rng.standard_normal((90, 5)), rng.integers(0, 3, 90), np.ones((90, 5))
    queries, wanted = np.zeros((3, 5)), np.arange(3)
    for ties in ("pessimistic", "expected", "optimistic"):
        ap = average_precision(queries, gallery, wanted, offered, k, ties=ties, dtype=dtype)
        np.testing.assert_array_equal(ap, average_precision(queries + 1, tied, wanted, offered, k, ties=ties))
        if (k, ties) == (None, "expected"):
            np.testing.assert_allclose(ap, expected_random_ap(np.bincount(offered), 90), atol=1e-12)
    shares = precision_at_k(queries, gallery, wanted, offered, [4, 90])
    np.testing.assert_allclose(shares, np.bincount(offered)[:, None].repeat(2, axis=1) / 90, atol=1e-12)
    curves = [precision_recall(queries + i, rows, wanted, offered) for i, rows in enumerate((gallery, tied))]
    np.testing.assert_array_equal(curves[0], curves[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_as_an_item_it_ranks_between_positive_and_negative_cosines(dtype: Precision) -> None:
    gallery = np.array([[-1e-9, 1.0], [0, 0], [1e-9, 1.0], [3.0, 0], [-3.0, 0]])
    for row, rank in {3: 1, 2: 2, 1: 3, 0: 4, 4: 5}.items():
        offered = (np.arange(5) == row).astype(int)
        ap = average_precision([[2.0, 0.0]], gallery, [1], offered, dtype=dtype)
        np.testing.assert_allclose(ap, [1 / rank], atol=1e-12)


@pytest.mark.parametrize("ties", ["expected", "argsort"])
def test_negative_zeros_are_zeros(ties: Any) -> None:
    rng = np.random.default_rng(0)
    queries, gallery = _rows(rng, 8), _rows(rng, 50)
    labels = rng.integers(0, 3, 8), rng.integers(0, 3, 50)
    left, right = (np.where(rows == 0, -0.0, rows) for rows in (queries, gallery))
    plain = average_precision(queries, gallery, *labels, ties=ties)
    np.testing.assert_array_equal(average_precision(left, right, *labels, ties=ties), plain)


def _split(zeros: dict[str, int], n: int = 40) -> Split:
    rng = np.random.default_rng(0)
    modalities = {}
    for name, count in zeros.items():
        rows = rng.standard_normal((n, 4))
        rows[rng.permutation(n)[:count]] = 0
        modalities[name] = Modality(rows, np.arange(n) % 4)
    return Split(modalities, 4)


def test_an_evaluation_counts_them_by_modality() -> None:
    split = _split({"image": 5, "text": 0, "audio": 20})
    result = evaluate(AsGiven(), split)
    assert result.zero_rows == {"image": 5, "audio": 20}
    for direction in result.directions:
        left, right = split[direction.query], split[direction.gallery]
        expected = mean_average_precision(left.features, right.features, left.labels, right.labels)
        assert direction.map() == expected
        empty = ~left.features.any(axis=1)
        np.testing.assert_allclose(direction.ap["map@all"][empty], expected_random_ap(10, 40), atol=1e-12)


def test_those_of_a_separate_gallery_count_as_well() -> None:
    test, gallery = _split({"image": 5, "text": 0, "audio": 0}), _split({"image": 7, "text": 9, "audio": 0})
    assert evaluate(AsGiven(), test, gallery=gallery).zero_rows == {"image": 12, "text": 9}
    with pytest.raises(RefusedEmbeddings, match=r"'text' .*zero in 21 of 40"):
        evaluate(AsGiven(), test, gallery=_split({"image": 7, "text": 21, "audio": 0}))


def test_more_than_half_of_a_modality_is_refused_with_its_count() -> None:
    evaluate(AsGiven(), _split({"image": 0, "text": 20}))
    with pytest.raises(RefusedEmbeddings, match=r"'text' .*zero in 21 of 40"):
        evaluate(AsGiven(), _split({"image": 0, "text": 21}))
    with pytest.raises(RefusedEmbeddings, match="zero in 1 of 1"):
        check_embeddings("text", np.zeros((1, 3)), 1)


def test_the_default_similarity_of_a_method_is_zero_there() -> None:
    rows = np.array([[0.0, 0], [3, 4], [0, -2]], dtype=np.float32)
    similarity = AsGiven().similarity("image", rows, "text", rows)
    expected = np.array([[0, 0, 0], [0, 1, -0.8], [0, -0.8, 1]])
    np.testing.assert_allclose(similarity, expected, atol=1e-7)
    assert similarity.dtype == np.float32
