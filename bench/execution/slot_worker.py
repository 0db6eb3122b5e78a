"""The parent's side of one slot: a worker process that is used for one task after another."""

from __future__ import annotations

import pickle
import signal
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final, NamedTuple

from pebble import ProcessFuture, ProcessPool

from bench.contract.errors import BenchError
from bench.execution.process import SlotContext
from bench.execution.tasks import Loss, Slot
from bench.execution.worker import STARTED, Finished, perform, prepare

_PAUSES: Final = (0.0, 0.2, 1.0)
"""Seconds to wait before each attempt to start a worker."""

_TAIL: Final = 65_536

OnMessage = Callable[[dict[str, Any]], None]


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

    def __init__(self, slot: Slot, work: bytes, output: Path) -> None:
        """Describe the worker; the process starts with the first task.

        Args:
            slot: its environment.
            work: the pickled work function.
            output: file that catches what the process prints.
        """
        self._slot = slot
        self._work = work
        self._output = output
        self._crew: _Crew | None = None
        self._stopped = False

    def run(self, payload: bytes, timeout: float | None, on_message: OnMessage) -> Finished:
        """Run one task to its end, whatever that is.

        A worker that ends before the task has begun is no fault of the task's: another one is tried.

        Raises:
            WorkerError: if none can be started.
        """
        reason = ""
        for pause in _PAUSES:
            time.sleep(0.0 if self._stopped else pause)
            finished, reason = self._attempt(payload, timeout, on_message)
            if finished is not None:
                return finished
        raise WorkerError(
            f"no worker process could be started for slot {self._slot.name}: {reason}; "
            "what is finished is recorded, so run again when that is solved"
        )

    def _attempt(
        self, payload: bytes, timeout: float | None, on_message: OnMessage
    ) -> tuple[Finished | None, str]:
        """Run the task if the worker is able to; otherwise say why not."""
        crew = self._crew or self._open()
        begun: list[float] = []

        def note(message: dict[str, Any]) -> None:
            if message == STARTED:
                begun.append(time.monotonic())
            on_message(message)

        try:
            future = crew.pool.schedule(perform, (self._work, payload), timeout=timeout)
        except RuntimeError as error:  # it died while it had nothing to do, or the system gives no process
            self.close()
            return None, str(error.__cause__ or error)
        if self._stopped:  # while it was starting
            self.stop()
        _follow(future, crew.messages, note)
        try:
            return future.result(), ""
        except FutureTimeout:
            lost = Loss("timeout", f"it was stopped after the time limit of {timeout:g} s")
        except (OSError, RuntimeError):
            lost = self._death(crew)
        self.close()
        if begun:
            return Finished(None, lost, time.monotonic() - begun[0]), ""
        if self._stopped:
            return Finished(None, lost, 0.0), ""
        return None, self._last_words() or lost.reason

    def printed(self) -> str:
        """Return the end of what the last task has printed."""
        try:
            with self._output.open("rb") as file:
                file.seek(max(0, self._output.stat().st_size - _TAIL))
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
        self._output.unlink(missing_ok=True)
        messages, sender = Pipe(duplex=False)
        context = SlotContext(self._slot.environment)
        pool = ProcessPool(1, 0, prepare, (self._output, sender, self._work), context)
        self._crew = _Crew(pool, context, messages, sender)
        return self._crew

    def _death(self, crew: _Crew) -> Loss:
        process = crew.context.process
        status = None
        if process is not None:
            process.join(1.0)
            status = process.exitcode
            process.sweep()
        printed = self.printed()
        crash = printed[printed.find("Fatal Python error") :] if "Fatal Python error" in printed else ""
        if status is None:
            return Loss("worker", "the connection to its process was lost", traceback=crash)
        if status >= 0:
            return Loss("exit", f"its process ended by itself with status {status}", traceback=crash)
        return Loss("signal", _by_signal(-status), traceback=crash)

    def _last_words(self) -> str:
        lines = self.printed().strip().splitlines()
        return lines[-1] if lines else ""


def _follow(future: ProcessFuture[Finished], messages: Connection, on_message: OnMessage) -> None:
    """Pass on the messages of a running task until it has ended."""
    bell, ringer = Pipe(duplex=False)
    with bell, ringer:
        future.add_done_callback(lambda _: ringer.send_bytes(b"."))
        while True:
            ready = wait([messages, bell])
            if messages in ready:
                on_message(pickle.loads(messages.recv_bytes()))  # noqa: S301 (from our own worker)
            elif bell in ready:
                return


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
