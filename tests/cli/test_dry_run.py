"""Dry runs state what would run and for how long; ``ablate`` and ``sweep`` plan their cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.execution import devices
from bench.execution.devices import Gpu, Inventory
from bench.records import Store
from tests.grid import FAULTS, Output, run_command
from tests.wording import mentions


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "r"


def run(results: Path, small: Path, *words: object, methods: str = "plain,twin") -> Output:
    usual = ("run", "--results", results, "--plugin", FAULTS, "--datasets", small)
    return run_command(*usual, "--methods", methods, *words)


def test_without_records_all_rests_on_the_prior(results: Path, small: Path) -> None:
    output = run(results, small, "--seeds", 2, "--jobs", 2, "--dry-run")
    lines = output.out.splitlines()
    assert output.status == 0
    assert not results.exists()
    assert all(mentions(line, "to run ... 1.0 s ... prior") for line in lines[:4])
    assert mentions(lines[4], "4 cells ... 4 to run")
    assert mentions(lines[5], "cpu ... 4 cells ... 2 slots ... 4.0 s ... 2.0 s")
    assert mentions(lines[7], "4.0 s ... 4 cells ... prior")


def test_what_is_recorded_is_marked_and_informs_the_rest(results: Path, small: Path) -> None:
    run(results, small, "--jobs", 0, methods="plain")
    (record,) = Store(results).records()
    output = run(results, small, "--seeds", 2, "--jobs", 0, "--dry-run")
    lines = output.out.splitlines()
    assert f"recorded {record.digest} {record.identity.title}" in lines
    (learned,) = [line for line in lines if "plain" in line and "seed 1" in line]
    assert learned.endswith(f": about {record.environment.seconds['total']:.1f} s")
    assert "inline" not in output.out
    assert mentions(output.out, "2.0 s ... 2 cells ... prior")


def test_long_times_are_printed_in_hours_by_device(
    results: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Inventory(4, tuple(Gpu(index, "Pretended", 1 << 34) for index in range(2)))
    monkeypatch.setattr(devices, "take_inventory", lambda *, gpus: found)
    monkeypatch.setattr(devices, "possible_inventory", lambda words: found)
    monkeypatch.setattr("bench.experiment.cost.PRIOR_SECONDS", {True: 900.0, False: 900.0})
    output = run(results, small, "--seeds", 3, "--devices", "auto", "--jobs-per-device", 2, "--dry-run")
    lines = [f"cuda:{index} ... 3 cells ... 1 slot ... 1:30:00" for index in range(2)]
    output.check(0, *lines, "3:00:00 ... 1:30:00")


def study(results: Path, *words: object) -> Output:
    return run_command(*words, "--results", results, "--plugin", FAULTS, "--jobs", 0)


def settings_of(results: Path) -> list[tuple[str, float, str]]:
    """Return variant, seconds and word of every record, sorted."""
    identities = [record.identity for record in Store(results).records()]
    return sorted((one.variant, one.settings["seconds"], one.settings["word"]) for one in identities)


def test_ablate_runs_the_method_and_all_its_variants_and_shares_its_cells_with_run(
    results: Path, small: Path
) -> None:
    study(results, "run", "--methods", "plain", "--datasets", small).check(0)
    words = ("ablate", "plain", "raises", "--datasets", small, "--seeds", 2)
    # status 1 is of `raises`, which has no variants and fails itself
    study(results, *words).check(1, "note: ... raises", "6 cells ... 4 done ... 2 failed ... 5 run")
    cells = [record.identity for record in Store(results).records()]
    expected = [("plain", variant, seed) for variant in ("full", "loud") for seed in (0, 1)]
    expected += [("raises", "full", 0), ("raises", "full", 1)]
    assert sorted((cell.method, cell.variant, cell.seed) for cell in cells) == expected
    study(results, *words).check(1, "6 cells ... 4 done ... 2 failed ... 0 run")


def test_ablate_names_the_variants_that_are_for_modalities_of_other_data(results: Path) -> None:
    output = study(results, "ablate", "drcl", "--datasets", "emoji", "--dry-run")
    output.check(0, "drcl prior_audio, prior_3d, prior_video", "drcl/prior_text on emoji")
    assert "drcl/prior_audio on emoji" not in output.out


def test_sweep_runs_every_combination_and_the_usual_settings(results: Path, small: Path) -> None:
    words = ("sweep", "plain", "--datasets", small, "--param", "seconds=1,2", "--param", "word=a,z")
    study(results, *words).check(0, "5 cells ... 5 done ... 5 run", '[seconds=2.0, word="z"]')
    swept = [("full", seconds, word) for seconds in (1.0, 2.0) for word in "az"]
    assert settings_of(results) == [*swept, ("full", 30.0, "a")]
    assert "5 done; 0 run now" in study(results, *words).out


def test_other_settings_hold_for_all_cells_of_a_sweep_also_for_the_usual_one(
    results: Path, small: Path
) -> None:
    words = ("sweep", "plain", "--datasets", small, "--param", "seconds=1,1.0,30", "--set", "*.word=q")
    study(results, *words).check(0)
    assert settings_of(results) == [("full", 1.0, "q"), ("full", 30.0, "q")]


def test_values_of_a_sweep_may_be_lists_and_maps(results: Path, small: Path) -> None:
    values = "widths=[4],[5, 6]", "rates={image: 1e-3},null"
    words = [word for value in values for word in ("--param", value)]
    study(results, "sweep", "plain", "--datasets", small, *words, "--dry-run").check(
        0, "5 cells, 5 to run", '[rates={"image": 0.001}, widths=[5, 6]]'
    )
    assert not results.exists()
