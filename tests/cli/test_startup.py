"""Commands that only print do not import torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli
from tests.grid import FAULTS, Grid, run_command
from tests.wording import mentions

ROOT = Path(__file__).resolve().parents[2]

WITHOUT_TORCH = """
import sys

class NoTorch:
    # A None in sys.modules would do, but SciPy takes it for a torch that is there.
    def find_spec(self, name, *_):
        if name.split(".")[0] == "torch":
            raise ImportError(f"{name} is imported")

sys.meta_path.insert(0, NoTorch())
from bench.cli import invoke
for line in sys.argv[1:]:
    status = invoke(line.split())
    assert status == 0, (line, status)
"""
WITHOUT_OTHERS = f"""{WITHOUT_TORCH.rstrip()}
    assert line.startswith("results") or "pandas" not in sys.modules, line
assert not {{"sklearn", "matplotlib"}} & set(sys.modules)
"""


def python(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def without_torch(program: str, *lines: object) -> str:
    """Run command lines where torch cannot be imported; return what they print."""
    done = python("-c", program, *lines)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_and_commands_that_read_records_work_without_torch_and_pandas(
    grid: Grid, tmp_path: Path
) -> None:
    run_command("list")  # descriptions are made by another process where they are not remembered
    run = f"run --results {tmp_path}/r --plugin {FAULTS} --datasets {grid.small} --methods plain,twin"
    run_command(*run.split()).check(0)
    lines = [f"{name} --help" for name in cli._COMMANDS]
    lines += ["--help", "-h", "--version", "list", "list methods --format json"]
    lines += [f"{words} --results {grid.results}" for words in ("status", "why mcca small --seed 0")]
    lines += [f"explain --embeddings {ROOT}/tests/golden/drcl_eval.npz"]
    lines += [f"report --only tables --only statistics --results {grid.results} --reports {tmp_path}"]
    lines += [f"run --datasets {grid.small} --methods all --dry-run --results {tmp_path}"]
    lines += [run, f"{run} --devices auto", f"{run} --dry-run", f"list methods --plugin {FAULTS}"]
    lines += [f"{words} --results {grid.results}" for words in ("results", "results --format csv")]
    printed = without_torch(WITHOUT_OTHERS, *lines)
    assert [name for name in cli._COMMANDS if f"Usage: python -m bench {name}" not in printed] == []
    assert sum(mentions(line, "2 cells ... 2 done ... 0 run") for line in printed.splitlines()) == 2
    assert mentions(printed, "2 cells ... 0 to run")
    assert (tmp_path / "statistics.md").is_file()


@pytest.mark.slow
def test_the_page_with_its_figures_works_without_torch(grid: Grid, tmp_path: Path) -> None:
    line = f"report --only page --results {grid.results} --reports {tmp_path}"
    without_torch(WITHOUT_TORCH, line)
    assert "figure-space_" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_importing_the_harness_and_its_help_loads_no_package_of_it_and_no_library_but_click() -> None:
    program = """
import sys, bench
heavy = {"numpy", "scipy", "torch", "pandas", "sklearn", "matplotlib", "msgspec", "h5py", "requests", "dask"}
assert not (heavy | {"click"}) & set(sys.modules)
from bench.cli import invoke
assert invoke(["--help"]) == 0
packages = {name for name in sys.modules if name.split(".")[0] == "bench"}
assert packages <= {"bench", "bench.cli"}, packages
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    printed = without_torch(program)
    assert "Exit status: 0" in printed
    assert "python -m bench run --methods all --datasets all\n  Then:" in printed


AS_ON_WINDOWS = """
import sys, click
sys.platform = "win32"
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
from bench.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("line", ["--help", "run --methods drcl --datasets emoji"])
def test_windows_is_refused_in_one_line_without_a_traceback(line: str) -> None:
    done = python("-c", AS_ON_WINDOWS, *line.split())
    assert (done.returncode, done.stdout) == (2, "")
    (sentence,) = done.stderr.splitlines()
    assert "WSL" in sentence.partition("Windows")[2]


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_other_systems_are_not_refused(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert cli.invoke(["--version"]) == 0
