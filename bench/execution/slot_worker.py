"""The parent's side of one slot: a worker process that is used for one task after another."""

from __future__ import annotations

import pickle
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final, NamedTuple

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from bench.contract.errors import BenchError
from bench.execution.memory import resident
from bench.execution.process import SlotContext
from bench.execution.tasks import Loss, Slot
from bench.execution.worker import STARTED, Desk, Finished, perform, prepare
from bench.experiment.failures import memory_limit_text

_PAUSES: Final = (0.0, 0.2, 1.0)
"""Seconds to wait before each attempt to start a worker."""

_PATIENCE: Final = 3
"""Seconds that a pool may take to say how a task ended after it has stopped working."""

_LOOK: Final = 0.2
"""Seconds between two looks at the memory of a worker that has a limit."""

_TAIL: Final = 65_536

_SHORT: Final = 32_768
"""Bytes that an empty pipe takes without a reader, with room to spare."""

_REFUSED: Final = re.compile("bad_alloc|cannot allocate memory|memory allocation|memoryerror", re.IGNORECASE)
"""What code prints that gives up because it was refused memory."""

_OUTSIDE: Final = (signal.SIGKILL, signal.SIGTERM)
"""Signals that come from outside; the others are what a process does to itself."""

OnMessage = Callable[[dict[str, Any]], None]

_OnPost = Callable[[dict[str, Any] | bytes], None]
"""Takes messages, and the pieces of an answer."""


class WorkerError(BenchError):
    """The system does not let a worker process start."""


class _Crew(NamedTuple):
    """A pool of one process and what connects it with us."""

    pool: ProcessPool
    context: SlotContext
    messages: Connection
    sender: Connection


class SlotWorker:
    """Runs tasks in the slot's process, and starts another process whenever that has ended."""

    def __init__(self, slot: Slot, work: bytes, folder: Path, max_memory: int | None = None) -> None:
        """Describe the worker; the process starts with the first task.

        Args:
            slot: its environment.
            work: the pickled work function.
            folder: for what parent and process exchange; it is created.
            max_memory: bytes that a task may take beyond what the process holds once libraries are loaded.

        Raises:
            WorkerError: if the folder cannot be created.
        """
        self._slot = slot
        self._work = work
        self._folder = folder
        self._desk = Desk(folder)
        self._max_memory = max_memory
        self._crew: _Crew | None = None
        self._stopped = False
        try:
            folder.mkdir()
        except OSError as error:
            raise self._no_space(error) from error

    def run(self, payload: bytes, timeout: float | None, on_message: OnMessage) -> Finished:
        """Run one task to its end, whatever that is.

        A worker that ends before the task has begun is no fault of the task's: another one is tried.

        Raises:
            WorkerError: if none can be started or the temporary folder cannot be written.
        """
        reason = ""
        task = self._laid_out(payload)
        for pause in _PAUSES:
            time.sleep(0.0 if self._stopped else pause)
            finished, reason = self._attempt(task, timeout, on_message)
            if finished is not None:
                return finished
        raise WorkerError(
            f"no worker process could be started for slot {self._slot.name}: {reason}; "
            "what is finished is recorded, so run again when that is solved"
        )

    def _laid_out(self, payload: bytes) -> Path | bytes:
        """Return a task's argument as the worker takes it: itself where it is short, else a file."""
        if len(payload) <= _SHORT:
            return payload
        try:
            self._desk.task.write_bytes(payload)
        except OSError as error:
            raise self._no_space(error) from error
        return self._desk.task

    def _attempt(
        self, task: Path | bytes, timeout: float | None, on_message: OnMessage
    ) -> tuple[Finished | None, str]:
        """Run the task if the worker is able to; otherwise say why not."""
        crew = self._crew or self._open()
        begun: list[float] = []
        answer: list[bytes] = []

        def note(message: dict[str, Any] | bytes) -> None:
            """Write down when the task began, put pieces of its answer aside, and pass other messages on."""
            if isinstance(message, bytes):
                answer.append(message)
                return
            if message == STARTED:
                begun.append(time.monotonic())
            on_message(message)

        try:
            future = crew.pool.schedule(perform, (task,), timeout=timeout)
        except RuntimeError as error:  # it died while it had nothing to do, or the system gives no process
            self.close()
            return None, str(error.__cause__ or error)
        if self._stopped:  # while it was starting
            self.stop()
        lost = self._end(crew, future, timeout, note)
        if lost is None:
            finished: Finished = pickle.loads(b"".join(answer))  # noqa: S301 (from our own worker)
            if finished.worn:
                self.close()
            return finished, ""
        seconds = time.monotonic() - begun[0] if begun else 0.0
        self.close()
        if begun or self._stopped:
            return Finished(None, lost, seconds), ""
        return None, self._last_words() or lost.reason

    def _end(
        self, crew: _Crew, future: ProcessFuture[None], timeout: float | None, on_post: _OnPost
    ) -> Loss | None:
        """Wait for the end of a task and say what went wrong, if anything did."""
        guard = _Guard(crew, self._desk, self._max_memory)
        if not _follow(crew.pool, future, crew.messages, on_post, guard):
            return self._death(crew, "its pool has stopped working")
        try:
            future.result()
        except FutureTimeout:
            return Loss("timeout", f"it was stopped after the time limit of {timeout:g} s")
        except (ProcessExpired, RuntimeError, OSError) as error:
            return guard.verdict or self._death(crew, str(error))
        return None

    def _no_space(self, error: OSError) -> WorkerError:
        return WorkerError(
            f"cannot write to {self._folder}: {error.strerror}; "
            "free some space there, or name another folder with the variable TMPDIR, and run again"
        )

    def printed(self) -> str:
        """Return the end of what the last task has printed."""
        try:
            with self._desk.printed.open("rb") as file:
                file.seek(max(0, self._desk.printed.stat().st_size - _TAIL))
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def stop(self) -> None:
        """Kill the process now, from any thread; the task that was running counts as lost."""
        self._stopped = True
        crew = self._crew
        if crew is not None and crew.context.process is not None:
            crew.context.process.terminate()

    def close(self) -> None:
        """End the process and what served it; the next task would start another."""
        crew, self._crew = self._crew, None
        if crew is not None:
            if crew.context.process is not None:
                crew.context.process.terminate()
            crew.pool.stop()  # type: ignore[no-untyped-call]
            crew.pool.join()
            crew.messages.close()
            crew.sender.close()

    def _open(self) -> _Crew:
        for leftover in (self._desk.printed, self._desk.resident):
            leftover.unlink(missing_ok=True)
        try:
            self._desk.printed.touch()  # a worker that cannot could not say so
        except OSError as error:
            raise self._no_space(error) from error
        messages, sender = Pipe(duplex=False)
        context = SlotContext(self._slot.environment)
        pool = ProcessPool(1, 0, prepare, (self._folder, sender, self._work, self._max_memory), context)
        self._crew = _Crew(pool, context, messages, sender)
        return self._crew

    def _death(self, crew: _Crew, otherwise: str) -> Loss:
        process = crew.context.process
        status = None
        if process is not None:
            process.join(1.0)
            status = process.exitcode
            process.sweep()
        printed = self.printed()
        crash = printed[printed.find("Fatal Python error") :] if "Fatal Python error" in printed else ""
        if status is None:
            reason = f"its process no longer answered: {otherwise}"
            return Loss("worker", reason, traceback=crash, outside=True)
        how = _by_signal(-status) if status < 0 else f"its process ended by itself with status {status}"
        if self._max_memory is not None and _REFUSED.search(printed):
            return Loss("memory", f"{how}; {memory_limit_text(self._max_memory)}", traceback=crash)
        if status >= 0:
            return Loss("exit", how, traceback=crash)
        return Loss("signal", how, traceback=crash, outside=-status in _OUTSIDE)

    def _last_words(self) -> str:
        lines = self.printed().strip().splitlines()
        return lines[-1] if lines else ""


class _Guard:
    """Kills a worker that holds more memory than it may, whatever its code makes of the system's refusals.

    Attributes:
        pause: seconds after which it wants to look again.
        verdict: what it did; None as long as it did nothing.
    """

    def __init__(self, crew: _Crew, desk: Desk, limit: int | None) -> None:
        self.pause = 1.0 if limit is None else _LOOK
        self.verdict: Loss | None = None
        self._process = crew.context.process
        self._desk = desk
        self._limit = limit
        self._next = 0.0

    def look(self) -> None:
        """Measure the worker if it is time to."""
        now = time.monotonic()
        process = self._process
        if self._limit is None or now < self._next or process is None or process.pid is None:
            return
        self._next = now + _LOOK
        try:
            before = int(self._desk.resident.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):  # it is still loading its libraries
            return
        if self.verdict is None and resident(process.pid) - before > self._limit:
            self.verdict = Loss(
                "memory", f"it took more memory than it may: {memory_limit_text(self._limit)}"
            )
            process.terminate()


def _follow(
    pool: ProcessPool,
    future: ProcessFuture[None],
    messages: Connection,
    on_post: _OnPost,
    guard: _Guard,
) -> bool:
    """Pass on what a running task sends until it has ended; False if the pool gave up without a word."""
    bell, ringer = Pipe(duplex=False)
    with bell, ringer:
        future.add_done_callback(lambda _: ringer.send_bytes(b"."))
        patience = float(_PATIENCE)
        while patience > 0:
            ready = wait([messages, bell], timeout=guard.pause)
            guard.look()
            if messages in ready:
                on_post(pickle.loads(messages.recv_bytes()))  # noqa: S301 (from our own worker)
            elif bell in ready:
                return True
            elif not pool.active:
                patience -= guard.pause
        future.cancel()  # type: ignore[no-untyped-call]
        return False


def _by_signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = {
        "SIGKILL": ", from outside: often the system does that when memory runs out",
        "SIGSEGV": ": C code touched memory that is not its own",
    }
    return f"its process was killed by {name}{hint.get(name, '')}"
