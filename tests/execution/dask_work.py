"""Work functions for tests on a Dask cluster; the worker's children import them by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from bench.execution.tasks import Misplaced


def kill_dask_worker(word: str) -> str:
    """Kill the Dask worker if told so, as a machine that fails would."""
    if word == "poison":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return word


def wait_for_file(path: str) -> str:
    """Say who works here, wait until there is the file, and return its content."""
    with Path(f"{path}.pids").open("a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    end = time.monotonic() + 60
    while not Path(path).exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    return Path(path).read_text(encoding="ascii")


def meet_on_gpus(payload: tuple[str, str, str]) -> tuple[str | None, bool]:
    """Return which GPU this process sees, and whether the other task runs at the same time."""
    folder, mine, other = payload
    (Path(folder) / mine).touch()
    end = time.monotonic() + 60
    while not (Path(folder) / other).exists() and time.monotonic() < end:
        time.sleep(0.01)
    return os.environ.get("CUDA_VISIBLE_DEVICES"), (Path(folder) / other).exists()


def misplaced(word: str) -> str:
    raise Misplaced(f"this machine lacks {word}")
