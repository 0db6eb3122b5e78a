"""The worker's side: what runs inside the process of a slot."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final, TextIO

from bench.execution.memory import Allowance, leave_gpu
from bench.execution.tasks import Loss, loss_of
from bench.experiment.failures import memory_limit_text

_PAUSE: Final = 0.1
"""Seconds between two progress messages; those in between are dropped."""

_ATOMIC: Final = 4000
_PIECE: Final = 3900
"""Bytes of a message that a pipe takes whole or not at all, and of what is packed into one."""


_PR_SET_PDEATHSIG: Final = 1

STARTED: Final[dict[str, Any]] = {}
"""The message that a task has begun."""


class Desk:
    """The folder that parent and worker share.

    Attributes:
        printed: catches what the worker prints.
        task: pickled argument of the work function, where that is long.
        resident: in digits, the bytes that the worker holds before its first task, where memory is limited.
    """

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, which exists."""
        self.printed = folder / "printed"
        self.task = folder / "task"
        self.resident = folder / "resident"


@dataclass(frozen=True)
class Finished:
    """What a worker answers: plain bytes and text, which always survive the way.

    It comes in pieces of bytes among the messages. Each is small enough to arrive whole or not at all, since
    a worker that is killed while it writes a long message would leave the reader in the middle of it. A disk
    of temporary files that is full costs no answer.

    ``worn`` says that the process is not fit for another task: the last one left too much behind for the same
    memory limit, or a GPU that is of no use to it any more.
    """

    value: bytes | None
    lost: Loss | None
    seconds: float
    worn: bool = False


class Reporter:
    """Where `report` sends to: a pipe in a worker, a function in the caller's own process, or nowhere."""

    def __init__(self) -> None:
        """Send nowhere."""
        self._send: Callable[[dict[str, Any]], None] | None = None
        self._next = 0.0

    def connect(self, send: Callable[[dict[str, Any]], None] | None) -> None:
        """Send to ``send`` from now on; None for nowhere."""
        self._send = send
        self._next = 0.0

    def __call__(self, values: dict[str, Any]) -> None:
        """Send ``values`` unless something was sent just now."""
        now = time.monotonic()
        if self._send is not None and now >= self._next:
            self._next = now + _PAUSE
            self._send(values)


REPORTER = Reporter()
_parent: Connection | None = None
_work: Callable[[Any], Any] | None = None
_allowance: Allowance | None = None


def report(**values: Any) -> None:
    """Tell the parent how far the task is; cheap enough to call in every epoch.

    At most ten messages a second are sent, the others are dropped. Outside a task nothing happens.
    """
    REPORTER(values)


def prepare(desk: Path, parent: Connection, work: bytes, max_memory: int | None = None) -> None:
    """Make this process a worker: on its own, silent, mortal, and with its libraries loaded.

    Args:
        desk: folder of the `Desk`.
        parent: takes the messages of `perform` and `report`.
        work: the pickled work function; unpickling it imports what it needs, before any clock runs.
        max_memory: bytes that a task may take beyond what is held after that; None for no limit.
    """
    global _parent, _work, _allowance
    _parent = parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(os, "setsid"):
        with suppress(OSError):
            os.setsid()
    _redirect(Desk(desk).printed)
    faulthandler.enable()
    _die_with_parent()
    _work = pickle.loads(work)  # noqa: S301 (comes from our own parent)
    if max_memory is not None:
        _allowance = Allowance(max_memory, on_gpu=bool(os.environ.get("CUDA_VISIBLE_DEVICES")))
        Desk(desk).resident.write_text(str(_allowance.resident), encoding="ascii")


def perform(task: Path | bytes) -> None:
    """Run one task between a message that it starts and its `Finished`; what it raises becomes a `Loss`.

    Args:
        task: the pickled argument of the work function, or the file that holds it.
    """
    with suppress(OSError):
        os.ftruncate(1, 0)
    REPORTER.connect(_tell)
    _tell(STARTED)
    begin = time.monotonic()
    value, lost = None, None
    try:
        assert _work is not None
        content = task if isinstance(task, bytes) else task.read_bytes()
        argument = pickle.loads(content)  # noqa: S301 (from our own parent)
        with nullcontext() if _allowance is None else _allowance.enforced():
            value = pickle.dumps(_work(argument), protocol=pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        lost = loss_of(error, traceback.format_exc())
        if lost.kind == "memory" and _allowance is not None:
            lost = replace(lost, reason=f"{lost.reason}; {memory_limit_text(_allowance.limit)}")
    seconds = time.monotonic() - begin
    REPORTER.connect(None)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    worn = not leave_gpu() or (_allowance is not None and _allowance.worn())
    _answer(pickle.dumps(Finished(value, lost, seconds, worn)))


def _answer(content: bytes) -> None:
    if _parent is not None:
        for start in range(0, len(content), _PIECE):
            _parent.send_bytes(pickle.dumps(content[start : start + _PIECE]))


def _tell(values: dict[str, Any]) -> None:
    message = pickle.dumps(values)
    # A pipe takes a message of this size whole or not at all, even if this process is killed meanwhile.
    if _parent is not None and len(message) <= _ATOMIC:
        with suppress(OSError):
            _parent.send_bytes(message)


def _redirect(output: Path) -> None:
    """Send all that is printed to a file, and give the process an empty standard input."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(file)
    sys.stdout, sys.stderr = _stream(1), _stream(2)


def _stream(number: int) -> TextIO:
    return os.fdopen(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _die_with_parent() -> None:
    """End when the parent ends, however that was: nobody would collect the results."""
    if sys.platform == "linux":
        # The kernel does it, even while C code holds the interpreter.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        """Wait for the parent's end, and end without any clean-up."""
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
