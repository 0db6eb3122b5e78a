"""``data import`` and ``data doctor`` on files; what was assumed of them is printed by ``run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bench.data import load_dataset
from tests.grid import Said, say


def write(path: Path, **more: Any) -> Path:
    draws, arrays = np.random.default_rng(0), dict[str, Any](more)
    for part, rows in (("tr", 40), ("te", 20)):
        labels = np.arange(rows) % 2
        arrays |= {f"I_{part}": draws.normal(size=(rows, 6)), f"T_{part}": draws.normal(size=(rows, 4))}
        arrays[f"L_{part}"] = labels[:, None] + 1.0
    savemat(path, arrays)
    return path


def convert(path: Path, *words: object) -> Said:
    return say("data", "import", path, "--output", path.with_suffix(".npz"), *words)


def test_what_there_is_no_file_for_is_told(tmp_path: Path) -> None:
    say("data", "fetch", "emoji").check(0, "nothing to download")
    say("data", "doctor", tmp_path / "none.npz").check(2, "none.npz")


def test_a_foreign_file_is_imported_diagnosed_and_run_in_place(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.mat")
    convert(path).check(0, "counted from 1")
    assert load_dataset(tmp_path / "mine.npz").n_classes == 2
    convert(path).check(2, "is there already")
    say("data", "doctor", path).check(0, "I_tr")
    say(*("run", "--methods", "chance", "--datasets", path, "--results", tmp_path / "r", "--dry-run")).check(
        0, "note: mine: labels are counted from 1"
    )


def test_two_readings_are_refused_with_both_commands_and_an_option_decides(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.mat", img_tr=np.ones((40, 9)), img_te=np.ones((20, 9)))
    convert(path).check(2, "--image I_tr", "--image img_tr")
    convert(path, "--image", "img_tr", "--text", "T_tr").check(0)
    assert load_dataset(tmp_path / "mine.npz").train["image"].dimension == 9


@pytest.mark.parametrize(
    "words", [("--paired", "--unpaired"), ("--modality", "x"), ("--split", "a", "--split", "b")]
)
def test_options_that_say_nothing_clear_are_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    convert(write(tmp_path / "mine.mat"), *words).check(2)
