"""On a system that is not supported, commands end with one sentence before anything else is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import invoke

ROOT = Path(__file__).resolve().parents[2]

AS_ON_WINDOWS = """
import sys, click
sys.platform = "win32"
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
from bench.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("line", ["--help", "run --methods drcl --datasets emoji", "no-such-command"])
def test_windows_is_refused_in_one_line_without_a_traceback(line: str) -> None:
    words = [sys.executable, "-c", AS_ON_WINDOWS, *line.split()]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    (said,) = done.stderr.splitlines()
    assert "Windows" in said
    assert "WSL" in said


@pytest.mark.parametrize(("platform", "status"), [("win32", 2), ("linux", 0), ("darwin", 0)])
def test_only_windows_is_refused(platform: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert invoke(["--version"]) == status
