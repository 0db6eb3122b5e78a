"""Parent side of a worker: starts a child process that runs one task after another."""

from __future__ import annotations

import math
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Final

import msgspec
import psutil

from bench.execution.memory import processes_below, require_address_space, resident
from bench.execution.tasks import Loss, Slot, WorkerError
from bench.execution.worker import (
    Finished,
    Importing,
    Message,
    Ready,
    Setup,
    TaskProgress,
    TaskStarted,
    framed,
    unframed,
)
from bench.experiment.sizes import memory_limit_text
from bench.registry.imports import CLOCK_LIMIT, processor_seconds

LOOK: Final = 0.2
"""Seconds between two checks of a process and its memory."""

_PAUSES: Final = (0.0, 0.2, 1.0)  # seconds to wait before each attempt to start a process
_START_SECONDS: Final = 120.0  # time for a process to load the work function
_IMPORT_SECONDS: Final = 60.0  # processor time for the import of a plug-in, which does not count for the task
_TAIL: Final = 65_536
_PROGRAM: Final = (
    "import sys; sys.path[:] = {path!r}; from bench.execution.worker import serve; serve({handle})"
)
_BLOCK: Final = 1 << 20
_REFUSED: Final = re.compile("bad_alloc|cannot allocate memory|memory allocation|memoryerror", re.IGNORECASE)
"""Output of a process that ends for lack of memory."""

_OUTSIDE: Final = (signal.SIGKILL, signal.SIGTERM)
"""Signals from outside; others are caused by the process itself."""


def pickled(value: Any) -> bytes:
    """Return a work function or a payload as bytes for a worker."""
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


@dataclass
class _Current:
    """The current task of a process.

    ``deadline`` is that of the current step: the start of a process (after ``starts`` failed ones), the task
    itself, or the import of a plug-in (``importing``), after which the task has its time that is ``left``.
    ``processor`` is the processor time of the process at which that import ends.
    """

    payload: bytes = b""
    timeout: float = math.inf
    deadline: float = 0.0
    starts: int = 0
    began: float | None = None
    importing: str = ""
    left: float = 0.0
    processor: float = math.inf


class WorkerProcess:
    """Runs tasks in the slot's process, and starts another process when it has ended.

    The caller waits for `connection`, at most `LOOK` seconds, and then calls `poll`. The process leads a
    separate session, so that Ctrl-C does not reach it, and ends with the thread that started it.
    """

    def __init__(
        self, slot: Slot, work: bytes, max_memory: int | None = None, idle_seconds: float | None = None
    ) -> None:
        """Prepare the worker of a slot, whose process starts with the first task.

        A task may take ``max_memory`` bytes beyond the memory of the process with loaded libraries; a process
        without a task for ``idle_seconds`` ends. None is no limit.
        """
        self._slot = slot
        self._setup = pickled(tuple(Setup(work, max_memory, idle_seconds)))
        self._max_memory = max_memory
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._buffer = bytearray()
        self._resident: int | None = None
        self._next_look = 0.0
        self._task = _Current()
        self.connection: socket.socket | None = None

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    def begin(self, payload: bytes, timeout: float | None) -> None:
        """Begin a task with its pickled payload and time limit in seconds; `poll` yields its messages."""
        self._task = _Current(payload, math.inf if timeout is None else timeout)
        if self.alive:
            self._task.deadline = time.monotonic() + _START_SECONDS
            self._send(payload)
        else:
            self._start()

    def poll(self) -> Iterator[TaskStarted | TaskProgress | Finished]:
        """Yield the messages of the task, without waiting; the last one is `Finished`.

        If the process ends before the start of the task, another process is started.

        Raises:
            WorkerError: if none can be started.
        """
        if self._process is None:
            if time.monotonic() >= self._task.deadline:
                self._start()
            return
        open_still = self._receive()
        try:
            for message in unframed(self._buffer):
                self._note(message)
                if isinstance(message, Finished):
                    if message.unusable:
                        self.kill()
                    yield message
                    return
                if isinstance(message, TaskStarted | TaskProgress):
                    yield message
        except msgspec.DecodeError as error:
            yield from self._lose(Loss("worker", f"its process sent what is no message: {error}"))
            return
        lost = self._loss(self._process, self._task, open_still)
        if lost is not None:
            yield from self._lose(lost)

    def printed(self) -> str:
        """Return the end of the output of the last task."""
        if self._output is None:
            return ""
        size = os.fstat(self._output.fileno()).st_size
        tail = os.pread(self._output.fileno(), _TAIL, max(0, size - _TAIL))
        return tail.decode("utf-8", "replace")

    def kill(self) -> None:
        """Kill the process and all processes below it; the next task starts another process.

        Handlers of other signals than SIGKILL cannot run while C code blocks the interpreter.
        """
        process, self._process, self._resident = self._process, None, None
        if process is not None:
            below = processes_below(process.pid)  # some may be in other groups
            with suppress(ProcessLookupError, PermissionError):  # its group has ended
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            for each in below:
                with suppress(psutil.Error):
                    each.kill()
            process.wait()
        if self.connection is not None:
            self.connection.close()
        self.connection = None
        self._buffer.clear()

    def close(self) -> None:
        """End the process for good."""
        self.kill()
        if self._output is not None:
            self._output.close()
            self._output = None

    def _start(self) -> None:
        """Start a process in the slot's environment, which libraries read only when they are loaded."""
        require_address_space()
        self.kill()
        try:
            if self._output is None:
                self._output = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the worker)
            os.ftruncate(self._output.fileno(), 0)
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-c", _PROGRAM.format(path=sys.path, handle=theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=self._output,
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, **self._slot.environment},
                    start_new_session=True,
                )
        except OSError as error:
            self._start_again(str(error))
            return
        self.connection = ours
        self._task.deadline = time.monotonic() + _START_SECONDS
        self._send(self._setup, self._task.payload)  # both at once: the caller may be busy later

    def _start_again(self, reason: str) -> None:
        """Schedule another start of a process; raises `WorkerError` after the last."""
        self._task.starts += 1
        if self._task.starts == len(_PAUSES):
            raise WorkerError(
                f"no worker process could be started for slot {self._slot.name}: {reason}; finished cells "
                "are recorded, so run again when that is solved (TMPDIR names the folder of temporary files)"
            )
        self.kill()
        self._task.deadline = time.monotonic() + _PAUSES[self._task.starts]

    def _send(self, *contents: bytes) -> None:
        """Send to the process; `poll` notices one that has ended."""
        assert self.connection is not None
        self.connection.settimeout(_START_SECONDS)
        with suppress(OSError):
            self.connection.sendall(b"".join(map(framed, contents)))
        self.connection.setblocking(False)

    def _receive(self) -> bool:
        """Read into the buffer; return whether the connection is still open."""
        assert self.connection is not None
        with suppress(ConnectionError):
            try:
                while block := self.connection.recv(_BLOCK):
                    self._buffer += block
            except BlockingIOError:
                return True
        return False

    def _note(self, message: Message) -> None:
        """Update the current step of the process and its deadline."""
        now, task = time.monotonic(), self._task
        if isinstance(message, Ready):
            self._resident = message.resident
        elif isinstance(message, TaskStarted):
            task.began, task.deadline = now, now + task.timeout
        elif isinstance(message, Importing):
            if message.name and not task.importing:
                task.left, task.deadline = task.deadline - now, now + CLOCK_LIMIT
                assert self._process is not None
                task.processor = processor_seconds(self._process.pid) + _IMPORT_SECONDS
            elif task.importing and not message.name:
                task.deadline = now + task.left
            task.importing = message.name

    def _lose(self, lost: Loss) -> Iterator[Finished]:
        """Kill the process; yield the end of the task if that had started."""
        task = self._task
        self.kill()
        if task.began is None:
            lines = self.printed().strip().splitlines()
            self._start_again(lines[-1] if lines else lost.reason)
            return
        if task.importing and not lost.outside:
            lost = Loss("import", f"{task.importing} cannot be imported: {lost.reason}", "", lost.traceback)
        yield Finished(None, lost, time.monotonic() - task.began)

    def _loss(self, process: subprocess.Popen[bytes], task: _Current, open_still: bool) -> Loss | None:
        """Return the loss of the task; None if it is not lost."""
        if not open_still or process.poll() is not None:
            return self._loss_of_process(process)
        now = time.monotonic()
        if self._max_memory is not None and self._resident and now >= self._next_look:
            self._next_look = now + LOOK
            if resident(process.pid) - self._resident > self._max_memory:
                words = memory_limit_text(self._max_memory)
                return Loss("memory", f"it took more memory than allowed: {words}")
        used_up = bool(task.importing) and processor_seconds(process.pid) > task.processor
        if now <= task.deadline and not used_up:
            return None
        if task.began is None:
            return Loss("worker", f"it did not start within {_START_SECONDS:g} s")
        limit = f"{CLOCK_LIMIT:g} s" if task.importing else f"the time limit of {task.timeout:g} s"
        limit = f"{_IMPORT_SECONDS:g} s of processor time" if used_up else limit
        return Loss("timeout", f"it was stopped after {limit}")

    def _loss_of_process(self, process: subprocess.Popen[bytes]) -> Loss:
        """Return the loss of a task whose process has ended or closed the connection."""
        try:
            status = process.wait(1.0)
        except subprocess.TimeoutExpired:
            return Loss("worker", "the connection to its process broke", outside=True)
        printed = self.printed()
        crash = printed[printed.find("Fatal Python error") :] if "Fatal Python error" in printed else ""
        how = _by_signal(-status) if status < 0 else f"its process ended by itself with status {status}"
        if self._max_memory is not None and _REFUSED.search(printed):
            return Loss("memory", f"{how}; {memory_limit_text(self._max_memory)}", traceback=crash)
        if status >= 0:
            return Loss("exit", how, traceback=crash)
        return Loss("signal", how, traceback=crash, outside=-status in _OUTSIDE)


def _by_signal(number: int) -> str:
    known = {member.value: member.name for member in signal.Signals}
    name = known.get(number, f"signal {number}")
    hint = {
        "SIGKILL": ", from outside: often by the system for lack of memory",
        "SIGSEGV": ": C code accessed invalid memory",
    }
    return f"its process was killed by {name}{hint.get(name, '')}"
