"""The script runs on a CPU at tiny sizes, so that only the GPU is new to it where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.gpu.__main__ import PARTS, main, part
from tests.gpu.parts import TINY, Found, Run, Sizes


def run_parts(tmp_path: Path, *names: str) -> str:
    """Run parts on the CPU, of which none may fail, and return the tables."""
    out = tmp_path / "tables.md"
    assert main(["--device", "cpu", "--tiny", "--only", ",".join(names), "--out", str(out)]) == 0
    return out.read_text(encoding="utf-8")


def test_speed_is_measured_and_what_needs_a_gpu_is_named(tmp_path: Path) -> None:
    text = run_parts(tmp_path, "tests", "fault", "yardstick", "evaluator", "epochs")
    for title in (
        "Tests",
        "A device fault",
        "A step of DRCL",
        "Evaluator",
        "Seconds per epoch, paper profile",
    ):
        assert f"### {title}" in text
    assert text.count("| skipped") == 2
    for name in TINY.methods or ():
        assert f"| {name} " in text


@pytest.mark.slow
def test_cells_and_stored_numbers_are_checked(tmp_path: Path) -> None:
    text = run_parts(tmp_path, "golden", "reference", "three", "full")
    assert text.count("| passed") >= 6
    assert "| failed" not in text


def test_a_part_that_breaks_or_has_no_time_costs_itself_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(run: Run) -> Found:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setitem(PARTS, "full", (breaks, 10.0))
    found = part("full", Run("cpu", TINY, tmp_path, 0.0))
    assert found.failed
    assert "no kernel image" in found.markdown()
    late = part("full", Run("cpu", Sizes(), tmp_path, 0.0))
    assert not late.failed
    assert "Left out" in late.markdown()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_parts_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"- {name}: " in printed for name in PARTS)
    assert "no GPU" in printed


def test_a_check_that_fails_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(run: Run) -> Found:
        found = Found("Cells", ("check", "outcome", "detail"))
        found.check("all are done", False, "2 of 3")
        return found

    monkeypatch.setitem(PARTS, "three", (fails, 1.0))
    assert main(["--device", "cpu", "--tiny", "--only", "three"]) == 1
