"""`status` from another terminal: it sees what runs, also before anything is recorded."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.drill.running import Drill, kill_group
from tests.grid import say, write_bundle


def test_status_shows_what_runs_and_forgets_a_run_that_was_killed(tmp_path: Path) -> None:
    drill = Drill(tmp_path)
    write_bundle(tmp_path / "small.npz")
    results = tmp_path / "r"
    words = ("--results", results, "--datasets", tmp_path / "small.npz", "--methods", "waits", "--seeds", 2)
    process = drill.start(*words, "--jobs", 1)
    drill.wait_for(1)
    end = time.monotonic() + 60
    while "seed" not in (said := say("status", "--results", results)).out and time.monotonic() < end:
        time.sleep(0.1)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("0 records: none\nrunning now (")
    assert "): 0/2 cells, 0 failed, 0:00:" in said.out
    assert "\n  waits on small (image+text), seed 0, cpu/0, 0:00:" in said.out
    (run,) = json.loads(say("status", "--results", results, "--format", "json").out)["running"]
    assert run["run"].rpartition("-")[0].endswith(f"-{process.pid}")
    assert [cell["title"] for cell in run["running"]] == ["waits on small (image+text), seed 0"]

    kill_group(process)
    said = say("status", "--results", results)
    assert (said.status, said.out) == (2, "")
    assert f"no records in {results}" in said.err
    assert list((results / "running").iterdir())
    drill.gate.touch()
    assert drill.run(*words)[0] == 0
    assert not (results / "running").exists()
    assert "running now" not in say("status", "--results", results).out
