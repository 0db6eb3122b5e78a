"""Inside a Dask worker: tasks run in child processes of its own, so that none can take the worker with it.

A seat is a slot of this Dask worker: a thread, and a child process that belongs to it and is kept from task
to task. Seats belong to one run of the client: the next one starts new children, with the code of that day.
"""

from __future__ import annotations

import os
import pickle
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from bench.data.source import DATA_VARIABLE, WORKER_DATA_VARIABLE
from bench.execution.dask_checks import Device
from bench.execution.devices import worker_environment
from bench.execution.slot_worker import SlotWorker
from bench.execution.tasks import Slot
from bench.execution.worker import STARTED, Finished

_IDLE_SECONDS: Final = 60.0
"""After this a seat without work ends its process: whoever wanted it may have been killed."""

_GLANCE: Final = 1.0
"""Seconds between two looks at whether the result is still wanted, and between two reports of progress."""

OnMessage = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Assignment:
    """One attempt at a task, as it is sent.

    Attributes:
        run: of the client; also the topic under which the worker tells how it goes.
        number: of the attempt, unique within the run.
        work: the pickled work function.
        payload: its pickled argument.
        timeout: seconds that it may take; None for no limit.
        max_memory: bytes that it may take beyond what its process holds anyway; None for no limit.
        threads: CPU threads of the slot.
        device: kind of device.
    """

    run: str
    number: int
    work: bytes
    payload: bytes
    timeout: float | None
    max_memory: int | None
    threads: int
    device: Device


@dataclass(frozen=True)
class Answer:
    """What comes back: how the task ended, what it printed, and where it ran."""

    finished: Finished
    output: str
    slot: Slot


class _Seat(threading.Thread):
    """One slot of a Dask worker; its child process ends with this thread, by the kernel's own hand."""

    def __init__(self, place: _Place, index: int, assignment: Assignment, folder: Path) -> None:
        super().__init__(name=f"seat {index} of {assignment.run}", daemon=True)
        self.run_name = assignment.run
        self.index = index
        self.slot = _slot(place.name, index, assignment)
        self.stopped = False
        self._place = place
        self._folder = folder
        self._worker = SlotWorker(self.slot, assignment.work, folder, assignment.max_memory)
        self._jobs: SimpleQueue[tuple[Assignment, OnMessage, Future[Answer]] | None] = SimpleQueue()

    def begin(self, assignment: Assignment, tell: OnMessage) -> Future[Answer]:
        """Run a task in the seat's process."""
        future: Future[Answer] = Future()
        self._jobs.put((assignment, tell, future))
        return future

    def stop(self) -> None:
        """Kill the process and what runs in it; the seat is of no use afterwards."""
        self.stopped = True
        self._worker.stop()
        self._jobs.put(None)

    def run(self) -> None:
        try:
            while True:
                try:
                    job = self._jobs.get(timeout=_IDLE_SECONDS)
                except Empty:
                    if self._place.retire(self):
                        return
                    continue
                if job is None:
                    return
                self._do(*job)
        finally:
            self._worker.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _do(self, assignment: Assignment, tell: OnMessage, future: Future[Answer]) -> None:
        try:
            finished = self._worker.run(assignment.payload, assignment.timeout, tell)
            future.set_result(Answer(finished, self._worker.printed(), self.slot))
        except BaseException as error:
            future.set_exception(error)


class _Place:
    """The seats of one Dask worker."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self._lock = threading.Lock()
        self._idle: list[_Seat] = []
        self._busy: list[_Seat] = []
        self._made = 0

    def take(self, assignment: Assignment) -> _Seat:
        """Return a seat for an assignment: that which this run used last, else a new one."""
        with self._lock:
            taken = {seat.index for seat in self._busy}
            for seat in reversed(self._idle):
                if seat.run_name == assignment.run and seat.index not in taken:
                    self._idle.remove(seat)
                    break
            else:
                seat = self._new(min(set(range(len(taken) + 1)) - taken), assignment)
            self._busy.append(seat)
            return seat

    def give_back(self, seat: _Seat) -> None:
        """Take a seat back after its task."""
        with self._lock:
            self._busy.remove(seat)
            if not seat.stopped:
                self._idle.append(seat)

    def retire(self, seat: _Seat) -> bool:
        """Let a seat end if it has nothing to do; tell whether it may."""
        with self._lock:
            idle = seat in self._idle
            if idle:
                self._idle.remove(seat)
            return idle

    def release(self, run: str) -> None:
        """End the processes of a run, whatever they are at."""
        with self._lock:
            seats = [seat for seat in (*self._idle, *self._busy) if seat.run_name == run]
            self._idle = [seat for seat in self._idle if seat.run_name != run]
        for seat in seats:
            seat.stop()

    def _new(self, index: int, assignment: Assignment) -> _Seat:
        self._made += 1
        self._folder.mkdir(parents=True, exist_ok=True)
        seat = _Seat(self, index, assignment, self._folder / f"seat-{self._made}")
        seat.start()
        return seat


_PLACES: dict[str, _Place] = {}
_PLACING = threading.Lock()


def perform(assignment: Assignment) -> Answer:
    """Run one attempt; this is the task that the Dask worker gets.

    The child is killed when nobody waits for it any more: the client has gone or cancelled the task, or the
    Dask worker is told to close.

    Raises:
        WorkerError: if no child process can be started here.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    key = worker.get_current_task()
    place = _place(worker)
    seat = place.take(assignment)
    try:
        future = seat.begin(assignment, _teller(worker, assignment, seat.slot))
        while True:
            try:
                return future.result(timeout=_GLANCE)
            except FutureTimeout:
                if not seat.stopped and not _wanted(worker, key):
                    seat.stop()
    finally:
        place.give_back(seat)


def release(run: str, dask_worker: Any) -> None:
    """End what a run has left in a Dask worker, which passes itself."""
    place = _PLACES.get(dask_worker.address)
    if place is not None:
        place.release(run)


def _place(worker: Any) -> _Place:
    with _PLACING:
        if worker.address not in _PLACES:
            name = str(worker.name or worker.address)
            _PLACES[worker.address] = _Place(name, Path(worker.local_directory) / "bench-seats")
        return _PLACES[worker.address]


def _slot(place: str, index: int, assignment: Assignment) -> Slot:
    """Return the slot of a seat; a GPU worker's slots take the GPUs that it sees, in order."""
    device = "cpu" if assignment.device == "cpu" else f"cuda:{index}"
    environment = worker_environment(assignment.threads, device)
    data = os.environ.get(DATA_VARIABLE)
    if data:  # this machine keeps its data elsewhere
        environment[WORKER_DATA_VARIABLE] = data
    inside = "cpu" if device == "cpu" else "cuda:0"
    return Slot(f"{place}/{device}/{index}", inside, assignment.threads, environment, f"{place} {device}")


def _teller(worker: Any, assignment: Assignment, slot: Slot) -> OnMessage:
    """Return a function that sends messages to the client: starts at once, progress once a second."""
    until = 0.0

    def tell(message: dict[str, Any]) -> None:
        """Send one message by way of the scheduler."""
        nonlocal until
        now = time.monotonic()
        if message == STARTED or now >= until:
            until = now if message == STARTED else now + _GLANCE
            worker.log_event(assignment.run, pickle.dumps((assignment.number, slot, message)))

    return tell


def _wanted(worker: Any, key: Any) -> bool:
    """Tell whether the Dask worker is still to deliver this task."""
    task = worker.state.tasks.get(key)
    return (
        task is not None
        and task.state not in ("cancelled", "released", "forgotten")
        and (worker.status.name not in ("closing", "closed", "failed"))
    )
