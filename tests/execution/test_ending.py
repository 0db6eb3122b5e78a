"""However the parent ends, its workers end with it, and quickly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.execution.watching import gone

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import signal, sys
from contextlib import closing
from bench.execution.devices import local_slots
from bench.execution.local import run_local
from bench.execution.tasks import Task
from tests.execution.work import begin_and_nap

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs behind
    tasks = [Task(str(number), "", sys.argv[1]) for number in range(4)]
    try:
        with closing(run_local(tasks, begin_and_nap, local_slots(2, 1))) as outcomes:
            for outcome in outcomes:
                print("unexpected", outcome.lost)
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program with two workers, each in the middle of a long task; a group of its own, as in a terminal."""
    (tmp_path / "program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "pids")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while len(workers(tmp_path)) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    yield process
    process.kill()
    process.communicate()


def workers(folder: Path) -> list[int]:
    place = folder / "pids"
    return [int(line) for line in place.read_text().split()] if place.exists() else []


def test_ctrl_c_stops_the_workers_quickly_and_is_raised(
    parent: subprocess.Popen[str], tmp_path: Path
) -> None:
    pids = workers(tmp_path)
    assert len(pids) == 2
    begin = time.monotonic()
    os.killpg(parent.pid, signal.SIGINT)
    printed, errors = parent.communicate(timeout=180)
    assert time.monotonic() - begin < 30.0  # they would sleep for a minute
    assert (parent.returncode, printed, errors) == (130, "interrupted\n", "")
    assert all(gone(pid) for pid in pids)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["pids", "program.py"]


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.drill)])
def test_no_worker_outlives_a_killed_parent(
    parent: subprocess.Popen[str], tmp_path: Path, number: int
) -> None:
    pids = workers(tmp_path)
    assert len(pids) == 2
    parent.send_signal(number)
    parent.wait(timeout=10)
    assert all(gone(pid) for pid in pids)
