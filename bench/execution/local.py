"""Runs tasks in worker processes on this machine: one per slot, and a lost one costs its own task only."""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.contract.errors import UsageError
from bench.execution.slot_worker import SlotWorker
from bench.execution.tasks import (
    Event,
    Executor,
    Loss,
    OnEvent,
    Outcome,
    Progress,
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


def run_local(
    tasks: Iterable[Task],
    work: Callable[[Any], W],
    slots: Sequence[Slot],
    *,
    timeout: float | None = None,
    on_event: OnEvent = ignore,
) -> Generator[Outcome[W], None, None]:
    """Run every task in the first free slot, the longest first, and yield the outcomes as they come.

    Each slot has one process, started in the slot's environment and used for one task after another. A task
    that takes it down, or is stopped by the time limit, costs itself only. Leaving the iteration early, as by
    Ctrl-C, kills the workers; and none outlives this process, however it ends. An exception in the body of
    the loop leaves the iterator open until it is collected: use `contextlib.closing`.

    Args:
        tasks: what to do; of equal costs, the first comes first.
        work: module-level function of a task's payload; its module is imported in each worker, once.
        slots: where to do it.
        timeout: seconds that a task may take, however it spends them; None for no limit.
        on_event: called in the thread that iterates, while it waits.

    Raises:
        UsageError: if there is no slot.
        WorkerError: if the system does not let a worker start; the tasks are not to blame.
    """
    if not slots:
        raise UsageError("there is no slot to run in; ask for at least one")
    queue = deque(sorted(tasks, key=lambda task: -task.cost))
    return _iterate(queue, pickle.dumps(work), slots, timeout, on_event)


def local_executor(slots: Sequence[Slot], *, timeout: float | None = None) -> Executor[Any]:
    """Return `run_local` with its slots and time limit chosen."""

    def execute(
        tasks: Sequence[Task], work: Callable[[Any], Any], on_event: OnEvent
    ) -> Generator[Outcome[Any], None, None]:
        """Run the tasks in the slots."""
        return run_local(tasks, work, slots, timeout=timeout, on_event=on_event)

    return execute


def _iterate(
    queue: deque[Task], work: bytes, slots: Sequence[Slot], timeout: float | None, on_event: OnEvent
) -> Generator[Outcome[Any], None, None]:
    awaited = len(queue)
    inbox: SimpleQueue[Event | Outcome[Any] | BaseException] = SimpleQueue()
    with TemporaryDirectory(prefix="bench-workers-", ignore_cleanup_errors=True) as folder:
        threads = [
            _SlotThread(slot, SlotWorker(slot, work, Path(folder) / str(number)), queue, timeout, inbox)
            for number, slot in enumerate(slots[:awaited])
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
            queue.clear()
            for thread in threads:
                thread.worker.stop()
            for thread in threads:
                thread.join(_PATIENCE)


class _SlotThread(threading.Thread):
    """Takes task after task for one slot.

    It lives as long as its worker's pool: the kernel ends a process when the thread that started it ends.
    """

    def __init__(
        self,
        slot: Slot,
        worker: SlotWorker,
        queue: deque[Task],
        timeout: float | None,
        inbox: SimpleQueue[Event | Outcome[Any] | BaseException],
    ) -> None:
        super().__init__(name=f"slot {slot.name}", daemon=True)
        self.worker = worker
        self._slot = slot
        self._queue = queue
        self._timeout = timeout
        self._inbox = inbox

    def run(self) -> None:
        try:
            while True:
                try:
                    task = self._queue.popleft()
                except IndexError:
                    break
                self._inbox.put(self._outcome(task) if task.admit() else put_aside(task, self._slot))
        except BaseException as error:
            self._inbox.put(error)
        finally:
            self.worker.close()

    def _outcome(self, task: Task) -> Outcome[Any]:
        def pass_on(message: dict[str, Any]) -> None:
            """Turn a worker's message into an event."""
            event = Started(task, self._slot) if message == STARTED else Progress(task, self._slot, message)
            self._inbox.put(event)

        try:
            payload = pickle.dumps(task.payload, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            return Outcome(task, self._slot, None, _unsendable("payload", error), 0.0)
        finished = self.worker.run(payload, self._timeout, pass_on)
        value, lost = _received(finished)
        return Outcome(task, self._slot, value, lost, finished.seconds, self.worker.printed())


def _received(finished: Finished) -> tuple[Any, Loss | None]:
    if finished.value is None:
        return None, finished.lost
    try:
        return pickle.loads(finished.value), None  # noqa: S301 (comes from our own worker)
    except Exception as error:
        return None, _unsendable("value", error)


def _unsendable(what: str, error: Exception) -> Loss:
    lost = loss_of(error, "")
    return Loss("exception", f"its {what} cannot be sent between processes: {lost.reason}", lost.exception)
