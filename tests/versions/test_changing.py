"""Which versions rise: those of the code that moved numbers, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.registry.code import Confirmed, Lock, UnitKind, read_lock
from tests.versions import data, reference
from tests.versions.changing import KINDS, Change, change_of, lock_text

TOOLKITS = {"a": ["training"], "b": ["training"], "c": ["linear"], "d": []}
NAMES: dict[UnitKind, list[str]] = {
    "packages": ["conditions", "contract", "data", "evaluation", "experiment", "training", "linear"],
    "methods": ["a", "b", "c", "d"],
    "datasets": ["e"],
}
LOCK: Lock = {kind: {name: Confirmed(3, "old") for name in names} for kind, names in NAMES.items()}


def change(changed: str, moved: str, **more: list[str]) -> Change:
    edited = changed.split()
    units = {
        kind: {name: "new" if name in edited else "old" for name in names} for kind, names in NAMES.items()
    }
    return change_of(LOCK, units, TOOLKITS, moved.split(), **more)


@pytest.mark.parametrize(
    ("changed", "moved", "raised", "unexplained"),
    [
        ("", "", "", ""),
        ("a training data", "", "", ""),  # the same numbers: confirmed
        ("a", "a", "a", ""),
        ("a training", "a", "a", ""),  # not the toolkit's doing: b would have moved
        ("training", "a", "training", ""),
        ("training", "a b", "training", ""),
        ("a b training", "a b", "a b training", ""),  # of other methods that are not here nothing is known
        ("a training", "a b", "a training", ""),
        ("evaluation training", "a b c d", "evaluation training", ""),
        ("evaluation c", "c", "c", ""),
        ("a", "b", "", "b"),
        ("linear", "a c", "linear", "a"),
    ],
)
def test_a_unit_rises_that_explains_what_moved(
    changed: str, moved: str, raised: str, unexplained: str
) -> None:
    found = change(changed, moved)
    assert {name for _, name in found.raised} == set(raised.split())
    assert {name for _, name in found.confirmed} == set(changed.split()) - set(raised.split())
    assert set(found.unexplained) == set(unexplained.split())
    for kind in KINDS:
        for name, one in found.lock[kind].items():
            assert one == Confirmed(3 + (name in raised.split()), "new" if name in changed.split() else "old")


def test_a_loader_rises_with_its_arrays_and_whatever_is_named_rises() -> None:
    assert change("e", "", moved_data=["e"]).raised == (("datasets", "e"),)
    assert change("", "", moved_data=["e"]).unexplained == ("e",)
    named = change("", "a", by_hand=["a", "training"])
    assert {name for _, name in named.raised} == {"a", "training"}
    assert named.unexplained == ()


def test_conditions_rise_where_numbers_moved_only_under_them() -> None:
    assert change("conditions", "", under_conditions=["a"]).raised == ()
    assert change("conditions", "a", under_conditions=["a"]).raised == (("packages", "conditions"),)
    assert change("conditions a", "a", under_conditions=["a"]).raised == (
        ("methods", "a"),
        ("packages", "conditions"),
    )
    elsewhere = change("conditions training", "a b")
    assert (elsewhere.raised, elsewhere.unexplained) == ((("packages", "training"),), ())
    assert change("conditions", "a").unexplained == ("a",)
    sentences = {
        "a": ["a on x under y@1, map: 1 → 2"],
        "b": ["b on x under y@1, m: 1 → 2", "b on x, m: 1 → 2"],
    }
    assert reference.only_under_conditions(sentences) == ["a"]


def test_new_units_begin_at_1_and_those_that_are_gone_go() -> None:
    units = {kind: {name: "x" for name in [*names, "new"] if name != "a"} for kind, names in NAMES.items()}
    found = change_of(LOCK, units, {**TOOLKITS, "new": []}, [])
    assert found.lock["methods"]["new"] == Confirmed(1, "x")
    assert "a" not in found.lock["methods"]


def test_the_lock_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    lock: Lock = {
        "packages": {"data": Confirmed(2, "1234567890123456")},  # no number, though it looks like one
        "methods": {"drcl": Confirmed(1, "12e4567890123456")},
        "datasets": {},
    }
    path = tmp_path / "versions.yaml"
    path.write_text(lock_text({**lock, "datasets": {"e": Confirmed(1, "ab")}}))
    assert read_lock(path) == {**lock, "datasets": {"e": Confirmed(1, "ab")}}


def test_numbers_agree_within_rounding_and_no_further() -> None:
    stored = {"a": {"x": {"best map@all": 0.5, "trace loss": 20.0}, "y": {"skipped": float("nan")}}}
    close = {"a": {"x": {"best map@all": 0.5015, "trace loss": 20.003}, "y": {"skipped": float("nan")}}}
    assert reference.moved(stored, close) == {}
    for other in (
        {"x": {"best map@all": 0.503, "trace loss": 20.0}, "y": {"skipped": float("nan")}},
        {"x": {"best map@all": 0.5, "trace loss": 20.1}, "y": {"skipped": float("nan")}},
        {"x": {"best map@all": 0.5, "trace loss": 20.0}, "y": {"failed": float("nan")}},
        {"x": {"best map@all": 0.5}, "y": {"skipped": float("nan")}},
        {"x": {"best map@all": float("nan"), "trace loss": 20.0}, "y": {"skipped": float("nan")}},
    ):
        assert reference.moved(stored, {"a": other}).keys() == {"a"}


def test_arrays_agree_within_the_rounding_of_a_sum() -> None:
    assert data.moved({"e": {"train": 1e6}, "f": {"train": 1.0}}, {"e": {"train": 1e6 + 1}, "g": {}}) == []
    assert data.moved({"e": {"train": 1e6}}, {"e": {"train": 1e6 + 100}}) == ["e"]
    assert data.moved({"e": {"train": 1.0}}, {"e": {"test": 1.0}}) == ["e"]
