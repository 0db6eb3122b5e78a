"""``data import`` and ``data doctor`` on files; what was assumed of them is printed by ``run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bench.cli import invoke
from bench.data import load_dataset


@pytest.fixture
def run_bench(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs a command and returns its status and what it printed."""

    def run(*words: object) -> tuple[int, str]:
        status = invoke([str(word) for word in words])
        shown = capsys.readouterr()
        return status, " ".join((shown.out + shown.err).split())

    return run


def write(path: Path, **more: Any) -> Path:
    draws, arrays = np.random.default_rng(0), dict[str, Any](more)
    for part, rows in (("tr", 40), ("te", 20)):
        labels = np.arange(rows) % 2
        arrays |= {f"I_{part}": draws.normal(size=(rows, 6)), f"T_{part}": draws.normal(size=(rows, 4))}
        arrays[f"L_{part}"] = labels[:, None] + 1.0
    savemat(path, arrays)
    return path


def test_fetching_a_dataset_that_comes_with_the_project_says_so(run_bench: Any) -> None:
    code, out = run_bench("data", "fetch", "emoji")
    assert code == 0
    assert "nothing to download" in out


def test_the_doctor_of_a_path_without_a_file_ends_with_2(tmp_path: Path, run_bench: Any) -> None:
    code, out = run_bench("data", "doctor", tmp_path / "none.npz")
    assert code == 2
    assert "none.npz" in out


def test_a_foreign_file_is_imported_diagnosed_and_run_in_place(tmp_path: Path, run_bench: Any) -> None:
    path = write(tmp_path / "mine.mat")
    code, out = run_bench("data", "import", path, "--output", tmp_path / "mine.npz")
    assert code == 0, out
    assert "counted from 1" in out
    assert load_dataset(tmp_path / "mine.npz").n_classes == 2
    assert run_bench("data", "import", path, "--output", tmp_path / "mine.npz")[0] == 2
    code, out = run_bench("data", "doctor", path)
    assert code == 0
    assert "I_tr" in out
    code, out = run_bench(
        "run", "--methods", "chance", "--datasets", path, "--results", tmp_path / "r", "--dry-run"
    )
    assert code == 0, out
    assert "note: mine: labels are counted from 1" in out


def test_two_readings_are_refused_with_both_commands_and_an_option_decides(
    tmp_path: Path, run_bench: Any
) -> None:
    more = {"img_tr": np.ones((40, 9)), "img_te": np.ones((20, 9))}
    path = write(tmp_path / "mine.mat", **more)
    code, out = run_bench("data", "import", path, "--output", tmp_path / "mine.npz")
    assert code == 2
    assert "--image I_tr" in out
    assert "--image img_tr" in out
    words = ("--image", "img_tr", "--text", "T_tr")
    code, out = run_bench("data", "import", path, "--output", tmp_path / "mine.npz", *words)
    assert code == 0, out
    assert load_dataset(tmp_path / "mine.npz").train["image"].dimension == 9


@pytest.mark.parametrize(
    "words", [("--paired", "--unpaired"), ("--modality", "x"), ("--split", "a", "--split", "b")]
)
def test_options_that_say_nothing_clear_are_refused(
    tmp_path: Path, run_bench: Any, words: tuple[str, ...]
) -> None:
    path = write(tmp_path / "mine.mat")
    assert run_bench("data", "import", path, "--output", tmp_path / "mine.npz", *words)[0] == 2
