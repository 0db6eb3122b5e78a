"""Protocols with their ids, and measures against closed forms and enumeration."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import UsageError
from bench.evaluation import (
    RECALL_LEVELS,
    STANDARD_PROTOCOLS,
    Protocol,
    average_precision_of_similarities,
    expected_random_ap,
    precision_at_k,
    precision_recall,
    rank_embeddings,
)
from bench.evaluation.ties import hits_inside, precision_sum
from tests.documents import ROOT, blocks

PROTOCOLS = st.builds(
    Protocol,
    k=st.none() | st.integers(1, 10**6),
    denominator=st.sampled_from(["hits", "min", "relevant", "first"]),
    ties=st.sampled_from(["expected", "optimistic", "pessimistic", "argsort"]),
    empty=st.sampled_from(["zero", "skip"]),
)


@given(PROTOCOLS)
def test_an_id_reads_back_as_the_same_protocol(rule: Protocol) -> None:
    assert Protocol.parse(rule.id) == rule
    assert str(rule) == rule.id


def test_ids_are_the_documented_ones_and_denominators_are_one_without_cut_off() -> None:
    standard = [rule.id for rule in STANDARD_PROTOCOLS]
    assert standard == ["map@all", "map@50/hits", "map@50/min", "map@50/relevant"]
    assert Protocol(denominator="min") == Protocol() == Protocol.parse("MAP@all/relevant")
    assert Protocol(50, "hits", empty="skip").id == "map@50/hits/skip"


def test_a_wrong_id_is_refused_with_what_to_write() -> None:
    hints = {"map@50": "map@50/hits", "map@50/recall": "'recall'", "map@50/hits/min": "denominator"}
    hints |= dict.fromkeys(("map", "map@", "gain@10"), "map@K") | {"map@0/hits": "at least 1"}
    for text, hint in hints.items():
        with pytest.raises(UsageError, match=hint):
            Protocol.parse(text)


def test_values_outside_the_rules_are_refused() -> None:
    wrong: dict[str, list[Any]] = {
        "k": [0, -3, 2.5, True],
        "denominator": ["R"],
        "ties": ["x"],
        "empty": ["x"],
    }
    for name, value in ((name, value) for name, values in wrong.items() for value in values):
        with pytest.raises(UsageError):
            Protocol(**{name: value})


@pytest.mark.parametrize(
    ("p", "h", "m", "x"),
    [(0, 0, 900, 80), (31000, 40, 2, 2), (31000, 40, 700, 1), (5, 5, 1, 1), (900, 0, 600, 600)],
)
def test_expected_sum_is_exact_for_large_groups_and_deep_ranks(p: int, h: int, m: int, x: int) -> None:
    """The sum, over ranks, of the chance of a hit there times the expected precision at it."""
    others = Fraction(x - 1, m - 1) if m > 1 else Fraction(0)
    exact = Fraction(x, m) * sum((Fraction(h + 1) + j * others) / (p + j + 1) for j in range(m))
    found = precision_sum("expected", np.array([p]), np.array([h]), np.array([m]), np.array([x]))[0]
    assert abs(found - float(exact)) <= 1e-12 * x


@pytest.mark.parametrize(
    ("size", "relevant", "places"),
    [(10, 3, 4), (1000, 300, 50), (4000, 3990, 3000), (2200, 1100, 1100), (7, 7, 3)],
)
def test_hits_inside_the_cut_follow_the_hypergeometric_law(size: int, relevant: int, places: int) -> None:
    counts, chances = hits_inside(size, relevant, places)
    for x, chance in zip(counts.tolist(), chances.tolist(), strict=True):
        exact = Fraction(comb(relevant, x) * comb(size - relevant, places - x), comb(size, places))
        assert abs(chance - float(exact)) <= 1e-13


def test_precision_at_several_cut_offs_is_that_of_each_protocol() -> None:
    """What a protocol measures is compared with its definition in `test_protocol_measures.py`."""
    rng = np.random.default_rng(0)
    rows = (
        rng.integers(1, 3, (20, 3)),
        rng.integers(1, 3, (9, 3)),
        rng.integers(0, 3, 20),
        rng.integers(0, 3, 9),
    )
    ks = [8, 1, 2, 4, 20]
    exact = rank_embeddings(*rows).evaluate([Protocol.parse(f"precision@{k}") for k in ks])[0]
    np.testing.assert_allclose(precision_at_k(*rows, ks), np.stack([*exact.values()], axis=1), atol=1e-12)


@pytest.mark.parametrize("case", range(8))
def test_interpolated_precision_follows_its_definition_rank_by_rank(case: int) -> None:
    rng = np.random.default_rng(case)
    blur = rng.random((33, 3)) * (case % 2)  # with it, there are no ties
    queries, gallery = np.split(rng.integers(1, 4, (33, 3)) + blur, [3])
    wanted, offered = rng.integers(0, 3, 3), rng.integers(0, 3, 30)
    ours = precision_recall(queries, gallery, wanted, offered, dtype="float64")
    assert (np.diff(ours, axis=1) <= 0).all()
    for query, label, values in zip(queries, wanted, ours, strict=True):
        cosines = np.round(gallery @ query / np.linalg.norm(gallery, axis=1), 12)
        relevant = offered == label
        order = np.argsort(-cosines, kind="stable")
        hits = np.cumsum([relevant[cosines == cosine].mean() for cosine in cosines[order]])
        precision = hits / np.arange(1, 31)
        exact = [
            max(precision[hits >= level * relevant.sum() - 1e-9], default=0.0) for level in RECALL_LEVELS
        ]
        np.testing.assert_allclose(values, exact, atol=1e-12, rtol=0)
    np.testing.assert_allclose(RECALL_LEVELS, np.arange(11) / 10)


def test_queries_without_relevant_items_give_zero_or_nan() -> None:
    rows, labels = (np.eye(3), np.eye(3)), ([9, 9, 9], [0, 1, 2])
    assert (precision_at_k(*rows, *labels, [1, 2]) == 0).all()
    assert np.isnan(precision_at_k(*rows, *labels, [1, 2], empty="skip")).all()
    assert (precision_recall(*rows, *labels) == 0).all()
    assert np.isnan(precision_recall(*rows, *labels, empty="skip")).all()


@pytest.mark.parametrize("n_gallery", range(1, 9))
def test_chance_is_the_mean_over_all_rankings(n_gallery: int) -> None:
    for n_relevant in range(1, n_gallery + 1):
        rankings = combinations(range(1, n_gallery + 1), n_relevant)
        exact = np.mean([[(hit + 1) / rank for hit, rank in enumerate(ranks)] for ranks in rankings])
        assert expected_random_ap(n_relevant, n_gallery) == pytest.approx(float(exact), rel=1e-12)
    assert expected_random_ap([0, n_gallery], n_gallery).tolist() == [0.0, 1.0]


@settings(max_examples=40, deadline=None)
@given(n_gallery=st.integers(1, 300), share=st.floats(0.0, 1.0))
def test_chance_is_the_ap_of_a_gallery_of_ties(n_gallery: int, share: float) -> None:
    n_relevant = round(share * n_gallery)
    labels = (np.arange(n_gallery) < n_relevant).astype(np.int64)
    found = average_precision_of_similarities(np.zeros((1, n_gallery)), np.ones(1, dtype=np.int64), labels)
    assert found[0] == pytest.approx(expected_random_ap(n_relevant, n_gallery), rel=1e-6)


@pytest.mark.parametrize(("n_relevant", "n_gallery"), [(1, 0), (4, 3), (-1, 3)])
def test_impossible_counts_are_refused(n_relevant: int, n_gallery: int) -> None:
    with pytest.raises(ValueError, match="gallery"):
        expected_random_ap(n_relevant, n_gallery)


def test_the_example_of_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [one for one in blocks(ROOT / "docs" / "protocol.md") if one.language == "python"]
    exec(block.text, {})
    assert "'map@50/min': " in capsys.readouterr().out
