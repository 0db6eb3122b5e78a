"""A dry run says what would run, for how long, and what that rests on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.execution import devices
from bench.execution.devices import Gpu, Inventory
from bench.records import Store
from tests.cli.test_startup import WITHOUT_TORCH, python
from tests.grid import FAULTS, Said, say


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "r"


def run(results: Path, small: Path, *words: object, methods: str = "plain,twin") -> Said:
    usual = ("run", "--results", results, "--plugin", FAULTS, "--datasets", small)
    return say(*usual, "--methods", methods, *words)


def test_without_records_it_says_that_all_rests_on_the_prior(results: Path, small: Path) -> None:
    said = run(results, small, "--seeds", 2, "--jobs", 2, "--dry-run")
    lines = said.out.splitlines()
    assert said.status == 0
    assert not results.exists()
    assert all(line.startswith("to run ") and line.endswith("about 1.0 s (prior)") for line in lines[:4])
    assert lines[4:] == [
        "4 cells, 4 to run",
        "cpu: 4 cells in 2 slots, 4.0 s of work, done after about 2.0 s",
        "in all: 4.0 s of work, done after about 2.0 s",
        "4.0 s of that (4 cells) rest on a prior only: "
        "nothing was recorded of these methods with this profile",
    ]


def test_what_is_recorded_is_marked_and_teaches_the_rest(results: Path, small: Path) -> None:
    run(results, small, "--jobs", 0, methods="plain")
    (record,) = Store(results).records()
    said = run(results, small, "--seeds", 2, "--jobs", 0, "--dry-run")
    lines = said.out.splitlines()
    assert f"recorded {record.digest} {record.identity.title}" in lines
    (learned,) = [line for line in lines if "plain" in line and "seed 1" in line]
    assert learned.endswith(f": about {record.environment.seconds['total']:.1f} s")
    assert "inline" not in said.out
    assert "2.0 s of that (2 cells) rest on a prior only" in said.out


def test_long_times_are_told_in_hours_by_device(
    results: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Inventory(4, tuple(Gpu(index, "Pretended", 1 << 34) for index in range(2)))
    monkeypatch.setattr(devices, "take_inventory", lambda *, gpus: found)
    monkeypatch.setattr(devices, "possible_inventory", lambda words: found)
    monkeypatch.setattr("bench.experiment.cost.PRIOR_SECONDS", {True: 900.0, False: 900.0})
    said = run(results, small, "--seeds", 3, "--devices", "auto", "--jobs-per-device", 2, "--dry-run")
    assert "cuda:0: 3 cells in 1 slot, 1:30:00 of work, done after about 1:30:00" in said.out
    assert "cuda:1: 3 cells in 1 slot, 1:30:00 of work, done after about 1:30:00" in said.out
    assert "in all: 3:00:00 of work, done after about 1:30:00" in said.out


def test_a_finished_grid_needs_no_torch_to_be_seen_as_done(results: Path, small: Path) -> None:
    assert run(results, small, "--jobs", 0).status == 0
    line = f"run --results {results} --plugin {FAULTS} --datasets {small} --methods plain,twin"
    done = python("-c", WITHOUT_TORCH, line, f"{line} --devices auto", f"{line} --dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 cells: 2 done; 0 run now") == 2
    assert "2 cells, 0 to run" in done.stdout
