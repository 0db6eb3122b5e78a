"""``ablate`` and ``sweep``: the right cells, each once, beside those of ``run``."""

from __future__ import annotations

from pathlib import Path

from bench.records import Store
from tests.grid import FAULTS, Said, say


def study(tmp_path: Path, *words: object) -> Said:
    return say(*words, "--results", tmp_path / "r", "--plugin", FAULTS, "--jobs", 0)


def settings_of(tmp_path: Path) -> list[tuple[str, float, str]]:
    """Return variant, seconds and word of every record, sorted."""
    found = [record.identity for record in Store(tmp_path / "r").records()]
    return sorted((who.variant, who.settings["seconds"], who.settings["word"]) for who in found)


def test_ablate_runs_the_method_and_all_its_variants_and_shares_its_cells_with_run(
    tmp_path: Path, small: Path
) -> None:
    assert study(tmp_path, "run", "--methods", "plain", "--datasets", small).status == 0
    said = study(tmp_path, "ablate", "plain", "raises", "--datasets", small, "--seeds", 2)
    assert said.status == 1  # of `raises`, which has no variants and fails itself
    assert "note: without variants: raises" in said.out
    assert "6 cells: 4 done, 2 failed; 5 run now" in said.out
    found = [record.identity for record in Store(tmp_path / "r").records()]
    expected = [("plain", variant, seed) for variant in ("full", "loud") for seed in (0, 1)]
    expected += [("raises", "full", 0), ("raises", "full", 1)]
    assert sorted((one.method, one.variant, one.seed) for one in found) == expected
    again = study(tmp_path, "ablate", "plain", "raises", "--datasets", small, "--seeds", 2)
    assert "6 cells: 4 done, 2 failed; 0 run now" in again.out


def test_ablate_names_the_variants_that_are_for_modalities_of_other_data(tmp_path: Path) -> None:
    said = study(tmp_path, "ablate", "drcl", "--datasets", "emoji", "--dry-run")
    said.check(
        0,
        "emoji lacks the modality that these are for: drcl prior_audio, prior_3d, prior_video",
        "drcl/prior_text on emoji",
    )
    assert "drcl/prior_audio on emoji" not in said.out


def test_sweep_runs_every_combination_and_the_usual_settings(tmp_path: Path, small: Path) -> None:
    words = ("sweep", "plain", "--datasets", small, "--param", "seconds=1,2", "--param", "word=a,z")
    study(tmp_path, *words).check(0, "5 cells: 5 done; 5 run now", '[seconds=2.0, word="z"]')
    swept = [("full", seconds, word) for seconds in (1.0, 2.0) for word in "az"]
    assert settings_of(tmp_path) == [*swept, ("full", 30.0, "a")]
    assert "5 done; 0 run now" in study(tmp_path, *words).out


def test_other_settings_hold_for_all_cells_of_a_sweep_also_for_the_usual_one(
    tmp_path: Path, small: Path
) -> None:
    said = study(
        tmp_path, *("sweep", "plain", "--datasets", small, "--param", "seconds=1,1.0,30", "--set", "*.word=q")
    )
    assert said.status == 0
    assert settings_of(tmp_path) == [("full", 1.0, "q"), ("full", 30.0, "q")]


def test_values_of_a_sweep_may_be_lists_and_maps(tmp_path: Path, small: Path) -> None:
    values = "widths=[4],[5, 6]", "rates={image: 1e-3},null"
    words = [word for value in values for word in ("--param", value)]
    study(tmp_path, "sweep", "plain", "--datasets", small, *words, "--dry-run").check(
        0, "5 cells, 5 to run", '[rates={"image": 0.001}, widths=[5, 6]]'
    )
    assert not (tmp_path / "r").exists()
