"""Executors of this machine: worker processes, one per slot, or the caller's process, for debugging."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Final

import msgspec

from bench.execution import tasks as t
from bench.execution.scheduler import Scheduler
from bench.execution.tasks import OnEvent, Outcome, Slot, Task, W
from bench.execution.worker import REPORTER, Finished, TaskStarted, decode_value
from bench.execution.worker_process import LOOK, WorkerProcess, pickled

INLINE: Final = Slot("inline", "cpu", 1)


@dataclass
class _SlotState:
    """A slot with its worker and its running task."""

    slot: Slot
    worker: WorkerProcess
    task: Task | None = None
    payload: bytes = b""
    attempt: int = 1


def run_local(
    tasks: Iterable[Task],
    work: Callable[[Any], W],
    slots: Sequence[Slot],
    *,
    timeout: float | None = None,
    max_memory: int | None = None,
    retries: int = 0,
    on_event: OnEvent = lambda _: None,
) -> Generator[Outcome[W], None, None]:
    """Run every task in a slot where it fits, the longest first, and yield the outcomes as tasks end.

    Each slot has one process, started in the slot's environment, which runs the tasks that `Scheduler`
    chooses. The loss of a process, or a limit, costs only the running task. The end of the iteration kills
    the workers; none outlives the thread that iterates. After an exception in the body of a loop the iterator
    stays open until it is collected: use `contextlib.closing`.

    Args:
        tasks: of equal costs, the first starts first.
        work: module-level function of a task's payload; its module is imported once in each worker.
        slots: for one task at a time each.
        timeout: wall-clock limit of a task in seconds; None for no limit.
        max_memory: limit of a task in bytes, beyond the memory of its worker with loaded libraries.
        retries: number of further attempts for a task whose worker is lost without its fault.
        on_event: called in the thread that iterates, while it waits.

    Raises:
        UsageError: if there is no slot.
        WorkerError: if the system cannot start a worker.
    """
    given, function = list(tasks), pickled(work)
    used = slots[: max(len(given), 1)]
    lanes = [_SlotState(slot, WorkerProcess(slot, function, max_memory)) for slot in used]
    return _LocalRun(Scheduler(given, used), lanes, work, timeout, 1 + retries, on_event).outcomes()


def local_executor(
    slots: Sequence[Slot], *, timeout: float | None = None, max_memory: int | None = None, retries: int = 0
) -> t.Executor[Any]:
    """Return `run_local` with these slots and limits."""
    limits: dict[str, Any] = {"timeout": timeout, "max_memory": max_memory, "retries": retries}
    return lambda tasks, work, on_event: run_local(tasks, work, slots, on_event=on_event, **limits)


@dataclass
class _LocalRun:
    """The state of one `run_local`."""

    scheduler: Scheduler
    lanes: list[_SlotState]
    work: Callable[[Any], Any]
    timeout: float | None
    attempts: int
    on_event: OnEvent

    def outcomes(self) -> Generator[Outcome[Any], None, None]:
        """Run until no task is left."""
        try:
            while True:
                ended = [*self._start_what_fits()]
                busy = [lane for lane in self.lanes if lane.task is not None]
                yield from ended
                if not busy:
                    return
                connections = [lane.worker.connection for lane in busy]
                wait([connection for connection in connections if connection is not None], LOOK)
                ended = [outcome for lane in busy for outcome in self._advance(lane)]
                # The next task starts before the caller processes the outcome, which may take long.
                yield from [*self._start_what_fits(), *ended]
        finally:
            for lane in self.lanes:
                lane.worker.close()

    def _start_what_fits(self) -> Iterator[Outcome[Any]]:
        """Start tasks in idle slots; yields the outcomes of those that cannot or may not start."""
        started = True
        while started:  # the start of a task may free a device that was kept for it
            started = False
            for lane in self.lanes:
                while lane.task is None and (task := self.scheduler.take(lane.slot)) is not None:
                    started = True
                    skipped, lost = not task.admit(), None
                    if not skipped:
                        try:
                            lane.payload = pickled(task.payload)
                        except Exception as error:
                            lost = unsendable(error)
                    if skipped or lost is not None:
                        self.scheduler.release(lane.slot)
                        yield Outcome(task, lane.slot, None, lost, 0.0, skipped=skipped)
                    else:
                        lane.task, lane.attempt = task, 1
                        lane.worker.begin(lane.payload, self.timeout)

    def _advance(self, lane: _SlotState) -> Iterator[Outcome[Any]]:
        """Handle the messages of a slot's worker; yields the outcome if the task has ended."""
        task, slot = lane.task, lane.slot
        assert task is not None
        for message in lane.worker.poll():
            if isinstance(message, TaskStarted):
                self.on_event(t.Started(task, slot))
            elif not isinstance(message, Finished):
                self.on_event(t.Progress(task, slot, message.values))
            elif message.lost is not None and message.lost.outside and lane.attempt < self.attempts:
                lane.attempt += 1
                self.on_event(t.Retried(task, slot, message.lost, lane.attempt, self.attempts))
                lane.worker.begin(lane.payload, self.timeout)
            else:
                lane.task = None
                self.scheduler.release(slot)
                value, lost = received(message, self.work)
                if lost is not None and lost.outside:
                    lost = t.given_up(lost, self.attempts)
                yield Outcome(task, slot, value, lost, message.seconds, lane.worker.printed())


def received(finished: Finished, work: Callable[[Any], Any]) -> tuple[Any, t.Loss | None]:
    """Return the value of a task, or its loss."""
    if finished.value is None:
        return None, finished.lost or t.Loss("worker", "its worker gave neither a value nor a reason")
    try:
        return decode_value(finished.value, work), None
    except msgspec.DecodeError as error:
        return None, t.Loss("worker", f"its worker sent what is no value of {work.__name__}: {error}")


def unsendable(error: Exception) -> t.Loss:
    """Return the loss of a task whose payload cannot be pickled."""
    lost = t.loss_of(error)
    return t.Loss("exception", f"its payload cannot be sent between processes: {lost.reason}", lost.exception)


def run_inline(
    tasks: Iterable[Task], work: Callable[[Any], W], on_event: OnEvent = lambda _: None
) -> Generator[Outcome[W], None, None]:
    """Run the tasks in this process, the longest first, and yield the outcomes as they end; an `Executor`.

    An exception costs only its task. There are no limits, no protection against crashes, and no environment
    of a slot. A task that leaves threads running is named in a `Notice`: they cannot be ended.
    """
    for task in sorted(tasks, key=lambda task: -task.cost):
        if not task.admit():
            yield Outcome(task, INLINE, None, None, 0.0, skipped=True)
            continue
        on_event(t.Started(task, INLINE))
        REPORTER.connect(lambda values, task=task: on_event(t.Progress(task, INLINE, values)))  # type: ignore[misc]
        begin, threads = time.monotonic(), {*threading.enumerate()}
        value, lost = None, None
        try:
            value = work(task.payload)
        except (Exception, SystemExit) as error:
            lost = t.loss_of(error)
        finally:
            REPORTER.connect(None)
        if left := {*threading.enumerate()} - threads:
            on_event(t.Notice(_left_running(task, left)))
        yield Outcome(task, INLINE, value, lost, time.monotonic() - begin)


def _left_running(task: Task, threads: Iterable[threading.Thread]) -> str:
    names = ", ".join(sorted(thread.name for thread in threads))
    return (
        f"{task.title} has left threads running ({names}); they may change what later cells of this process "
        "give, and it ends after them; with --jobs 1 the process is replaced after such a cell"
    )
