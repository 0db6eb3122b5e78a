"""Work functions for tests on a Dask cluster; the worker's children import them by name."""

from __future__ import annotations

import os
import pickle
import signal
import time
from pathlib import Path
from typing import Any

import msgspec

from bench.execution.dask_worker import Answer, Assignment
from bench.execution.tasks import WrongMachine
from bench.execution.worker import Finished


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
    while not (Path(path).exists() and Path(path).read_text(encoding="ascii")):
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


def wrong_machine(word: str) -> str:
    raise WrongMachine(f"this machine lacks {word}")


class Opaque:
    """An object that only pickle could carry."""


def lie(assignment: Assignment) -> Any:
    """Answer in the way that the payload names; takes the place of `perform` in a Dask worker."""
    kind = pickle.loads(assignment.payload)
    if kind == "silent":
        time.sleep(20)
    sound = Finished(b"\xc0", None, 0.1)
    answers = {
        "nothing": None,
        "text": "done",
        "object": Opaque(),
        "garbage": b"\xc1\xc1",
        "other fields": msgspec.msgpack.encode({"finished": 3, "output": "", "slot": ""}),
        "no time": msgspec.msgpack.encode(Answer(Finished(None, None, float("nan")), "", "")),
        "no end": msgspec.msgpack.encode(Answer(sound, "", ""))[:-1],
    }
    return answers.get(kind)
