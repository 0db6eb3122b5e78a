"""Runs of the drills, in separate sessions or in this process, and the records that they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.records import Store
from tests.execution.watching import gone, wait_until
from tests.grid import Output, run_command

ROOT = Path(__file__).resolve().parents[2]
BREAKING = Path(__file__).with_name("breaking.py")


class Drill:
    """A folder that the runs of one drill share.

    Attributes:
        folder: of bundles, logs and gates.
        gate: the file that the method `waits` waits for.
        full: the cell, as method and seed, for whose record the disk has no room; empty for none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gate = folder / "gate"
        self.full = ""
        self._log = folder / "log"

    def start(self, *words: object, command: str = "run") -> subprocess.Popen[str]:
        """Start a command in a separate process group, as a terminal does."""
        path = f"{BREAKING.parent / 'startup'}{os.pathsep}{ROOT}"
        return subprocess.Popen(
            [sys.executable, "-m", "bench", command, "--plugin", str(BREAKING), *map(str, words)],
            cwd=ROOT,
            env={**os.environ, **self._variables(), "DRILL_FULL": self.full, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_hear_ctrl_c,
        )

    def run(self, *words: object, seconds: float = 120) -> tuple[int, str, str]:
        """Run to the end; returns exit status, output and errors."""
        process = self.start(*words)
        out, err = process.communicate(timeout=seconds)
        return process.returncode, out, err

    def run_here(self, *words: object, command: str = "run") -> Output:
        """Run to the end in this process, without a worker, which takes less time."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._variables().items():
                patch.setenv(name, value)
            return run_command(command, "--plugin", BREAKING, *words, "--jobs", 0)

    def open_after(self, count: int) -> None:
        """Open the gate as soon as so many cells have started in all, and return at once."""

        def wait_and_open() -> None:
            self.wait_for(count)
            self.gate.touch()

        threading.Thread(target=wait_and_open, daemon=True).start()

    def starts(self) -> Counter[str]:
        """Return how often each cell was started so far."""
        return Counter(self._log.read_text().splitlines()) if self._log.exists() else Counter()

    def wait_for(self, count: int) -> None:
        """Wait until so many cells have started in all."""
        assert wait_until(lambda: self.starts().total() >= count, 180), self.starts()

    def _variables(self) -> dict[str, str]:
        return {"DRILL_LOG": str(self._log), "DRILL_GATE": str(self.gate)}


def _hear_ctrl_c() -> None:
    """React to Ctrl-C, which a shell lets background commands ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill the process group of a run at once, and wait until its workers have ended, too."""
    family = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert all(gone(child.pid, 20.0) for child in family), "workers outlive their run"


def fixed_bytes(results: Path) -> dict[str, Any]:
    """Return the content of records that does not depend on the environment, by digest; all are sound."""
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
