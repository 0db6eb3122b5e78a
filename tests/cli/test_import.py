"""``data import`` and ``data doctor`` on files; ``run`` prints what was assumed of them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bench.cli import invoke
from bench.data import load_dataset
from tests.grid import Output, run_command, write_bundle


def write(path: Path, **more: Any) -> Path:
    draws, arrays = np.random.default_rng(0), dict[str, Any](more)
    for part, rows in (("tr", 40), ("te", 20)):
        labels = np.arange(rows) % 2
        arrays |= {f"I_{part}": draws.normal(size=(rows, 6)), f"T_{part}": draws.normal(size=(rows, 4))}
        arrays[f"L_{part}"] = labels[:, None] + 1.0
    savemat(path, arrays)
    return path


def convert(path: Path, *words: object) -> Output:
    return run_command("data", "import", path, "--output", path.with_suffix(".npz"), *words)


def test_a_file_is_imported_diagnosed_and_run(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.mat")
    convert(path).check(0, "counted from 1")
    assert load_dataset(tmp_path / "mine.npz").n_classes == 2
    convert(path).check(2, "already exists")
    run_command("data", "doctor", path).check(0, "I_tr")
    run_command("data", "doctor", tmp_path / "none.npz").check(2, "none.npz")
    run_command("data", "fetch", "emoji").check(0, "nothing to download")
    run = ("run", "--methods", "chance", "--datasets", path, "--results", tmp_path / "r", "--dry-run")
    run_command(*run).check(0, "note: mine ... labels ... 1")


def test_ambiguous_keys_are_refused_with_both_options_and_an_option_decides(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.mat", img_tr=np.ones((40, 9)), img_te=np.ones((20, 9)))
    convert(path).check(2, "--image I_tr", "--image img_tr")
    convert(path, "--image", "img_tr", "--text", "T_tr").check(0)
    assert load_dataset(tmp_path / "mine.npz").train["image"].dimension == 9
    for words in (("--paired", "--unpaired"), ("--modality", "x"), ("--split", "a", "--split", "b")):
        convert(path, *words).check(2)


def test_a_download_shows_its_progress_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*_: object, progress: Callable[[int, int | None], None]) -> list[Path]:
        for done in (5_000_000, 10_000_000):
            progress(done, 10_000_000)
        return [Path("wiki.mat")]

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("bench.data.fetch", fetch)
    monkeypatch.setenv("TERM", "xterm")
    output = run_command("data", "fetch", "wikipedia")
    output.check(0, "wikipedia: wiki.mat")
    assert output.err == ""
    with contextlib.redirect_stderr(terminal := Terminal()):
        assert invoke(["data", "fetch", "wikipedia"]) == 0
    assert "10.0/10.0 MB" in terminal.getvalue()


def test_a_modality_whose_name_no_record_could_hold_is_not_imported(tmp_path: Path) -> None:
    bundle, output = write_bundle(tmp_path / "small.npz"), tmp_path / "mine.npz"
    named = ("--modality", f"{'m' * 201}=train_image", "--text", "train_text")
    run_command("data", "import", bundle, "--output", output, *named).check(2, "longer than 200")
    assert not output.exists()
