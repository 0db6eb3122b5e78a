"""Similarities of embeddings: exact ties of whole numbers, distances equal to SciPy's, and refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from bench.contract import Array, Modality, RefusedEmbeddings, Similarity, Split, UsageError
from bench.evaluation import (
    STANDARD_PROTOCOLS,
    Denominator,
    Protocol,
    average_precision,
    average_precision_of_similarities,
    evaluate,
    rank_embeddings,
    rank_similarities,
)
from bench.evaluation.similarity import similarities
from tests.evaluation.naive import naive_ap
from tests.evaluation.samples import AsGiven, Cubes, coarse

OTHERS: tuple[Similarity, ...] = ("dot", "euclidean", "hamming")


def _whole(similarity: Similarity, queries: Array, items: Array) -> Array:
    """Return exact similarities of whole-numbered rows, up to what changes no order."""
    if similarity == "dot":
        return queries @ items.T
    differences = queries[:, None] - items
    return np.asarray(-((differences != 0) if similarity == "hamming" else differences**2).sum(axis=2))


@settings(deadline=None, max_examples=60)
@given(
    similarity=st.sampled_from(OTHERS),
    seed=st.integers(0, 10**6),
    width=st.integers(1, 70),
    low=st.sampled_from([-1, 0, 3_000]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_ties_of_whole_numbers_are_exact(
    similarity: Similarity, seed: int, width: int, low: int, dtype: Any
) -> None:
    numbers = np.random.default_rng(seed)
    high = low + 3
    if similarity != "euclidean":
        low, high = min(low, 0), 2
    rows = [numbers.integers(low, high, (n, width)) for n in (4, 30)]
    if similarity == "hamming" and low:
        rows = [2 * (part > 0) - 1 for part in rows]
    labels = [numbers.integers(0, 3, n) for n in (4, 30)]
    ranking = rank_embeddings(*rows, *labels, similarity=similarity, dtype=dtype, threads=1)
    exact = rank_similarities(_whole(similarity, *rows), *labels, threads=1)
    rules = [*STANDARD_PROTOCOLS, Protocol(3, ties="optimistic"), Protocol(3, ties="pessimistic")]
    ours, theirs = ranking.evaluate(rules)[0], exact.evaluate(rules)[0]
    for rule in rules:
        np.testing.assert_array_equal(ours[rule.id], theirs[rule.id])


@pytest.mark.parametrize("offset", [0.0, 0.7, 300.0])
def test_small_distances_far_from_the_origin_are_distinguished(offset: float) -> None:
    numbers = np.random.default_rng(0)
    queries, items = (offset + 1e-3 * numbers.standard_normal((n, 40)) for n in (20, 300))
    labels = numbers.integers(0, 4, 20), numbers.integers(0, 4, 300)
    exact = rank_similarities(-cdist(queries, items), *labels).evaluate([Protocol()])[0]["map@all"]
    ours = average_precision(queries, items, *labels, similarity="euclidean")
    np.testing.assert_allclose(ours, exact, atol=2e-4, rtol=0)


@pytest.mark.parametrize("similarity", OTHERS)
def test_neither_the_order_of_rows_nor_a_common_factor_matters(similarity: Similarity) -> None:
    numbers = np.random.default_rng(0)
    rows, labels = numbers.standard_normal((300, 8)), numbers.integers(0, 5, 300)
    rows[200:] = rows[:100]
    if similarity == "hamming":
        rows = np.sign(rows)
    order = numbers.permutation(300)
    ap = average_precision(rows, rows, labels, labels, similarity=similarity)
    shuffled = average_precision(rows, rows[order], labels, labels[order], similarity=similarity)
    np.testing.assert_array_equal(shuffled, ap)
    if similarity != "hamming":
        scaled = average_precision(rows * 2.0**90, rows * 2.0**90, labels, labels, similarity=similarity)
        np.testing.assert_allclose(scaled, ap, atol=1e-3, rtol=0)


@pytest.mark.parametrize("similarity", get_args(Similarity))
def test_argsort_follows_the_sort_of_distances(similarity: Similarity) -> None:
    numbers = np.random.default_rng(2)
    queries, items = [2 * numbers.integers(0, 2, (n, 5)) - 1 for n in (9, 14)]
    wanted, offered = [numbers.integers(0, 3, n) for n in (9, 14)]
    distances = -(queries @ items.T) if similarity == "dot" else cdist(queries, items, similarity)
    order = np.argsort(distances, axis=1)  # of so few, stable
    ours = average_precision(queries, items, wanted, offered, 5, "hits", "argsort", similarity=similarity)
    np.testing.assert_allclose(ours, naive_ap(order, wanted, offered, 5, "hits"), rtol=1e-12)


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_cosines_of_any_size_are_scipys_and_those_of_zero_rows_are_0(size: float) -> None:
    numbers = np.random.default_rng(2)
    left, right = (numbers.standard_normal((n, 5)) for n in (9, 14))
    left[0] = right[3] = 0.0
    expected = np.nan_to_num(1 - cdist(left, right, "cosine"))
    expected[0] = expected[:, 3] = 0.0
    np.testing.assert_allclose(similarities("cosine", left * size, right * size), expected, atol=1e-12)


def test_plain_similarities_are_inner_products_and_minus_distances() -> None:
    rows = np.array([[1.0, 2.0], [4.0, 6.0]])
    np.testing.assert_allclose(similarities("dot", rows, rows), [[5, 16], [16, 52]])
    np.testing.assert_allclose(similarities("euclidean", rows, rows), [[0, -5], [-5, 0]])


@pytest.mark.parametrize("k", [5, 300])
@pytest.mark.parametrize("denominator", ["hits", "min", "relevant"])
def test_argsort_orders_ties_as_released_evaluators_do(k: int, denominator: Denominator) -> None:
    (queries, wanted), (gallery, offered) = coarse(0, 40, zeros=0.1), coarse(1, 300, zeros=0.1)
    distances = np.nan_to_num(cdist(queries, gallery, "cosine"), nan=1.0)  # NaN: rows of zeros
    naive = naive_ap(distances.argsort(axis=1), wanted, offered, k, denominator)
    low, expected, high, ours = (
        average_precision(queries, gallery, wanted, offered, k, denominator, ties, dtype="float64")
        for ties in ("pessimistic", "expected", "optimistic", "argsort")
    )
    given = average_precision_of_similarities(-distances, wanted, offered, k, denominator, "argsort")
    np.testing.assert_allclose(ours, naive, rtol=1e-12, atol=0)
    np.testing.assert_allclose(given, naive, rtol=1e-12, atol=0)
    assert (np.abs(ours - expected) > 1e-3).any()
    # SciPy rounds cosines that are equal to unequal numbers, so that only rows of zeros are compared.
    zero = ~queries.any(axis=1)
    assert zero.any()
    assert (low[zero] <= ours[zero] + 1e-12).all()
    assert (ours[zero] <= high[zero] + 1e-12).all()


@pytest.mark.parametrize("learned", [False, True])
def test_evaluate_takes_argsort_beside_other_rules(learned: bool) -> None:
    left, right = (Modality(*coarse(seed, 60)) for seed in (0, 1))
    method, split = Cubes() if learned else AsGiven(), Split({"image": left, "text": right}, 3)
    result = evaluate(method, split, ["map@10/hits/argsort", Protocol()], dtype="float64")
    cubes = -((left.features @ right.features.T) ** 3)
    distances = cubes if learned else cdist(left.features, right.features, "cosine")
    naive = naive_ap(distances.argsort(axis=1), left.labels, right.labels, 10, "hits")
    np.testing.assert_allclose(result["image", "text"].ap["map@10/hits/argsort"], naive, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("similarity", "rows", "refusal"),
    [
        ("hamming", [[0, 1], [0.5, 1]], "codes"),
        ("hamming", [[0, 1], [-1, 1]], "codes"),
        ("hamming", [[1.5, 1], [-1, 1]], "codes"),
        ("manhattan", [[0, 1], [1, 1]], "similarity must be"),
        ("euclidean", [[0, np.nan], [1, 1]], "NaN"),
        ("dot", [[0, np.inf], [1, -np.inf]], "infinite"),
    ],
)
def test_what_cannot_be_compared_is_refused(similarity: Any, rows: Any, refusal: str) -> None:
    with pytest.raises((RefusedEmbeddings, UsageError), match=refusal):
        average_precision(rows, rows, [0, 1], [0, 1], similarity=similarity)


def test_a_methods_card_states_how_its_embeddings_are_compared_and_zero_rows_are_ordinary_codes() -> None:
    numbers = np.random.default_rng(0)
    codes = {name: numbers.integers(0, 2, (40, 2)).astype(float) for name in ("image", "text")}
    codes["image"][:25] = 0
    labels = numbers.integers(0, 3, 40)
    split = Split({name: Modality(rows, labels) for name, rows in codes.items()}, 3)

    class Codes(AsGiven):
        card = replace(AsGiven.card, similarity="hamming")

    result = evaluate(Codes(), split)
    assert (result.similarity, result.zero_rows) == ("hamming", {})
    expected = average_precision(codes["image"], codes["text"], labels, labels, similarity="hamming")
    np.testing.assert_array_equal(result["image", "text"].ap["map@all"], expected)
    with pytest.raises(RefusedEmbeddings, match="zero in 27"):
        evaluate(AsGiven(), split)
    same = {name: Modality(np.zeros((40, 2)), labels) for name in codes}
    with pytest.raises(RefusedEmbeddings, match="collapsed"):
        evaluate(Codes(), Split(same, 3))


def test_fico_itr_agrees_on_ranks_and_category_retrieval_under_every_similarity() -> None:
    fico_itr = pytest.importorskip("fico_itr")
    from fico_itr.similarity import compute_similarity

    numbers = np.random.default_rng(0)
    images, captions = numbers.standard_normal((30, 64)), numbers.standard_normal((150, 64))
    labels, ids = numbers.integers(0, 4, 30), np.repeat(np.arange(30), 5)
    names = {"recall@1": "R@1", "recall@5": "R@5", "recall@10": "R@10", "meanr": "MeanR"}
    rules = [Protocol(), Protocol.parse("medr"), *map(Protocol.parse, names)]
    for similarity in ("cosine", "euclidean", "dot"):
        other = "inner_product" if similarity == "dot" else similarity
        matrix = compute_similarity(images, captions, other)
        theirs = fico_itr.instance_retrieval(matrix, captions_per_image=5)
        maps = fico_itr.category_retrieval(matrix, labels, captions_per_image=5)
        sides = [(images, labels, np.arange(30)), (captions, labels[ids], ids)]
        for (left, right), values, mean in zip((sides, sides[::-1]), theirs, maps, strict=True):
            given: dict[str, Any] = {"query_ids": left[2], "gallery_ids": right[2], "similarity": similarity}
            rows = left[0], right[0], left[1], right[1]
            ranking = rank_embeddings(*rows, **given, dtype="float64")
            ours = {rule.id: rule.aggregate(ranking.evaluate(rules)[0][rule.id]) for rule in rules}
            assert ours["map@all"] == pytest.approx(mean, abs=1e-9)
            assert np.floor(ours["medr"]) == values["MedianR"]
            for name, theirs_name in names.items():
                factor = 1 if name == "meanr" else 100
                assert factor * ours[name] == pytest.approx(values[theirs_name], abs=1e-9)
    codes = np.sign(images), np.sign(captions)
    exact = rank_similarities(compute_similarity(*codes, "hamming"), labels, labels[ids])
    ours_ap = average_precision(*codes, labels, labels[ids], similarity="hamming")
    np.testing.assert_allclose(ours_ap, exact.evaluate([Protocol()])[0]["map@all"], rtol=1e-12)
