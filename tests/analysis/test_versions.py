"""Versions of code: which is newer, in what two differ, and how they are written in short_versions."""

from __future__ import annotations

import random

import pytest

from bench.analysis.labels import newest_first, short_versions, version_difference


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("", "data 1", "earlier code"),
        ("data 1, evaluation 1", "data 1, evaluation 2", "earlier code: evaluation 1"),
        ("data 1, evaluation 3", "data 1, evaluation 2", "code: evaluation 3"),
        ("training 1, drcl 2+ab12cd34", "training 1, drcl 2", "code: drcl 2+ab12cd34"),
        ("training 1, mine ab12cd34", "training 1, mine ffffffff", "code: mine ab12cd34"),
        ("data 1", "data 1, evaluation 2", "code: data 1"),
        ("by hand", "data 1", "code: by hand"),
    ],
)
def test_a_difference_names_the_parts_that_differ(one: str, other: str, words: str) -> None:
    assert version_difference(one, other) == words


def test_newer_versions_come_first_and_none_last() -> None:
    ordered = ["data 2, evaluation 10", "data 2, evaluation 9", "data 1, evaluation 11", ""]
    shuffled = random.Random(0).sample(ordered, len(ordered))
    assert sorted(shuffled, key=newest_first) == ordered


def test_in_short_they_are_numbers_and_never_alike_where_parts_are_not() -> None:
    assert short_versions("data 1, evaluation 2, experiment 1") == "1.2.1"
    assert short_versions("data 1, evaluation 2+ab12cd34") == "1.2+ab12cd34"
    assert short_versions("mine 12345678") == "12345678"
    assert short_versions("") == ""
