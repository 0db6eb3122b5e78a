"""Observes processes from outside: whether they have ended, and which have begun a task."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Return whether a condition becomes true within that time."""
    end = time.monotonic() + seconds
    while not (done := true()) and time.monotonic() < end:
        time.sleep(0.01)
    return done


def gone(pid: int, seconds: float = 30.0) -> bool:
    """Return whether the process ends within that time; it may still be a zombie."""

    def ended() -> bool:
        try:
            return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    return wait_until(ended, seconds)


def begun(path: Path, count: int) -> list[int]:
    """Wait until so many processes have written their ids for `work.wait_for_file`; returns the ids."""
    noted = path.with_name(f"{path.name}.pids")
    assert wait_until(lambda: noted.exists() and noted.read_text().count("\n") >= count)
    return [int(line) for line in noted.read_text().split()]
