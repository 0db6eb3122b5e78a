"""However a run ends - Ctrl-C, a reader that goes away, another run beside it - what is recorded is sound."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.records import Store
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


def test_ctrl_c_keeps_what_is_done_leaves_no_process_and_the_next_run_goes_on(
    tmp_path: Path, small: Path
) -> None:
    results, go = tmp_path / "results", tmp_path / "go"
    words = [
        *("run", "--results", results, "--plugin", FAULTS, "--datasets", small, "--jobs", 2),
        *("--methods", "plain,sleeps", "--set", f"sleeps.word={go}"),
    ]
    process = start(*words)
    assert process.stdout is not None
    assert "done" in process.stdout.readline()
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert time.monotonic() - begin < 5
    assert (process.returncode, out) == (130, "")
    assert err == "interrupted; run the same command again to go on\n"
    assert all(gone(worker.pid) for worker in workers)
    assert [record.identity.method for record in Store(results).records()] == ["plain"]
    before = bytes_of(results)

    go.touch()
    again = start(*words)
    out, err = again.communicate(timeout=30)
    assert (again.returncode, err) == (0, "")
    assert "2 cells: 2 done; 1 run now" in out
    assert before.items() <= bytes_of(results).items()


def test_two_runs_at_once_on_one_folder_do_no_harm(tmp_path: Path, small: Path) -> None:
    results = tmp_path / "results"
    words = [
        *("run", "--results", results, "--plugin", FAULTS, "--datasets", small, "--jobs", 1),
        *("--methods", "plain,twin,mcca,raises", "--seeds", 3),
    ]
    both = [start(*words), start(*words)]
    ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [1, 1]
    for out, err in ended:
        assert err == ""
        assert "12 cells: 9 done, 3 failed" in out
    store = Store(results)
    assert len(list(store.records())) == 12
    assert store.problems == []
    assert {entry.name[0] for entry in store.runs.iterdir()} <= set("0123456789abcdef")


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
