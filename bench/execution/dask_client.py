"""A Dask cluster: the connection to its scheduler, and an executor that runs tasks on its workers."""

from __future__ import annotations

import asyncio
import heapq
import logging
import pickle
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from bench.contract.errors import UsageError
from bench.execution.dask_checks import Device, Facts, choose_resource, describe, problem, shared_device
from bench.execution.dask_worker import Answer, Assignment, perform, release
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

T = TypeVar("T")

_CONNECT_SECONDS: Final = 5.0
"""Time for the scheduler to answer: with the start of the command it stays below 10 s."""

ANSWER_SECONDS: Final = 30.0
"""Time for a scheduler, and for workers, that are there to answer a question."""

_CLOSE_SECONDS: Final = 1.5
_POLL: Final = 1.0

HOW: Final = 'dask worker ADDRESS --nthreads 1 --resources "cell=1"'


@dataclass(frozen=True)
class Cluster:
    """A Dask cluster that is there.

    Attributes:
        address: of its scheduler, as the user named it.
        client: an asynchronous `distributed.Client`; to be used within `loop` only.
        loop: its event loop, which runs in a thread of its own.
        device: kind of device that cells run on, ``cpu`` or ``cuda``.
        resource: worker resource that is a slot; None where each thread of a worker is one.
        patience: seconds to wait while there is no worker.
        workers: that were there when the connection was made.
    """

    address: str
    client: Any
    loop: asyncio.AbstractEventLoop
    device: Device
    resource: str | None
    patience: float
    workers: Sequence[Facts]

    def slots(self, threads: int) -> list[Slot]:
        """Return the slots of these workers, each for ``threads`` CPU threads; more may come."""
        device = "cpu" if self.device == "cpu" else "cuda:0"
        return [
            Slot(f"{facts.address}/{number}", device, threads, place=facts.address)
            for facts in self.workers
            for number in range(facts.slots(self.resource))
        ]

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine in the cluster's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    async def survey(self, addresses: list[str]) -> dict[str, Facts | str]:
        """Return what these workers are, or in one sentence why one is of no use."""
        return await survey(self.client, addresses)

    def nobody(self, last: str = "") -> WorkerError:
        """Return the error that no worker is there."""
        return nobody_at(self.address, self.patience, last)


@contextmanager
def open_cluster(
    address: str, *, device: str = "auto", patience: float = 300.0, say: Callable[[str], None] = print
) -> Iterator[Cluster]:
    """Connect to a scheduler, wait until a worker is there, and check all that are.

    Args:
        address: such as ``tcp://host:8786``.
        device: ``cpu``, ``cuda``, or ``auto`` for GPUs if any worker declares the resource ``GPU``.
        patience: seconds to wait for a first worker.
        say: told in one sentence that there is none yet.

    Raises:
        UsageError: if Dask is not installed, no scheduler answers within 10 s, or a worker does not fit.
        WorkerError: if no worker comes.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"--devices {device} names devices of this machine, but with --executor dask each worker has its "
            "own; use cpu, cuda or auto"
        )
    _require_dask()
    with _quiet(), _running_loop() as loop:
        client = _result(asyncio.run_coroutine_threadsafe(_connect(address), loop))
        try:
            workers = _result(
                asyncio.run_coroutine_threadsafe(_first_workers(client, address, patience, say), loop)
            )
            kind, resource = choose_resource(device, workers)
            _require_slots(workers, resource)
            yield Cluster(address, client, loop, kind, resource, patience, workers)
        finally:
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(_close(client), loop).result(ANSWER_SECONDS)


async def survey(client: Any, addresses: list[str]) -> dict[str, Facts | str]:
    """Ask workers what they are; a sentence stands for one that is of no use.

    Args:
        client: asynchronous.
        addresses: of the workers.
    """
    answers = await asyncio.wait_for(
        client.run(describe, workers=addresses, on_error="return"), ANSWER_SECONDS
    )
    found: dict[str, Facts | str] = {}
    for address in addresses:
        facts = _facts(address, answers.get(address))
        if isinstance(facts, Facts):
            sound = [other for other in found.values() if isinstance(other, Facts)]
            facts = problem(facts) or shared_device(sound, facts) or facts
        found[address] = facts
    return found


def nobody_at(address: str, patience: float, last: str) -> WorkerError:
    """Return the error that no worker is there, with the last reason why one was of no use."""
    because = f" (last: {last})" if last else ""
    return WorkerError(
        f"there was no Dask worker to use at {address} for {patience:g} s{because}; what is finished is "
        f"recorded: start workers ({HOW.replace('ADDRESS', address)}) and run again, with more --patience "
        "if they take long to come"
    )


def _facts(address: str, answer: Any) -> Facts | str:
    if isinstance(answer, dict):
        try:
            return Facts(**answer)
        except TypeError:
            return f"the Dask worker {address} has another version of this project; start it anew"
    if isinstance(answer, ImportError | AttributeError):
        return (
            f"the Dask worker {address} cannot load this project ({answer}); "
            "install it where the workers run (pip install -e '.[dask]'), and start them from there"
        )
    return f"the Dask worker {address} does not answer ({answer!r})"


def _require_dask() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"--executor dask needs Dask, which cannot be loaded here ({error}): pip install -e '.[dask]'"
        ) from error


async def _connect(address: str) -> Any:
    from distributed import Client

    client = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions: what matters is checked by `survey`
            client = Client(  # type: ignore[no-untyped-call]
                address, asynchronous=True, timeout=_CONNECT_SECONDS, set_as_default=False, name="bench"
            )
            await asyncio.wait_for(client, _CONNECT_SECONDS)
    except Exception as error:  # whatever answers there may say anything
        if client is not None:
            with suppress(Exception):
                await _close(client)
        raise UsageError(
            f"no Dask scheduler answers at {address!r} ({_refusal(error)}); "
            "`dask scheduler` prints the address to use, such as tcp://host:8786"
        ) from error
    return client


async def _first_workers(
    client: Any, address: str, patience: float, say: Callable[[str], None]
) -> list[Facts]:
    end = time.monotonic() + patience
    told = False
    while True:
        present = await asyncio.wait_for(client.nthreads(), ANSWER_SECONDS)
        if present:
            found = await survey(client, sorted(present))
            for sentence in found.values():
                if isinstance(sentence, str) and "does not answer" not in sentence:
                    raise UsageError(sentence)
            sound = [facts for facts in found.values() if isinstance(facts, Facts)]
            if sound:
                return sound
        if time.monotonic() >= end:
            raise nobody_at(address, patience, "")
        if not told:
            say(waiting(address, patience))
            told = True
        await asyncio.sleep(_POLL)


def waiting(address: str, patience: float) -> str:
    """Say that there is no worker."""
    return (
        f"there is no Dask worker at {address}; waiting up to {patience:g} s for one: "
        f"{HOW.replace('ADDRESS', address)}"
    )


def _require_slots(workers: list[Facts], resource: str | None) -> None:
    if not any(facts.slots(resource) for facts in workers):
        raise UsageError(
            f"none of the {len(workers)} Dask workers declares the resource {resource}; "
            f'start them with --resources "{resource}=1", or use --devices cpu'
        )


async def _close(client: Any) -> None:
    await asyncio.wait_for(client.close(), _CLOSE_SECONDS)


def _result(future: Future[T]) -> T:
    """Wait for a future; whatever ends the waiting ends what it waits for, too."""
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


@contextmanager
def _running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="dask-client", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(ANSWER_SECONDS)
        if not loop.is_running():
            loop.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own messages from the terminal: what matters is said in our own words."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith(("distributed", "tornado"))]
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _refusal(error: Exception) -> str:
    """Return why there is no connection, in a few words."""
    # Dask's own error for a time that is over has no type of its own.
    if isinstance(error, TimeoutError | asyncio.TimeoutError) or "Timed out" in str(error):
        return f"waited {_CONNECT_SECONDS:g} s"
    if isinstance(error, MemoryError):  # what should be the length of a message is something else
        return "what answers there speaks another language"
    return (str(error) or type(error).__name__).splitlines()[0][:200]


_NOWHERE: Final = Slot("dask", "cpu", 1)

_Inbox = SimpleQueue[Event | Outcome[Any] | BaseException | None]
"""What the cluster's loop tells the caller's thread; at the end None, or what ended it."""


def dask_executor(
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
