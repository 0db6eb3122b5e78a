"""A Dask cluster: the connection to its scheduler, and an executor that runs tasks on its workers.

Dask would also assign tasks by itself, but it does so in advance: the death of a worker would be blamed on
tasks that only waited there, and claims would be made long before a cell starts. So there are never more Dask
tasks than free slots, and each is bound to one worker. Nothing that a worker answers is believed unchecked,
and every answer has a time limit of the client.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import secrets
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

import msgspec

from bench.contract.errors import UsageError
from bench.execution.dask_worker import (
    Answer,
    Assignment,
    Device,
    Facts,
    Report,
    choose_resource,
    describe,
    perform,
    problem,
    release,
    shared_device,
)
from bench.execution.local import received, unsendable
from bench.execution.tasks import (
    Executor,
    Loss,
    Notice,
    OnEvent,
    Outcome,
    Progress,
    Retried,
    Slot,
    Started,
    Task,
    WorkerError,
    WrongMachine,
    given_up,
)
from bench.execution.worker_process import pickled

T = TypeVar("T")

_CONNECT_SECONDS: Final = 5.0
"""Time for the scheduler to answer: with the start of the command it stays below 10 s."""

_ANSWER_SECONDS: Final = 30.0
"""Time for a scheduler or a worker to answer a question."""

_ALLOWANCE: Final = 120.0
"""Time beyond a task's own: the import of its plug-in, and the way back."""

_START_SECONDS: Final = 300.0
"""Time for a Dask worker to start a task that it was given."""

_CLOSE_SECONDS: Final = 1.5
_POLL: Final = 1.0
_NOWHERE: Final = Slot("dask", "cpu", 1)
_HOW: Final = 'dask worker {} --nthreads 1 --resources "cell=1"'


@dataclass(frozen=True)
class Cluster:
    """A Dask cluster.

    Attributes:
        address: of its scheduler, as the user named it.
        client: an asynchronous `distributed.Client`; `ask` awaits what it returns.
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

    def ask(self, question: Callable[[], Awaitable[T]], seconds: float = _ANSWER_SECONDS) -> T:
        """Return the answer to a question.

        Raises:
            TimeoutError: if there is none in time.
        """
        return _ask(self.loop, question, seconds)

    def slots(self, threads: int) -> list[Slot]:
        """Return the slots of these workers, each for ``threads`` CPU threads; more may come."""
        device = "cpu" if self.device == "cpu" else "cuda:0"
        return [
            Slot(f"{facts.address}/{number}", device, threads, host_device=facts.address)
            for facts in self.workers
            for number in range(facts.slots(self.resource))
        ]


@contextmanager
def open_cluster(
    address: str, *, device: str = "auto", patience: float = 300.0, say: Callable[[str], None] = print
) -> Iterator[Cluster]:
    """Connect to a scheduler, wait until a worker is there, and check all that are.

    Args:
        address: such as ``tcp://host:8786``; with ``tls://`` the certificates come from Dask's configuration.
        device: ``cpu``, ``cuda``, or ``auto`` for GPUs if any worker declares the resource ``GPU``.
        patience: seconds to wait for a first worker.
        say: receives a sentence if there is none yet.

    Raises:
        UsageError: if Dask is not installed, no scheduler answers within 10 s, or a worker does not fit.
        WorkerError: if no worker comes.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"--devices {device} names devices of this machine, but with --executor dask each worker has its "
            "own; use cpu, cuda or auto"
        )
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"--executor dask needs Dask, which cannot be loaded here ({error}): pip install -e '.[dask]'"
        ) from error
    with _quiet(), _running_loop() as loop:
        client = _ask(loop, lambda: _connect(address), 2 * _CONNECT_SECONDS)
        try:
            workers = _first_workers(loop, client, address, patience, say)
            kind, resource = choose_resource(device, workers)
            if not any(facts.slots(resource) for facts in workers):
                raise UsageError(
                    f"none of the {len(workers)} Dask workers declares the resource {resource}; "
                    f'start them with --resources "{resource}=1", or use --devices cpu'
                )
            yield Cluster(address, client, loop, kind, resource, patience, workers)
        finally:
            with suppress(Exception):
                _ask(loop, client.close, _CLOSE_SECONDS)


def dask_executor(
    cluster: Cluster,
    *,
    threads: int,
    timeout: float | None = None,
    max_memory: int | None = None,
    retries: int = 2,
) -> Executor[Any]:
    """Return an executor on a Dask cluster.

    A task whose worker is lost starts again on another; one that has lost so many workers is lost itself. A
    worker that cannot run tasks, or whose answers cannot be believed, is left out. While there is none, tasks
    wait, up to the cluster's patience.

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
        run = f"bench-{secrets.token_hex(6)}"
        pattern = Assignment(run, "", pickled(work), b"", timeout, max_memory, threads, cluster.device)
        return _DaskRun(cluster, pattern, work, 1 + retries, on_event).outcomes(tasks)

    return execute


@dataclass(order=True)
class _Waiting:
    """A task that is to be run; the order is that in which they start."""

    rank: tuple[float, int]
    task: Task = field(compare=False)
    payload: bytes = field(compare=False)
    admitted: bool = field(default=False, compare=False)
    losses: int = field(default=0, compare=False)


@dataclass
class _Worker:
    """A Dask worker in use, and how many attempts run there."""

    facts: Facts
    slots: int
    busy: int = 0


@dataclass
class _Attempt:
    """A task that has been given to a worker.

    Attributes:
        deadline: when the client gives up waiting for the worker.
    """

    waiting: _Waiting
    address: str
    future: Any
    began: float
    deadline: float
    slot: Slot | None = None


class _DaskRun:
    """The state of one execution; events and finished futures arrive in one queue."""

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
        self._queue: list[_Waiting] = []
        self._workers: dict[str, _Worker] = {}
        self._unfit: dict[str, str] = {}
        self._attempts: dict[str, _Attempt] = {}
        self._number = 0
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._alone_since: float | None = None

    def outcomes(self, tasks: Sequence[Task]) -> Generator[Outcome[Any], None, None]:
        """Run all tasks to their ends."""
        self._client.subscribe_topic(self._pattern.run, lambda event: self._inbox.put(event[1]))
        try:
            for order, task in enumerate(tasks):
                try:
                    waiting = _Waiting((-task.cost, order), task, pickled(task.payload))
                except Exception as error:
                    yield Outcome(task, _NOWHERE, None, unsendable("payload", error), 0.0)
                else:
                    heapq.heappush(self._queue, waiting)
            next_look = 0.0
            while self._queue or self._attempts:
                if time.monotonic() >= next_look:
                    yield from self._look()
                    next_look = time.monotonic() + _POLL
                yield from self._fill()
                if self._attempts or self._queue:
                    with suppress(Empty):
                        yield from self._take(self._inbox.get(timeout=_POLL))
        finally:
            self._leave()

    def _leave(self) -> None:
        """Cancel what runs, end the children of this run in all workers, and stop listening."""
        with suppress(Exception):
            self._client.unsubscribe_topic(self._pattern.run)
            self._cancel([*self._attempts.values()])
            self._cluster.ask(
                lambda: self._client.run(
                    release, self._pattern.run, workers=[*self._workers], on_error="ignore"
                ),
                _ANSWER_SECONDS / 3,
            )

    def _cancel(self, attempts: Sequence[_Attempt]) -> None:
        """Cancel attempts; however they end from now on, it does not matter."""
        with suppress(Exception):
            futures = [attempt.future for attempt in attempts]
            self._cluster.ask(lambda: self._client.cancel(futures, force=True))

    def _look(self) -> Iterator[Outcome[Any]]:
        """See which workers have come and gone, and which attempts are overdue."""
        try:
            if self._client.status != "running":
                raise OSError("the connection is closed")
            present = {*self._cluster.ask(self._client.nthreads)}
            for address in self._workers.keys() - present:
                del self._workers[address]
            self._unfit = {address: why for address, why in self._unfit.items() if address in present}
            new = sorted(present - self._workers.keys() - self._unfit.keys())
            found = self._cluster.ask(lambda: _survey(self._client, new), 2 * _ANSWER_SECONDS) if new else {}
        except (OSError, TimeoutError, asyncio.TimeoutError) as error:
            raise WorkerError(
                f"the Dask scheduler at {self._cluster.address} no longer answers; what is finished is "
                "recorded: start it and its workers, and run again"
            ) from error
        for address, facts in found.items():
            self._welcome(address, facts)
        for key, attempt in [*self._attempts.items()]:
            if attempt.address not in present:
                yield from self._lose(key, f"its Dask worker {attempt.address} was lost")
            elif time.monotonic() > attempt.deadline:
                self._reject(attempt.address, f"the Dask worker {attempt.address} does not answer in time")
                yield from self._lose(key, f"its Dask worker {attempt.address} did not answer in time")

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
        """Give no more tasks to a worker; what runs there may end."""
        if address not in self._unfit:
            self._unfit[address] = reason
            self._on_event(Notice(f"left out: {reason}"))
        self._workers.pop(address, None)

    def _fill(self) -> Iterator[Outcome[Any]]:
        """Give the longest tasks to free slots, and wait no longer than allowed where there is none."""
        while self._queue:
            free = [worker for worker in self._workers.values() if worker.busy < worker.slots]
            if not free and self._workers:
                break
            head = self._queue[0]
            head.admitted = head.admitted or head.task.admit()
            if not head.admitted:
                heapq.heappop(self._queue)
                yield Outcome(head.task, _NOWHERE, None, None, 0.0, skipped=True)
            elif free:
                self._submit(heapq.heappop(self._queue), min(free, key=lambda each: each.busy / each.slots))
            else:
                self._wait_for_workers()
                return
        self._alone_since = None

    def _wait_for_workers(self) -> None:
        """Note that there is no worker.

        Raises:
            WorkerError: if that is so for too long.
        """
        address, patience, now = self._cluster.address, self._cluster.patience, time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
            self._on_event(Notice(waiting(address, patience)))
        elif now - self._alone_since > patience:
            raise nobody_at(address, patience, next(reversed(self._unfit.values()), ""))

    def _submit(self, waiting: _Waiting, worker: _Worker) -> None:
        self._number += 1
        key = f"{self._pattern.run}-{self._number}"
        values = {name: getattr(self._pattern, name) for name in Assignment.__dataclass_fields__}
        future = self._client.submit(
            perform,
            Assignment(**{**values, "key": key, "payload": waiting.payload}),
            key=key,
            workers=[worker.facts.address],
            resources=None if self._cluster.resource is None else {self._cluster.resource: 1},
            pure=False,
        )
        worker.busy += 1
        now = time.monotonic()
        self._attempts[key] = _Attempt(waiting, worker.facts.address, future, now, now + _START_SECONDS)
        future.add_done_callback(self._inbox.put)

    def _take(self, item: Any) -> Iterator[Outcome[Any]]:
        """Deal with a report of a worker, or with a finished future."""
        if not hasattr(item, "key"):
            with suppress(msgspec.DecodeError, TypeError):
                self._hear(msgspec.msgpack.decode(item, type=Report))
        elif item.key in self._attempts:
            yield from self._ended(item.key, self._attempts[item.key])

    def _hear(self, report: Report) -> None:
        attempt = self._attempts.get(report.key)
        if attempt is None:
            return
        task = attempt.waiting.task
        if attempt.slot is None:
            attempt.slot = self._slot(report.slot)
            limit = math.inf if self._pattern.timeout is None else self._pattern.timeout + _ALLOWANCE
            attempt.deadline = time.monotonic() + limit
            self._on_event(Started(task, attempt.slot))
        if report.values is not None:
            self._on_event(Progress(task, attempt.slot, report.values))

    def _slot(self, name: str) -> Slot:
        device = "cpu" if self._cluster.device == "cpu" else "cuda:0"
        return Slot(name, device, self._pattern.threads)

    def _ended(self, key: str, attempt: _Attempt) -> Iterator[Outcome[Any]]:
        """Deal with a finished future: an answer, or an error of Dask or of the worker itself."""
        address, task = attempt.address, attempt.waiting.task
        try:
            content = self._cluster.ask(lambda: self._client.gather(attempt.future))
            answer = msgspec.msgpack.decode(content, type=Answer)
            if not 0 <= answer.finished.seconds < math.inf:
                raise ValueError("it took no time that can be")
        except Exception as error:
            if self._client.status != "running":
                return  # `_look` finds out, and ends the run
            if type(error).__name__ == "KilledWorker":
                yield from self._lose(key, f"its Dask worker {address} was lost")
                return
            text = " ".join(str(error).split()) or type(error).__name__
            self._reject(address, f"the Dask worker {address} cannot run cells: {text}")
            yield from self._lose(key, f"its Dask worker {address} gave no answer that can be read")
            return
        finished = answer.finished
        if finished.lost is not None and finished.lost.exception == WrongMachine.__name__:
            self._reject(address, finished.lost.reason.partition(": ")[2])
            heapq.heappush(self._queue, self._forget(key).waiting)
            return
        if finished.lost is not None and finished.lost.outside:
            yield from self._lose(key, finished.lost.reason, answer.output, finished.lost)
            return
        self._forget(key)
        slot = attempt.slot or self._slot(answer.slot)
        if attempt.slot is None:
            self._on_event(Started(task, slot))
        value, lost = received(finished, self._work)
        yield Outcome(task, slot, value, lost, finished.seconds, answer.output)

    def _forget(self, key: str) -> _Attempt:
        """Take an attempt off the books; its slot is free."""
        attempt = self._attempts.pop(key)
        if attempt.address in self._workers:
            self._workers[attempt.address].busy -= 1
        return attempt

    def _lose(
        self, key: str, reason: str, output: str = "", lost: Loss | None = None
    ) -> Iterator[Outcome[Any]]:
        """Let a task that lost its worker start again, unless that has happened too often."""
        attempt = self._forget(key)
        self._cancel([attempt])
        waiting, slot = attempt.waiting, attempt.slot or _NOWHERE
        lost = lost or Loss("worker", reason, outside=True)
        waiting.losses += 1
        if waiting.losses < self._allowed:
            self._on_event(Retried(waiting.task, slot, lost, waiting.losses + 1, self._allowed))
            heapq.heappush(self._queue, waiting)
        else:
            seconds = time.monotonic() - attempt.began
            yield Outcome(waiting.task, slot, None, given_up(lost, self._allowed), seconds, output)


def nobody_at(address: str, patience: float, last: str) -> WorkerError:
    """Return the error that no worker is there, with the last reason why one was of no use."""
    because = f" (last: {last})" if last else ""
    return WorkerError(
        f"there was no Dask worker to use at {address} for {patience:g} s{because}; what is finished is "
        f"recorded: start workers ({_HOW.format(address)}) and run again, with more --patience "
        "if they take long to come"
    )


def waiting(address: str, patience: float) -> str:
    """Return the sentence that there is no worker."""
    return (
        f"there is no Dask worker at {address}; waiting up to {patience:g} s for one: {_HOW.format(address)}"
    )


async def _connect(address: str) -> Any:
    from distributed import Client

    client = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions: what matters is checked by `problem`
            client = Client(  # type: ignore[no-untyped-call]
                address,
                asynchronous=True,
                timeout=_CONNECT_SECONDS,
                set_as_default=False,
                name="bench",
                serializers=["dask", "pickle"],
                deserializers=["dask", "msgpack", "error"],  # results are bytes; nothing else is taken
            )
            await asyncio.wait_for(client, _CONNECT_SECONDS)
            return client
    except Exception as error:  # whatever answers there may say anything
        if client is not None:
            with suppress(Exception):
                await asyncio.wait_for(client.close(), _CLOSE_SECONDS)  # type: ignore[no-untyped-call]
        raise UsageError(
            f"no Dask scheduler answers at {address!r} ({_refusal(error)}); "
            "`dask scheduler` prints the address to use, such as tcp://host:8786"
        ) from error


def _first_workers(
    loop: asyncio.AbstractEventLoop, client: Any, address: str, patience: float, say: Callable[[str], None]
) -> list[Facts]:
    """Wait for workers that can be used.

    Raises:
        UsageError: for a worker that answers and does not fit.
        WorkerError: if there is none for too long.
    """
    end = time.monotonic() + patience
    said = False
    while True:
        present = _ask(loop, client.nthreads, _ANSWER_SECONDS)
        if present:
            found = _ask(loop, partial(_survey, client, sorted(present)), 2 * _ANSWER_SECONDS)
            for sentence in found.values():
                if isinstance(sentence, str) and "does not answer" not in sentence:
                    raise UsageError(sentence)
            sound = [facts for facts in found.values() if isinstance(facts, Facts)]
            if sound:
                return sound
        if time.monotonic() >= end:
            raise nobody_at(address, patience, "")
        if not said:
            say(waiting(address, patience))
            said = True
        time.sleep(_POLL)


async def _survey(client: Any, addresses: list[str]) -> dict[str, Facts | str]:
    """Ask workers what they are; a sentence stands for one that is of no use, or does not answer in time."""

    async def describe_one(address: str) -> Any:
        question = client.run(describe, workers=[address], on_error="return")
        try:
            return (await asyncio.wait_for(question, _ANSWER_SECONDS))[address]
        except Exception as error:
            return error

    answers = await asyncio.gather(*map(describe_one, addresses))
    found: dict[str, Facts | str] = {}
    for address, answer in zip(addresses, answers, strict=True):
        facts = _facts(address, answer)
        if isinstance(facts, Facts):
            sound = [other for other in found.values() if isinstance(other, Facts)]
            facts = problem(facts) or shared_device(sound, facts) or facts
        found[address] = facts
    return found


def _facts(address: str, answer: Any) -> Facts | str:
    if isinstance(answer, bytes):
        with suppress(msgspec.DecodeError):
            facts = msgspec.json.decode(answer, type=Facts)
            if facts.address == address:
                return facts
        return f"the Dask worker {address} has another version of this project; start it anew"
    if isinstance(answer, OSError | TimeoutError | asyncio.TimeoutError):
        return f"the Dask worker {address} does not answer ({answer!r})"
    # Its own exception cannot be read: it is a pickled object.
    return (
        f"the Dask worker {address} cannot load this project; "
        "install it where the workers run (pip install -e '.[dask]'), and start them from there"
    )


def _ask(loop: asyncio.AbstractEventLoop, question: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Return the answer to a question that is put in a loop; what ends the waiting ends both.

    Raises:
        TimeoutError: if there is none in time.
    """

    async def wait() -> T:
        return await asyncio.wait_for(question(), seconds)

    future = asyncio.run_coroutine_threadsafe(wait(), loop)
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
        thread.join(_ANSWER_SECONDS)
        if not loop.is_running():
            loop.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's messages from the terminal: what matters is an event or an error here."""
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
    # Dask's error for a time that is over has no type of its own.
    if isinstance(error, TimeoutError | asyncio.TimeoutError) or "Timed out" in str(error):
        return f"waited {_CONNECT_SECONDS:g} s"
    if isinstance(error, MemoryError):  # what should be the length of a message is something else
        return "what answers there speaks another language"
    return (str(error) or type(error).__name__).splitlines()[0][:200]
