"""Labels: methods that are gone have plain names; versions of code are ordered and compared by part."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench import registry
from bench.analysis import registry_labels
from bench.analysis.labels import newest_first, short_versions, version_difference
from tests.grid import FAULTS, cells_of, only_plugins, write_bundle
from tests.records import making


def test_a_method_that_is_gone_comes_last_under_its_name() -> None:
    labels = registry_labels()
    assert labels.title("vanished") == "vanished"
    assert labels.role("vanished") == "extra"
    assert labels.order("vanished") > labels.order("chance")
    assert labels.usual(making.identity(method="vanished")) is None
    assert labels.usual(making.identity(variant="vanished")) is None
    assert labels.modalities("vanished") == ()


def test_usual_settings_are_those_of_a_run_today(tmp_path: Path) -> None:
    with only_plugins(FAULTS):
        (cell,) = cells_of(["plain"], write_bundle(tmp_path / "a.npz"))
        labels = registry_labels()
        assert labels.usual(cell.identity) == cell.identity.settings
        assert labels.title("plain") == registry.method("plain").card.title


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


def test_short_versions_are_numbers_and_differ_where_parts_do() -> None:
    assert short_versions("data 1, evaluation 2, experiment 1") == "1.2.1"
    assert short_versions("data 1, evaluation 2+ab12cd34") == "1.2+ab12cd34"
    assert short_versions("mine 12345678") == "12345678"
    assert short_versions("") == ""
