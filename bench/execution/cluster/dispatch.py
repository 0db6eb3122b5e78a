"""Hands tasks to free slots of a Dask cluster, the longest first, and takes back what a lost worker had.

Dask would also assign tasks by itself, but it does so in advance: the death of a worker would be blamed on
tasks that only waited there, and the longest would not start first. So every attempt is a Dask task of its
own, bound to one worker that has a free slot.
"""

from __future__ import annotations

import asyncio
import heapq
import pickle
import secrets
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any, Final

from bench.execution.cluster.connection import ANSWER_SECONDS, Cluster, waiting
from bench.execution.cluster.guest import Answer, Assignment, perform, release
from bench.execution.cluster.survey import Facts, shared_device
from bench.execution.local import received, unsendable
from bench.execution.slot_worker import WorkerError
from bench.execution.tasks import (
    Event,
    Executor,
    Loss,
    Misplaced,
    Notice,
    OnEvent,
    Outcome,
    Progress,
    Retried,
    Slot,
    Started,
    Task,
    put_aside,
)
from bench.execution.worker import STARTED

_POLL: Final = 1.0
_NOWHERE: Final = Slot("dask", "cpu", 1)

_Inbox = SimpleQueue[Event | Outcome[Any] | BaseException | None]
"""What the cluster's loop tells the caller's thread; at the end None, or what ended it."""


def cluster_executor(
    cluster: Cluster,
    *,
    threads: int,
    timeout: float | None = None,
    max_memory: int | None = None,
    retries: int = 2,
) -> Executor[Any]:
    """Return a way of execution on a Dask cluster.

    A task whose worker is lost starts again on another; one that has lost so many workers is lost itself. A
    worker that cannot run tasks is left out. While there is none, tasks wait, up to the cluster's patience.

    Args:
        cluster: from `open_cluster`; it must stay open while tasks run.
        threads: CPU threads per slot.
        timeout: seconds that a task may take; None for no limit.
        max_memory: bytes that a task may take beyond what its process holds anyway; None for no limit.
        retries: how often a task is started again after its worker was lost.

    The generator raises `WorkerError` if the scheduler is lost, or there is no worker for too long: no task
    is to blame then.
    """

    def execute(
        tasks: Sequence[Task], work: Callable[[Any], Any], on_event: OnEvent
    ) -> Generator[Outcome[Any], None, None]:
        """Run the tasks on the cluster."""
        inbox: _Inbox = SimpleQueue()
        pattern = Assignment(
            run=f"bench-{secrets.token_hex(6)}",
            number=0,
            work=pickle.dumps(work),
            payload=b"",
            timeout=timeout,
            max_memory=max_memory,
            threads=threads,
            device=cluster.device,
        )
        dispatcher = _Dispatcher(cluster, pattern, retries, inbox.put)
        return _iterate(cluster, dispatcher, tasks, inbox, on_event)

    return execute


def _iterate(
    cluster: Cluster,
    dispatcher: _Dispatcher,
    tasks: Sequence[Task],
    inbox: _Inbox,
    on_event: OnEvent,
) -> Generator[Outcome[Any], None, None]:
    async def run() -> None:
        """Run all tasks and say in the inbox how that ended."""
        end: BaseException | None = None
        try:
            await dispatcher.run(tasks)
        except BaseException as error:
            end = error
            raise
        finally:
            inbox.put(end)

    running = cluster.begin(run())
    try:
        while (item := inbox.get()) is not None:
            if isinstance(item, Outcome):
                yield item
            elif isinstance(item, BaseException):
                raise item
            else:
                on_event(item)
    finally:
        running.cancel()
        with suppress(BaseException):
            cluster.begin(dispatcher.leave()).result(ANSWER_SECONDS)


@dataclass(order=True)
class _Entry:
    """A task that is to be run, in the order in which they start."""

    rank: tuple[float, int]
    task: Task = field(compare=False)
    payload: bytes = field(compare=False)
    admitted: bool = field(default=False, compare=False)
    losses: int = field(default=0, compare=False)


@dataclass
class _Worker:
    """A Dask worker in use."""

    facts: Facts
    slots: int
    attempts: dict[int, _Attempt] = field(default_factory=dict)


def _death(address: str) -> Loss:
    return Loss("worker", f"its Dask worker {address} was lost", outside=True)


@dataclass
class _Attempt:
    """A task that has been given to a worker."""

    number: int
    entry: _Entry
    worker: _Worker
    began: float
    job: asyncio.Task[None] | None = None
    future: Any = None
    slot: Slot | None = None
    abandoned: bool = False


class _Dispatcher:
    """The state of one execution; all but `__init__` runs in the cluster's loop."""

    def __init__(
        self,
        cluster: Cluster,
        pattern: Assignment,
        retries: int,
        put: Callable[[Event | Outcome[Any]], None],
    ) -> None:
        self._cluster, self._pattern, self._retries, self._put = cluster, pattern, retries, put
        self._client = cluster.client
        self._queue: list[_Entry] = []
        self._workers: dict[str, _Worker] = {}
        self._unfit: dict[str, str] = {}
        self._attempts: dict[int, _Attempt] = {}
        self._number = 0
        self._changed = asyncio.Event()

    async def run(self, tasks: Sequence[Task]) -> None:
        """Run all tasks to their ends."""
        self._client.subscribe_topic(self._pattern.run, self._hear)
        for order, task in enumerate(tasks):
            self._enqueue(task, order)
        alone_since: float | None = None
        next_look = 0.0
        while self._queue or self._attempts:
            if time.monotonic() >= next_look:
                await self._look()
                next_look = time.monotonic() + _POLL
            if any(worker.slots for worker in self._workers.values()):
                alone_since = None
                self._fill()
            elif self._queue and self._admitted_head():
                if alone_since is None:
                    alone_since = time.monotonic()
                    self._put(Notice(waiting(self._cluster.address, self._cluster.patience)))
                elif time.monotonic() - alone_since > self._cluster.patience:
                    raise self._cluster.nobody(next(reversed(self._unfit.values()), ""))
            self._changed.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _POLL)

    async def leave(self) -> None:
        """Cancel what runs, end the children of this run in all workers, and stop listening."""
        jobs = [attempt.job for attempt in self._attempts.values() if attempt.job is not None]
        await self._abandon([*self._attempts.values()])
        if jobs:
            await asyncio.wait(jobs, timeout=_POLL)
        with suppress(Exception):
            self._client.unsubscribe_topic(self._pattern.run)
            await asyncio.wait_for(
                self._client.run(release, self._pattern.run, workers=[*self._workers], on_error="ignore"),
                ANSWER_SECONDS / 3,
            )

    def _enqueue(self, task: Task, order: int) -> None:
        try:
            payload = pickle.dumps(task.payload, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            self._put(Outcome(task, _NOWHERE, None, unsendable("payload", error), 0.0))
            return
        heapq.heappush(self._queue, _Entry((-task.cost, order), task, payload))

    async def _look(self) -> None:
        """See which workers have come and gone."""
        if self._client.status != "running":
            raise self._disconnected()
        try:
            present = await asyncio.wait_for(self._client.nthreads(), ANSWER_SECONDS)
            for address in self._workers.keys() - present.keys():
                await self._dismiss(address)
            self._unfit = {address: why for address, why in self._unfit.items() if address in present}
            new = sorted(present.keys() - self._workers.keys() - self._unfit.keys())
            found = await self._cluster.survey(new) if new else {}
        except (OSError, asyncio.TimeoutError) as error:
            raise self._disconnected() from error
        for address, facts in found.items():
            self._welcome(address, facts)

    def _welcome(self, address: str, facts: Facts | str) -> None:
        if isinstance(facts, Facts):
            facts = shared_device([worker.facts for worker in self._workers.values()], facts) or facts
        if isinstance(facts, str):
            self._reject(address, facts)
        elif slots := facts.slots(self._cluster.resource):
            self._workers[address] = _Worker(facts, slots)
        else:
            self._reject(address, f"the Dask worker {address} declares no {self._cluster.resource}")

    def _reject(self, address: str, reason: str) -> None:
        self._unfit[address] = reason
        self._put(Notice(f"left out: {reason}"))

    async def _dismiss(self, address: str) -> None:
        """Take back what a lost worker had."""
        attempts = [*self._workers.pop(address).attempts.values()]
        await self._abandon(attempts)
        for attempt in attempts:
            self._take_back(attempt, _death(address))

    async def _abandon(self, attempts: Sequence[_Attempt]) -> None:
        """Cancel attempts; however they end from now on, nobody wants to know."""
        for attempt in attempts:
            self._attempts.pop(attempt.number, None)
            attempt.abandoned = True
        with suppress(Exception):
            await self._client.cancel([attempt.future for attempt in attempts if attempt.future], force=True)

    def _take_back(
        self, attempt: _Attempt, lost: Loss, seconds: float | None = None, output: str = ""
    ) -> None:
        """Let a task that lost its worker start again, unless that has happened too often."""
        self._attempts.pop(attempt.number, None)
        entry, slot = attempt.entry, attempt.slot or _NOWHERE
        entry.losses += 1
        attempts = 1 + self._retries
        if entry.losses < attempts:
            self._put(Retried(entry.task, slot, lost, entry.losses + 1, attempts))
            heapq.heappush(self._queue, entry)
            return
        if attempts > 1:
            lost = replace(lost, reason=f"{lost.reason}; {attempts} attempts were made")
        since = time.monotonic() - attempt.began if seconds is None else seconds
        self._put(Outcome(entry.task, slot, None, lost, since, output))

    def _admitted_head(self) -> bool:
        """Put aside whatever may not start; tell whether anything is left."""
        while self._queue:
            head = self._queue[0]
            head.admitted = head.admitted or head.task.admit()
            if head.admitted:
                return True
            self._put(put_aside(heapq.heappop(self._queue).task, _NOWHERE))
        return False

    def _fill(self) -> None:
        """Give the longest tasks to free slots."""
        while free := [worker for worker in self._workers.values() if len(worker.attempts) < worker.slots]:
            if not self._admitted_head():
                return
            worker = min(free, key=lambda worker: len(worker.attempts) / worker.slots)
            self._assign(heapq.heappop(self._queue), worker)

    def _assign(self, entry: _Entry, worker: _Worker) -> None:
        self._number += 1
        attempt = _Attempt(self._number, entry, worker, time.monotonic())
        self._attempts[attempt.number] = worker.attempts[attempt.number] = attempt
        attempt.job = asyncio.create_task(self._follow(attempt))

    async def _follow(self, attempt: _Attempt) -> None:
        """See an attempt through to its end, whatever that is."""
        cluster, address = self._cluster, attempt.worker.facts.address
        assignment = replace(self._pattern, number=attempt.number, payload=attempt.entry.payload)
        try:
            attempt.future = self._client.submit(
                perform,
                assignment,
                key=f"{assignment.run}-{attempt.number}",
                workers=[address],
                resources=None if cluster.resource is None else {cluster.resource: 1},
                pure=False,
            )
            answer = await self._client.gather(attempt.future)
        except Exception as error:
            if not attempt.abandoned:
                self._failed(attempt, error)
        else:
            if not attempt.abandoned:
                self._ended(attempt, answer)
        finally:
            attempt.worker.attempts.pop(attempt.number, None)
            self._changed.set()

    def _ended(self, attempt: _Attempt, answer: Answer) -> None:
        finished, task = answer.finished, attempt.entry.task
        if finished.lost is not None and finished.lost.exception == Misplaced.__name__:
            self._leave_out(attempt, finished.lost.reason.partition(": ")[2])
            return
        if finished.lost is not None and finished.lost.outside:
            self._take_back(attempt, finished.lost, finished.seconds, answer.output)
            return
        self._attempts.pop(attempt.number, None)
        if attempt.slot is None:
            self._put(Started(task, answer.slot))
        value, lost = received(finished)
        self._put(Outcome(task, answer.slot, value, lost, finished.seconds, answer.output))

    def _failed(self, attempt: _Attempt, error: Exception) -> None:
        """Deal with an error that is Dask's or the worker's own: the work's errors come as answers."""
        from distributed import KilledWorker

        if self._client.status != "running":
            return  # `_look` finds out, and ends the run
        address = attempt.worker.facts.address
        if isinstance(error, KilledWorker):
            self._take_back(attempt, _death(address))
        else:
            text = " ".join(str(error).split()) or type(error).__name__
            self._leave_out(attempt, f"the Dask worker {address} cannot run cells: {text}")

    def _leave_out(self, attempt: _Attempt, reason: str) -> None:
        """Stop using a worker that cannot run a task, and let the task run elsewhere."""
        self._attempts.pop(attempt.number, None)
        heapq.heappush(self._queue, attempt.entry)
        if attempt.worker.slots:
            attempt.worker.slots = 0  # what else runs there may end
            self._reject(attempt.worker.facts.address, reason)

    def _hear(self, event: tuple[float, Any]) -> None:
        """Pass on what a worker says of an attempt."""
        number, slot, message = pickle.loads(event[1])  # noqa: S301 (from our own workers)
        attempt = self._attempts.get(number)
        if attempt is None:
            return
        attempt.slot = slot
        task = attempt.entry.task
        self._put(Started(task, slot) if message == STARTED else Progress(task, slot, message))

    def _disconnected(self) -> WorkerError:
        return WorkerError(
            f"the Dask scheduler at {self._cluster.address} no longer answers; what is finished is recorded: "
            "start it and its workers, and run again"
        )
