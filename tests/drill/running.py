"""Starts real `run` commands for the drills, in sessions of their own, and looks at what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from bench.records import Store
from tests.execution.watching import gone

ROOT = Path(__file__).resolve().parents[2]
BREAKING = Path(__file__).with_name("breaking.py")


class Drill:
    """A folder with what the runs of one drill share.

    Attributes:
        folder: for bundles, logs, gates.
        gate: the file that `waits` waits for.
        full: the cell, as method and seed, for whose record the disk has no room; empty for none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gate = folder / "gate"
        self.full = ""
        self._log = folder / "log"

    def start(self, *words: object, command: str = "run") -> subprocess.Popen[str]:
        """Start a command in a process group of its own, as a terminal does."""
        variables = {"DRILL_LOG": str(self._log), "DRILL_GATE": str(self.gate), "DRILL_FULL": self.full}
        variables["PYTHONPATH"] = f"{BREAKING.parent / 'startup'}{os.pathsep}{ROOT}"
        return subprocess.Popen(
            [sys.executable, "-m", "bench", command, "--plugin", str(BREAKING), *map(str, words)],
            cwd=ROOT,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_hear_ctrl_c,
        )

    def run(self, *words: object, seconds: float = 120) -> tuple[int, str, str]:
        """Run to the end; returns exit status and what was printed."""
        process = self.start(*words)
        out, err = process.communicate(timeout=seconds)
        return process.returncode, out, err

    def starts(self) -> Counter[str]:
        """Return how often each cell was started so far."""
        return Counter(self._log.read_text().splitlines()) if self._log.exists() else Counter()

    def wait_for(self, count: int, seconds: float = 180) -> None:
        """Wait until so many cells have started in all."""
        end = time.monotonic() + seconds
        while self.starts().total() < count:
            assert time.monotonic() < end, f"only {self.starts().total()} of {count} cells have started"
            time.sleep(0.01)


def _hear_ctrl_c() -> None:
    """Undo what a shell does to commands that it runs in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a run with all that is in its process group, at once, and wait until its workers are gone, too."""
    family = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert all(gone(child.pid, 20.0) for child in family), "workers outlive their run"


def fixed_bytes(results: Path) -> dict[str, Any]:
    """Return what must not depend on environment, by digest, for records that are all sound."""
    store = Store(results)
    found: dict[str, Any] = {}
    for record in store.records():
        folder = store.runs / record.digest
        content = json.loads((folder / "record.json").read_bytes())
        del content["circumstances"]
        names = ["per_query.npz", "trace.csv", "log.txt", *(["view.npz"] if record.status == "done" else [])]
        files = {name: (folder / name).read_bytes() for name in names}
        found[record.digest] = (json.dumps(content, sort_keys=True), files)
    assert store.problems == []
    return found
