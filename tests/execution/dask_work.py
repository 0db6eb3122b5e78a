"""Work functions of the tests on a Dask cluster; the worker's children import them by name."""

from __future__ import annotations

import os
import pickle
import signal
import time
from typing import Any

import msgspec

from bench.execution.dask_worker import Answer, Assignment
from bench.execution.tasks import WrongMachine
from bench.execution.worker import Finished


def kill_dask_worker(word: str) -> str:
    """Kill the Dask worker for the word ``poison``, as the failure of its machine would."""
    if word == "poison":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return word


def wrong_machine(word: str) -> str:
    raise WrongMachine(f"this machine lacks {word}")


class Opaque:
    """An object that only pickle can send."""


def answer_falsely(assignment: Assignment) -> Any:
    """Return, instead of `perform` in a Dask worker, the answer that the payload names."""
    kind = pickle.loads(assignment.payload)
    if kind == "silent":
        time.sleep(3)
    answers = {
        "nothing": None,
        "text": "done",
        "object": Opaque(),
        "garbage": b"\xc1\xc1",
        "other fields": msgspec.msgpack.encode({"finished": 3, "output": "", "slot": ""}),
        "no time": msgspec.msgpack.encode(Answer(Finished(None, None, float("nan")), "", "")),
        "no end": msgspec.msgpack.encode(Answer(Finished(b"\xc0", None, 0.1), "", ""))[:-1],
    }
    return answers.get(kind)
