"""Runs tasks in worker processes on this machine: one per slot, and a lost one costs its own task only."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.execution.scheduler import Scheduler
from bench.execution.slot_worker import SlotWorker, WorkerError
from bench.execution.tasks import (
    Event,
    Executor,
    Loss,
    OnEvent,
    Outcome,
    Progress,
    Retried,
    Slot,
    Started,
    Task,
    W,
    ignore,
    loss_of,
    put_aside,
)
from bench.execution.worker import STARTED, Finished

_PATIENCE: Final = 10.0


@dataclass(frozen=True)
class _Limits:
    """What a task may use up; see `run_local`."""

    timeout: float | None
    max_memory: int | None
    retries: int


def run_local(
    tasks: Iterable[Task],
    work: Callable[[Any], W],
    slots: Sequence[Slot],
    *,
    timeout: float | None = None,
    max_memory: int | None = None,
    retries: int = 0,
    on_event: OnEvent = ignore,
) -> Generator[Outcome[W], None, None]:
    """Run every task in a slot where it fits, the longest first, and yield the outcomes as they come.

    Each slot has one process, started in the slot's environment and used for one task after another, which
    `Scheduler` chooses. A task that takes the process down, or is stopped by a limit, costs itself only.
    Leaving the iteration early, as by Ctrl-C, kills the workers; none outlives this process.
    After an exception in the body of the loop the iterator stays open until it is collected: use
    `contextlib.closing`.

    Args:
        tasks: what to do; of equal costs, the first comes first.
        work: module-level function of a task's payload; its module is imported in each worker, once.
        slots: where to do it.
        timeout: seconds that a task may take, however it spends them; None for no limit.
        max_memory: bytes that a task may take beyond what its worker holds once libraries are loaded; None
            for no limit.
        retries: how many more attempts a task gets whose worker is lost by no fault of the task.
        on_event: called in the thread that iterates, while it waits.

    Raises:
        UsageError: if there is no slot.
        WorkerError: if the system does not let a worker start; the tasks are not to blame.
    """
    given = list(tasks)
    used = slots[: max(len(given), 1)]
    limits = _Limits(timeout, max_memory, retries)
    return _iterate(
        _SharedScheduler(Scheduler(given, used)), len(given), pickle.dumps(work), used, limits, on_event
    )


def local_executor(
    slots: Sequence[Slot],
    *,
    timeout: float | None = None,
    max_memory: int | None = None,
    retries: int = 0,
) -> Executor[Any]:
    """Return `run_local` with its slots and limits chosen."""

    def execute(
        tasks: Sequence[Task], work: Callable[[Any], Any], on_event: OnEvent
    ) -> Generator[Outcome[Any], None, None]:
        """Run the tasks in the slots."""
        return run_local(
            tasks, work, slots, timeout=timeout, max_memory=max_memory, retries=retries, on_event=on_event
        )

    return execute


class _SharedScheduler:
    """A board that threads ask, each for its slot."""

    def __init__(self, board: Scheduler) -> None:
        self._board = board
        self._changed = threading.Condition()

    def take(self, slot: Slot) -> Task | None:
        """Wait for a task that the slot can start; None if there will be no more."""
        with self._changed:
            while len(self._board):
                task = self._board.take(slot)
                if task is not None:
                    # A device that was being emptied for it may be free now; and the last task lets all go.
                    self._changed.notify_all()
                    return task
                self._changed.wait()
        return None

    def release(self, slot: Slot) -> None:
        """Note that the task in the slot has ended."""
        with self._changed:
            self._board.release(slot)
            self._changed.notify_all()

    def clear(self) -> None:
        """Give out no more tasks."""
        with self._changed:
            self._board.clear()
            self._changed.notify_all()


_Inbox = SimpleQueue[Event | Outcome[Any] | BaseException]


def _iterate(
    board: _SharedScheduler,
    awaited: int,
    work: bytes,
    slots: Sequence[Slot],
    limits: _Limits,
    on_event: OnEvent,
) -> Generator[Outcome[Any], None, None]:
    if not awaited:
        return
    inbox: _Inbox = SimpleQueue()
    with _temporary_folder() as folder:
        workers = [
            SlotWorker(slot, work, folder / str(number), limits.max_memory)
            for number, slot in enumerate(slots)
        ]
        threads = [
            _SlotThread(slot, worker, board, limits, inbox)
            for slot, worker in zip(slots, workers, strict=True)
        ]
        try:
            for thread in threads:
                thread.start()
            while awaited:
                item = inbox.get()
                if isinstance(item, Outcome):
                    awaited -= 1
                    yield item
                elif isinstance(item, BaseException):
                    raise item
                else:
                    on_event(item)
        finally:
            board.clear()
            for thread in threads:
                thread.stop()
            for thread in threads:
                thread.join(_PATIENCE)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = TemporaryDirectory(prefix="bench-workers-", ignore_cleanup_errors=True)
    except OSError as error:
        raise WorkerError(
            f"there is no folder for temporary files ({error.strerror or error}): "
            "free some space, or name another with the variable TMPDIR, and run again"
        ) from error
    with folder as name:
        yield Path(name)


class _SlotThread(threading.Thread):
    """Takes task after task for one slot.

    It lives as long as its worker's pool: the kernel ends a process when the thread that started it ends.
    """

    def __init__(
        self, slot: Slot, worker: SlotWorker, board: _SharedScheduler, limits: _Limits, inbox: _Inbox
    ) -> None:
        super().__init__(name=f"slot {slot.name}", daemon=True)
        self._worker = worker
        self._slot = slot
        self._board = board
        self._limits = limits
        self._inbox = inbox
        self._stopped = False

    def stop(self) -> None:
        """Kill the worker now, from any thread."""
        self._stopped = True
        self._worker.stop()

    def run(self) -> None:
        try:
            while (task := self._board.take(self._slot)) is not None:
                outcome = self._outcome(task) if task.admit() else put_aside(task, self._slot)
                self._board.release(self._slot)
                self._inbox.put(outcome)
        except BaseException as error:
            self._inbox.put(error)
        finally:
            self._worker.close()

    def _outcome(self, task: Task) -> Outcome[Any]:
        try:
            payload = pickle.dumps(task.payload, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            return Outcome(task, self._slot, None, unsendable("payload", error), 0.0)
        finished = self._finish(task, payload)
        value, lost = received(finished)
        return Outcome(task, self._slot, value, lost, finished.seconds, self._worker.printed())

    def _finish(self, task: Task, payload: bytes) -> Finished:
        """Run a task to its end; again in a new worker if it was lost by no fault of the task."""

        def pass_on(message: dict[str, Any]) -> None:
            """Turn a worker's message into an event."""
            event = Started(task, self._slot) if message == STARTED else Progress(task, self._slot, message)
            self._inbox.put(event)

        attempts = 1 + self._limits.retries
        for attempt in range(2, attempts + 1):
            finished = self._worker.run(payload, self._limits.timeout, pass_on)
            if finished.lost is None or not finished.lost.outside or self._stopped:
                return finished
            self._inbox.put(Retried(task, self._slot, finished.lost, attempt, attempts))
        finished = self._worker.run(payload, self._limits.timeout, pass_on)
        if attempts > 1 and finished.lost is not None and finished.lost.outside:
            reason = f"{finished.lost.reason}; {attempts} attempts were made"
            return replace(finished, lost=replace(finished.lost, reason=reason))
        return finished


def received(finished: Finished) -> tuple[Any, Loss | None]:
    """Return the value that a worker answers, or why there is none."""
    if finished.value is None:
        return None, finished.lost
    try:
        return pickle.loads(finished.value), None  # noqa: S301 (comes from our own worker)
    except Exception as error:
        return None, unsendable("value", error)


def unsendable(what: str, error: Exception) -> Loss:
    """Return the loss of a task whose payload or value cannot be pickled."""
    lost = loss_of(error, "")
    return Loss("exception", f"its {what} cannot be sent between processes: {lost.reason}", lost.exception)
