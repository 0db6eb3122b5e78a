"""However a run ends - Ctrl-C, a reader that goes away - what is recorded is sound."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.cli.run_session import STOPPING
from bench.records import Store
from tests.drill.running import Drill
from tests.execution.watching import gone
from tests.grid import FAULTS, Grid, bytes_of, write_bundle

ROOT = Path(__file__).resolve().parents[2]


def start(*words: object) -> subprocess.Popen[str]:
    """Start a command in a process group of its own, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "small.npz")


def test_ctrl_c_lets_running_cells_finish_and_the_next_run_goes_on(tmp_path: Path) -> None:
    drill = Drill(tmp_path)
    write_bundle(tmp_path / "small.npz")
    words = [
        *("--results", tmp_path / "r", "--datasets", tmp_path / "small.npz"),
        *("--methods", "waits", "--seeds", 4, "--jobs", 2),
    ]
    process = drill.start(*words)
    drill.wait_for(2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() == f"{STOPPING}\n"
    drill.gate.touch()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert out.splitlines()[2:] == [
        f"4 cells: 2 done, 2 missing; 2 run now in {out.rpartition(' run now in ')[2].partition(' s')[0]} s",
        "  2 missing: waits on small (image+text), seed 2 and 1 more: not run before the run was stopped",
        "next: the same command again; it runs only what is missing",
    ]
    assert drill.starts().total() == 2
    before = bytes_of(tmp_path / "r")
    status, out, err = drill.run(*words)
    assert (status, err) == (0, "")
    assert "4 cells: 4 done; 2 run now" in out
    assert set(drill.starts().values()) == {1}
    assert before.items() <= bytes_of(tmp_path / "r").items()


def test_ctrl_c_twice_stops_at_once_leaves_no_process_and_the_next_run_goes_on(tmp_path: Path) -> None:
    drill = Drill(tmp_path)
    write_bundle(tmp_path / "small.npz")
    words = [
        *("--results", tmp_path / "r", "--datasets", tmp_path / "small.npz"),
        *("--methods", "steady,waits", "--jobs", 2),
    ]
    process = drill.start(*words)
    assert process.stdout is not None
    assert process.stderr is not None
    assert "done" in process.stdout.readline()
    drill.wait_for(2)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr.readline() == f"{STOPPING}\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=15)  # `waits` would wait for a minute
    assert (process.returncode, err) == (130, "")
    assert "2 cells: 1 done, 1 missing; 1 run now" in out
    assert out.endswith("next: the same command again; it runs only what is missing\n")
    assert all(gone(worker.pid) for worker in workers)
    assert Store(tmp_path / "r").problems == []
    assert [record.identity.method for record in Store(tmp_path / "r").records()] == ["steady"]

    drill.gate.touch()
    status, out, err = drill.run(*words)
    assert (status, err) == (0, "")
    assert "2 cells: 2 done; 1 run now" in out
    assert drill.starts() == {"steady small 0": 1, "waits small 0": 2}


@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_a_terminated_run_leaves_no_warning_no_process_and_no_mark(tmp_path: Path, send: Any) -> None:
    drill = Drill(tmp_path)
    write_bundle(tmp_path / "small.npz")
    words = [
        *("--results", tmp_path / "r", "--datasets", tmp_path / "small.npz"),
        *("--methods", "steady,waits", "--jobs", 2),
    ]
    process = drill.start(*words)
    assert process.stdout is not None
    assert "done" in process.stdout.readline()
    drill.wait_for(2)
    workers = psutil.Process(process.pid).children(recursive=True)
    send(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=15)
    assert (process.returncode, err) == (130, "interrupted; run the same command again to go on\n")
    assert all(gone(worker.pid) for worker in workers)
    assert [record.identity.method for record in Store(tmp_path / "r").records()] == ["steady"]
    left = {path.name for path in (tmp_path / "r").rglob("*") if path.is_file()}
    assert not {name for name in left if name.endswith((".tmp", ".lock"))}
    assert not (tmp_path / "r" / "running").exists()

    drill.gate.touch()
    status, out, err = drill.run(*words)
    assert (status, err) == (0, "")
    assert "2 cells: 2 done; 1 run now" in out


@pytest.mark.parametrize("words", [("results",), ("results", "--format", "csv"), ("status",)])
def test_a_reader_that_goes_away_is_no_error(grid: Grid, words: tuple[str, ...]) -> None:
    process = start(*words, "--results", grid.results)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # as `| head` does once it has seen enough
    assert process.stderr.read() == ""
    assert process.wait(timeout=30) == 0


def test_a_reader_that_has_seen_enough_stops_a_run_like_ctrl_c(tmp_path: Path, small: Path) -> None:
    words = ("run", "--results", tmp_path / "r", "--plugin", FAULTS, "--datasets", small, "--jobs", 1)
    process = start(*words, "--methods", "plain,sleeps")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == "interrupted; run the same command again to go on\n"
    assert process.wait(timeout=30) == 130
    assert Store(tmp_path / "r").problems == []
