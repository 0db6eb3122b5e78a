"""Precision at k and interpolated precision, with and without ties."""

from __future__ import annotations

import numpy as np
import pytest

from bench.evaluation import RECALL_LEVELS, precision_at_k, precision_recall
from tests.evaluation import brute_force


@pytest.mark.parametrize("case", range(40))
def test_precision_at_k_equals_enumeration_of_all_orders(case: int) -> None:
    rng = np.random.default_rng(case)
    queries, gallery = rng.integers(1, 3, (2, 3)), rng.integers(1, 3, (9, 3))
    wanted, offered = rng.integers(0, 3, 2), rng.integers(0, 3, 9)
    ks = [1, 2, 4, 8, 20]
    ours = precision_at_k(queries, gallery, wanted, offered, ks)
    for query, label, values in zip(queries, wanted, ours, strict=True):
        keys = [brute_force.cosine_key(query, item) for item in gallery]
        orders = list(brute_force.orders(keys, brute_force.related(label, offered)))
        exact = [sum(sum(order[:k]) for order in orders) / len(orders) / k for k in ks]
        np.testing.assert_allclose(values, exact, atol=1e-12, rtol=0)


@pytest.mark.parametrize("case", range(40))
def test_interpolated_precision_follows_its_definition_rank_by_rank(case: int) -> None:
    rng = np.random.default_rng(case)
    blur = rng.random((33, 3)) * (case % 2)  # with it, there are no ties
    queries, gallery = np.split(rng.integers(1, 4, (33, 3)) + blur, [3])
    wanted, offered = rng.integers(0, 3, 3), rng.integers(0, 3, 30)
    ours = precision_recall(queries, gallery, wanted, offered, dtype="float64")
    for query, label, values in zip(queries, wanted, ours, strict=True):
        cosines = np.round(gallery @ query / np.linalg.norm(gallery, axis=1), 12)
        relevant = offered == label
        order = np.argsort(-cosines, kind="stable")
        share = np.array([relevant[cosines == cosine].mean() for cosine in cosines[order]])
        expected_hits = np.cumsum(share)
        precision = expected_hits / np.arange(1, 31)
        exact = [
            max(precision[expected_hits >= level * relevant.sum() - 1e-9], default=0.0)
            for level in RECALL_LEVELS
        ]
        np.testing.assert_allclose(values, exact, atol=1e-12, rtol=0)


def test_interpolated_precision_never_rises_with_recall() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((30, 4)), rng.standard_normal((200, 4))
    curve = precision_recall(queries, gallery, rng.integers(0, 5, 30), rng.integers(0, 5, 200))
    assert curve.shape == (30, 11)
    assert (np.diff(curve, axis=1) <= 0).all()


def test_queries_without_relevant_items_give_zero_or_nan() -> None:
    rows = np.eye(3)
    assert (precision_at_k(rows, rows, [9, 9, 9], [0, 1, 2], [1, 2]) == 0).all()
    assert np.isnan(precision_at_k(rows, rows, [9, 9, 9], [0, 1, 2], [1, 2], empty="skip")).all()
    assert (precision_recall(rows, rows, [9, 9, 9], [0, 1, 2]) == 0).all()
    assert np.isnan(precision_recall(rows, rows, [9, 9, 9], [0, 1, 2], empty="skip")).all()
