"""Protocols and their ids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contract import UsageError
from bench.evaluation import STANDARD_PROTOCOLS, Protocol

PROTOCOLS = st.builds(
    Protocol,
    k=st.none() | st.integers(1, 10**6),
    denominator=st.sampled_from(["hits", "min", "relevant"]),
    ties=st.sampled_from(["expected", "optimistic", "pessimistic", "argsort"]),
    empty=st.sampled_from(["zero", "skip"]),
)


def test_standard_protocols_have_the_documented_ids() -> None:
    assert [rule.id for rule in STANDARD_PROTOCOLS] == [
        "map@all",
        "map@50/hits",
        "map@50/min",
        "map@50/relevant",
    ]


@given(PROTOCOLS)
def test_an_id_reads_back_as_the_same_protocol(rule: Protocol) -> None:
    assert Protocol.parse(rule.id) == rule
    assert str(rule) == rule.id


def test_denominators_are_one_without_cut_off() -> None:
    assert Protocol(denominator="min") == Protocol() == Protocol.parse("MAP@all/relevant")
    assert Protocol(50, "hits", empty="skip").id == "map@50/hits/skip"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("map", "map@all or map@K"),
        ("map@", "map@all or map@K"),
        ("ndcg@10", "map@all or map@K"),
        ("map@50", "map@50/hits, map@50/min, map@50/relevant"),
        ("map@50/recall", "'recall'"),
        ("map@50/hits/min", "second denominator"),
        ("map@0/hits", "at least 1"),
    ],
)
def test_a_wrong_id_is_answered_with_what_to_write(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        Protocol.parse(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 0},
        {"k": -3},
        {"k": 2.5},
        {"k": True},
        {"denominator": "R"},
        {"ties": "random"},
        {"empty": "drop"},
    ],
)
def test_values_outside_the_rules_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Protocol(**wrong)
