"""Runs that end early leave sound records; `status` shows runs in progress."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.cli.display import STOPPING
from bench.execution.progress import RunProgress
from bench.execution.tasks import Slot, Started, Task
from bench.records import Store
from bench.records.heartbeat import heartbeat
from tests.drill.running import Drill, kill_group
from tests.execution.watching import gone
from tests.grid import FAULTS, Grid, bytes_of, run_command, write_bundle
from tests.wording import mentions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def drill(tmp_path: Path) -> Drill:
    write_bundle(tmp_path / "small.npz")
    return Drill(tmp_path)


def words(drill: Drill, methods: str, *more: object) -> list[object]:
    folder = drill.folder
    usual = ["--results", folder / "r", "--datasets", folder / "small.npz", "--jobs", 2]
    return [*usual, "--methods", methods, *more]


def recorded(drill: Drill) -> list[str]:
    store = Store(drill.folder / "r")
    methods = [record.identity.method for record in store.records()]
    assert store.problems == []
    return methods


def test_ctrl_c_lets_running_cells_finish_and_the_next_run_goes_on(drill: Drill) -> None:
    line = words(drill, "waits", "--seeds", 4)
    process = drill.start(*line)
    drill.wait_for(2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() == f"{STOPPING}\n"
    drill.gate.touch()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    total, missing, following = out.splitlines()[2:]
    assert mentions(total, "4 cells ... 2 done ... 2 missing ... 2 run")
    assert mentions(missing, "seed 2 ... 1 more")
    assert mentions(following, "next: ... same command")
    assert drill.starts().total() == 2
    before = bytes_of(drill.folder / "r")
    drill.run_here(*line).check(0, "4 cells ... 4 done ... 2 run", silent=True)
    assert set(drill.starts().values()) == {1}
    assert before.items() <= bytes_of(drill.folder / "r").items()


def begun(drill: Drill) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Return a run that has finished one cell and is at another, and its workers."""
    process = drill.start(*words(drill, "steady,waits"))
    assert process.stdout is not None
    assert "done" in process.stdout.readline()
    drill.wait_for(2)
    return process, psutil.Process(process.pid).children(recursive=True)


def check_interrupted(status: int, err: str) -> None:
    """Check that a command ended as by Ctrl-C, with a line that names the next command and nothing else."""
    assert status == 130
    assert mentions(err, "same command")
    assert err.count("\n") == 1


def check_left_whole(drill: Drill, workers: list[psutil.Process]) -> None:
    """Check that nothing of a run is left but its finished cell, and that the next run goes on."""
    assert workers
    assert all(gone(worker.pid) for worker in workers)
    assert recorded(drill) == ["steady"]
    left = {path.name for path in (drill.folder / "r").rglob("*") if path.is_file()}
    assert not {name for name in left if name.endswith((".tmp", ".lock"))}
    assert not (drill.folder / "r" / "running").exists()
    drill.gate.touch()
    status, out, err = drill.run(*words(drill, "steady,waits"))
    assert (status, err) == (0, "")
    assert mentions(out, "2 cells ... 2 done ... 1 run")
    assert drill.starts() == {"steady small 0": 1, "waits small 0": 2}


@pytest.mark.drill
def test_ctrl_c_twice_stops_at_once_leaves_no_process_and_the_next_run_goes_on(drill: Drill) -> None:
    process, workers = begun(drill)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() == f"{STOPPING}\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=15)  # `waits` would wait for a minute
    assert (process.returncode, err) == (130, "")
    assert mentions(out, "2 cells ... 1 done ... 1 missing ... 1 run")
    check_left_whole(drill, workers)


@pytest.mark.drill
@pytest.mark.parametrize(
    ("send", "number"),
    [(os.kill, signal.SIGTERM), (os.killpg, signal.SIGTERM), (os.kill, signal.SIGHUP)],
)
def test_a_terminated_run_leaves_no_warning_no_process_and_no_mark(
    drill: Drill, send: Any, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = drill.folder / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    process, workers = begun(drill)
    send(process.pid, number)
    _, err = process.communicate(timeout=15)
    check_interrupted(process.returncode, err)
    assert [*temporary.iterdir()] == []
    check_left_whole(drill, workers)


def closed_early(*line: object) -> tuple[int, str]:
    """Return how a command ends whose output is closed, as by `| head`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *map(str, line)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    return process.wait(timeout=30), err


@pytest.mark.parametrize(
    "line", [("results", "--format", "csv"), pytest.param(("status",), marks=pytest.mark.slow)]
)
def test_a_reader_that_goes_away_is_no_error(grid: Grid, line: tuple[str, ...]) -> None:
    assert closed_early(*line, "--results", grid.results) == (0, "")


@pytest.mark.drill
def test_a_reader_that_goes_away_stops_a_run_like_ctrl_c(drill: Drill) -> None:
    line = ["--results", drill.folder / "r", "--datasets", drill.folder / "small.npz", "--jobs", 1]
    status, err = closed_early("run", "--plugin", FAULTS, "--methods", "plain,sleeps", *line)
    check_interrupted(status, err)
    recorded(drill)


@pytest.mark.parametrize(
    ("shell", "status", "noun"),
    [
        ("{bench} status --results {results} > /dev/full", 1, "output"),
        pytest.param("{bench} --help > /dev/full", 1, "output", marks=pytest.mark.slow),
        ("{bench} status --results {results} >&-", 0, ""),
        pytest.param("{bench} status --results {results} 2>&-", 0, "", marks=pytest.mark.slow),
        pytest.param("{bench} status --nonsense >&- 2>&-", 2, "", marks=pytest.mark.slow),
        ("mkdir gone; cd gone; rmdir ../gone; {bench} run --methods sm --datasets emoji", 2, "folder"),
        ("mkdir $'caf\\xe9'; cd $'caf\\xe9'; {bench} run --methods sm --datasets emoji", 2, "UTF-8"),
    ],
    ids=["full", "full help", "closed", "no errors", "both closed", "removed", "not UTF-8"],
)
def test_odd_outputs_and_current_folders_end_in_a_sentence(
    grid: Grid, tmp_path: Path, shell: str, status: int, noun: str
) -> None:
    line = shell.format(bench=f"{sys.executable} -m bench", results=grid.results)
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (status, int(bool(noun)))
    assert noun in done.stderr


def test_status_shows_what_runs(tmp_path: Path) -> None:
    progress = RunProgress(2, 0)
    progress(Started(Task("0" * 20, "waits on small (image+text), seed 0", None), Slot("cpu/0", "cpu", 1)))
    with heartbeat(tmp_path, progress.state):
        output = run_command("status", "--results", tmp_path).check(0, "): 0/2 cells, 0 failed, 0:00:")
        assert mentions(output.out, "0 records")
        assert mentions(output.out, "waits on small (image+text), seed 0 ... cpu/0 ... 0:00:")
        (run,) = json.loads(run_command("status", "--results", tmp_path, "--format", "json").out)["running"]
        assert [cell["title"] for cell in run["running"]] == ["waits on small (image+text), seed 0"]
    assert run_command("status", "--results", tmp_path).status == 2


@pytest.mark.drill
def test_status_forgets_a_run_that_was_killed(drill: Drill, tmp_path: Path) -> None:
    results, line = tmp_path / "r", words(drill, "waits", "--seeds", 2)
    process = drill.start(*line, "--jobs", 1)
    drill.wait_for(1)
    end = time.monotonic() + 60
    while (
        "seed" not in (output := run_command("status", "--results", results)).out and time.monotonic() < end
    ):
        time.sleep(0.1)
    (run,) = json.loads(run_command("status", "--results", results, "--format", "json").out)["running"]
    assert run["run"].rpartition("-")[0].endswith(f"-{process.pid}")

    kill_group(process)
    output = run_command("status", "--results", results).check(2, f"no records in {results}")
    assert output.out == ""
    assert list((results / "running").iterdir())
    drill.gate.touch()
    assert drill.run(*line)[0] == 0
    assert not (results / "running").exists()
    assert "running now" not in run_command("status", "--results", results).out
