"""Numbers that moved need a higher version, and every change of code a confirmation."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.registry.code import read_lock
from bench.registry.versions import Versions
from tests.versions import data, reference
from tests.versions.__main__ import toolkits
from tests.versions.changing import change_of, changed_units

COMMAND = "run `make versions`, and see docs/changing-numbers.md"


def test_the_numbers_of_the_reference_grid_are_those_stored(tmp_path: Path) -> None:
    stored = reference.read_stored()
    now = reference.measure(tmp_path)
    moved = reference.moved(stored["methods"], now)
    if moved:
        conditioned = reference.only_under_conditions(moved)
        change = change_of(read_lock(), Versions().units(), toolkits(), moved, under_conditions=conditioned)
        units = ", ".join(name for _, name in change.raised) or "none of the units with versions"
        first = "; ".join(sentence for name in sorted(moved) for sentence in moved[name][:2])
        pytest.fail(f"numbers moved ({first}); versions to raise: {units}; {COMMAND}")
    cells, known = (
        {(name, data) for name, found in one.items() for data in found} for one in (now, stored["methods"])
    )
    assert cells == known, f"methods, datasets or conditions came or went; {COMMAND}"


def test_every_version_was_confirmed_with_the_code_as_it_is() -> None:
    lock, units = read_lock(), Versions().units()
    changed = sorted(name for _, name in changed_units(lock, units))
    assert not changed, f"code of {', '.join(changed)} changed since its version was confirmed; {COMMAND}"
    assert {kind: set(names) for kind, names in units.items()} == {kind: set(lock[kind]) for kind in lock}


def test_the_loaders_give_the_arrays_that_are_stored() -> None:
    moved = data.moved(reference.read_stored()["datasets"], data.measure())
    assert not moved, f"arrays of {', '.join(moved)} are others; {COMMAND}"
