"""An executor that runs tasks on the workers of a Dask cluster.

Dask's ``submit`` starts each task, bound to one worker, and its ``resources`` keep the slots. Its
``priority`` and ``retries`` are not used:

- Dask assigns waiting tasks to workers in advance, those with resources or bound to workers whatever its
  ``worker-saturation`` is. Cells would be claimed long before they start, and the loss of a worker would
  count for all that were assigned to it. So there are never more Dask tasks than slots: none is to be sorted.
- ``retries`` counts exceptions, which are results here. Lost workers are counted by ``allowed-failures`` of
  the scheduler, for all clients, and a task that is not bound starts again without a word to its client.
"""

from __future__ import annotations

import heapq
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, Final

import msgspec

from bench.execution import tasks as t
from bench.execution.dask_cluster import ANSWER_SECONDS, POLL, TIMEOUTS, Cluster
from bench.execution.dask_worker import Answer, Assignment, Facts, Report, perform, release
from bench.execution.devices import inside
from bench.execution.local import received, unsendable
from bench.execution.tasks import OnEvent, Outcome, Slot, Task
from bench.execution.worker_process import pickled

_ALLOWANCE: Final = 120.0  # time in addition to that of a task, for the import of its plug-in and its answer
_START_SECONDS: Final = 300.0  # time for a Dask worker to start an assigned task
_NOWHERE: Final = Slot("dask", "cpu", 1)


def dask_executor(
    cluster: Cluster,
    *,
    threads: int,
    timeout: float | None = None,
    max_memory: int | None = None,
    retries: int = 2,
) -> t.Executor[Any]:
    """Return an executor on a Dask cluster (from `open_cluster`), which must stay open while tasks run.

    A task whose worker is lost starts again on another, at most ``retries`` times. A worker that cannot run
    tasks, or sends invalid answers, is left out. Without workers, tasks wait, up to the cluster's patience. A
    task may take ``timeout`` seconds, and ``max_memory`` bytes beyond the memory of its process with loaded
    libraries; None is no limit.

    The generator raises `WorkerError` if the scheduler is lost, or there is no worker for too long.
    """

    def execute(
        tasks: Sequence[Task], work: Callable[[Any], Any], on_event: OnEvent
    ) -> Generator[Outcome[Any], None, None]:
        run = f"bench-{secrets.token_hex(6)}"
        pattern = Assignment(run, "", pickled(work), b"", timeout, max_memory, threads, cluster.device)
        return _DaskRun(cluster, pattern, work, 1 + retries, on_event).outcomes(tasks)

    return execute


@dataclass
class _Job:
    """A task and its attempt on the worker at ``address``, which has to answer until ``deadline``."""

    rank: tuple[float, int]
    task: Task
    payload: bytes
    admitted: bool = False
    losses: int = 0
    address: str = ""
    future: Any = None
    began: float = 0.0
    deadline: float = 0.0
    slot: Slot | None = None

    def __lt__(self, other: _Job) -> bool:
        """Return whether this job starts first."""
        return self.rank < other.rank


class _DaskRun:
    """One execution; reports of workers and finished futures arrive in one queue."""

    def __init__(
        self,
        cluster: Cluster,
        pattern: Assignment,
        work: Callable[[Any], Any],
        attempts: int,
        on_event: OnEvent,
    ) -> None:
        self._cluster, self._client, self._pattern = cluster, cluster.client, pattern
        self._work, self._allowed, self._on_event = work, attempts, on_event
        self._queue: list[_Job] = []
        self._running: dict[str, _Job] = {}
        self._workers: dict[str, Facts] = {}
        self._unfit: dict[str, str] = {}
        self._number = 0
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._alone_since: float | None = None

    def outcomes(self, tasks: Sequence[Task]) -> Generator[Outcome[Any], None, None]:
        """Run all tasks."""
        self._client.subscribe_topic(self._pattern.run, lambda event: self._inbox.put(event[1]))
        try:
            for order, task in enumerate(tasks):
                try:
                    heapq.heappush(self._queue, _Job((-task.cost, order), task, pickled(task.payload)))
                except Exception as error:
                    yield Outcome(task, _NOWHERE, None, unsendable(error), 0.0)
            next_look = 0.0
            while self._queue or self._running:
                if time.monotonic() >= next_look:
                    yield from self._look()
                    next_look = time.monotonic() + POLL
                yield from self._fill()
                if self._queue or self._running:
                    with suppress(Empty):
                        yield from self._take(self._inbox.get(timeout=POLL))
        finally:
            self._leave()

    def _leave(self) -> None:
        """Cancel running tasks, end the children of this run in all workers, and unsubscribe."""
        with suppress(Exception):
            self._client.unsubscribe_topic(self._pattern.run)
            self._cancel(self._running.values())
            self._cluster.ask(
                lambda: self._client.run(
                    release, self._pattern.run, workers=[*self._workers], on_error="ignore"
                ),
                ANSWER_SECONDS / 3,
            )

    def _cancel(self, jobs: Iterable[_Job]) -> None:
        """Cancel attempts."""
        with suppress(Exception):
            futures = [job.future for job in jobs]
            self._cluster.ask(lambda: self._client.cancel(futures, force=True))

    def _look(self) -> Iterator[Outcome[Any]]:
        """Update the workers, and end attempts that are lost or overdue."""
        present = self._update_workers()
        for key, job in [*self._running.items()]:
            if job.address not in present:
                yield from self._lose(key, "was lost")
            elif time.monotonic() > job.deadline:
                self._reject(job.address, f"the Dask worker {job.address} does not answer in time")
                yield from self._lose(key, "did not answer in time")

    def _update_workers(self) -> set[str]:
        """Return the addresses of all workers, after a check of new ones; raises `WorkerError`."""
        try:
            if self._client.status != "running":
                raise OSError("the connection is closed")
            present = {*self._cluster.ask(self._client.nthreads)}
            for known in (self._workers, self._unfit):
                for address in known.keys() - present:
                    del known[address]
            new = sorted(present - self._workers.keys() - self._unfit.keys())
            checked = self._cluster.check_workers(new, self._workers.values()) if new else {}
        except (OSError, *TIMEOUTS) as error:
            raise t.WorkerError(
                f"the Dask scheduler at {self._cluster.address} no longer answers; finished cells are "
                "recorded: start it and its workers, and run again"
            ) from error
        for address, facts in checked.items():
            if isinstance(facts, str):
                self._reject(address, facts)
            elif facts.slots(self._cluster.resource):
                self._workers[address] = facts
            else:
                self._reject(address, f"the Dask worker {address} declares no {self._cluster.resource}")
        return present

    def _reject(self, address: str, reason: str) -> None:
        """Assign no further tasks to a worker."""
        if address not in self._unfit:
            self._unfit[address] = reason
            self._on_event(t.Notice(f"left out: {reason}"))
        self._workers.pop(address, None)

    def _fill(self) -> Iterator[Outcome[Any]]:
        """Assign the longest tasks to free slots.

        Raises:
            WorkerError: if there is no worker for longer than the cluster's patience.
        """
        resource = self._cluster.resource
        while self._queue:
            busy = Counter(job.address for job in self._running.values())
            loads = {
                address: busy[address] / facts.slots(resource) for address, facts in self._workers.items()
            }
            address = min(loads, key=loads.__getitem__, default="")
            if address and loads[address] >= 1:
                break
            job = self._queue[0]
            job.admitted = job.admitted or job.task.admit()
            if not job.admitted:
                heapq.heappop(self._queue)
                yield Outcome(job.task, _NOWHERE, None, None, 0.0, skipped=True)
            elif address:
                self._submit(heapq.heappop(self._queue), address)
            elif self._alone_since is None:
                self._alone_since = time.monotonic()
                self._on_event(t.Notice(self._cluster.waiting()))
                return
            elif time.monotonic() - self._alone_since > self._cluster.patience:
                raise self._cluster.no_workers_error(next(reversed(self._unfit.values()), ""))
            else:
                return
        self._alone_since = None

    def _submit(self, job: _Job, address: str) -> None:
        self._number += 1
        key = f"{self._pattern.run}-{self._number}"
        resource = self._cluster.resource
        job.address, job.slot, job.began = address, None, time.monotonic()
        job.deadline = job.began + _START_SECONDS
        job.future = self._client.submit(
            perform,
            replace(self._pattern, key=key, payload=job.payload),
            key=key,
            workers=[address],
            resources=None if resource is None else {resource: 1},
            pure=False,
        )
        self._running[key] = job
        job.future.add_done_callback(self._inbox.put)

    def _take(self, item: Any) -> Iterator[Outcome[Any]]:
        """Handle a report of a worker, or a finished future."""
        if hasattr(item, "key"):
            if item.key in self._running:
                yield from self._ended(item.key, self._running[item.key])
            return
        with suppress(msgspec.DecodeError, TypeError):
            report = msgspec.msgpack.decode(item, type=Report)
            if report.key in self._running:
                job = self._running[report.key]
                slot = self._started(job, report.slot)
                if report.values is not None:
                    self._on_event(t.Progress(job.task, slot, report.values))

    def _started(self, job: _Job, name: str) -> Slot:
        """Return the slot of a job; if it has just started, that of this name."""
        if job.slot is None:
            job.slot = Slot(name, inside(self._cluster.device), self._pattern.threads)
            limit = math.inf if self._pattern.timeout is None else self._pattern.timeout + _ALLOWANCE
            job.deadline = time.monotonic() + limit
            self._on_event(t.Started(job.task, job.slot))
        return job.slot

    def _ended(self, key: str, job: _Job) -> Iterator[Outcome[Any]]:
        """Handle a finished future: an answer, or an error of Dask or the worker."""
        try:
            content = self._cluster.ask(lambda: self._client.gather(job.future))
            answer = msgspec.msgpack.decode(content, type=Answer)
            if not 0 <= answer.finished.seconds < math.inf:
                raise ValueError("its time is impossible")
        except Exception as error:
            if self._client.status != "running":
                return  # `_look` ends the run
            if type(error).__name__ == "KilledWorker":
                yield from self._lose(key, "was lost")
                return
            text = " ".join(str(error).split()) or type(error).__name__
            self._reject(job.address, f"the Dask worker {job.address} cannot run cells: {text}")
            yield from self._lose(key, "gave no valid answer")
            return
        lost = answer.finished.lost
        if lost is not None and lost.exception == t.WrongMachine.__name__:
            self._reject(job.address, lost.reason.partition(": ")[2])
            heapq.heappush(self._queue, self._running.pop(key))
        elif lost is not None and lost.outside:
            yield from self._lose(key, lost, answer.output)
        else:
            del self._running[key]
            slot = self._started(job, answer.slot)
            value, lost = received(answer.finished, self._work)
            yield Outcome(job.task, slot, value, lost, answer.finished.seconds, answer.output)

    def _lose(self, key: str, lost: t.Loss | str, output: str = "") -> Iterator[Outcome[Any]]:
        """Start a task that lost its worker again, unless it has no attempt left."""
        job = self._running.pop(key)
        self._cancel([job])
        if isinstance(lost, str):
            lost = t.Loss("worker", f"its Dask worker {job.address} {lost}", outside=True)
        slot = job.slot or _NOWHERE
        job.losses += 1
        if job.losses < self._allowed:
            self._on_event(t.Retried(job.task, slot, lost, job.losses + 1, self._allowed))
            heapq.heappush(self._queue, job)
        else:
            seconds = time.monotonic() - job.began
            yield Outcome(job.task, slot, None, t.given_up(lost, self._allowed), seconds, output)
