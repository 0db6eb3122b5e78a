"""`status` from another terminal: it sees what runs, also before anything is recorded."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bench.execution.progress import RunProgress
from bench.execution.tasks import Slot, Started, Task
from bench.records.heartbeat import heartbeat
from tests.drill.running import Drill, kill_group
from tests.grid import say, write_bundle


def test_status_shows_what_runs(tmp_path: Path) -> None:
    progress = RunProgress(2, 0)
    progress(Started(Task("0" * 20, "waits on small (image+text), seed 0", None), Slot("cpu/0", "cpu", 1)))
    with heartbeat(tmp_path, progress.state):
        said = say("status", "--results", tmp_path).check(0, "): 0/2 cells, 0 failed, 0:00:")
        assert said.out.startswith("0 records: none\nrunning now (")
        assert "\n  waits on small (image+text), seed 0, cpu/0, 0:00:" in said.out
        (run,) = json.loads(say("status", "--results", tmp_path, "--format", "json").out)["running"]
        assert [cell["title"] for cell in run["running"]] == ["waits on small (image+text), seed 0"]
    assert say("status", "--results", tmp_path).status == 2


@pytest.mark.drill
def test_status_forgets_a_run_that_was_killed(tmp_path: Path) -> None:
    drill, results = Drill(tmp_path), tmp_path / "r"
    write_bundle(tmp_path / "small.npz")
    words = ("--results", results, "--datasets", tmp_path / "small.npz", "--methods", "waits", "--seeds", 2)
    process = drill.start(*words, "--jobs", 1)
    drill.wait_for(1)
    end = time.monotonic() + 60
    while "seed" not in (said := say("status", "--results", results)).out and time.monotonic() < end:
        time.sleep(0.1)
    (run,) = json.loads(say("status", "--results", results, "--format", "json").out)["running"]
    assert run["run"].rpartition("-")[0].endswith(f"-{process.pid}")

    kill_group(process)
    said = say("status", "--results", results).check(2, f"no records in {results}")
    assert said.out == ""
    assert list((results / "running").iterdir())
    drill.gate.touch()
    assert drill.run(*words)[0] == 0
    assert not (results / "running").exists()
    assert "running now" not in say("status", "--results", results).out
