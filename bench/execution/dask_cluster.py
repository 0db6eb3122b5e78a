"""A Dask cluster: the connection to its scheduler, and the check of its workers.

Every answer of a worker is checked, and has a time limit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from bench.contract.errors import UsageError
from bench.execution.dask_worker import Device, Facts, choose_resource, describe, problem, shared_device
from bench.execution.devices import inside
from bench.execution.tasks import Slot, WorkerError

T = TypeVar("T")

CONNECT_SECONDS: Final = 5.0
"""Time to connect to the scheduler: with the start of the command it is below 10 s."""

ANSWER_SECONDS: Final = 30.0
"""Time for an answer of the scheduler or a worker."""

POLL: Final = 1.0
TIMEOUTS: Final = (TimeoutError, asyncio.TimeoutError)  # two types before Python 3.11
_CLOSE_SECONDS: Final = 1.5
_HOW: Final = 'dask worker {} --nthreads 1 --resources "cell=1"'


@dataclass
class Cluster:
    """A connection to a Dask cluster, whose scheduler has this address.

    Attributes:
        loop: event loop of the client, in a separate thread.
        patience: seconds to wait while there is no worker.
        client: an asynchronous `distributed.Client`.
        workers: at the time of the connection.
        resource: worker resource of a slot; None if each thread of a worker is a slot.
    """

    address: str
    loop: asyncio.AbstractEventLoop
    patience: float
    client: Any = None
    workers: Sequence[Facts] = ()
    device: Device = "cpu"
    resource: str | None = None

    def ask(self, question: Callable[[], Awaitable[T]], seconds: float = ANSWER_SECONDS) -> T:
        """Return the result of a coroutine of the client, which is cancelled with the waiting.

        Raises:
            TimeoutError: if there is none in time.
        """

        async def wait() -> T:
            return await asyncio.wait_for(question(), seconds)

        future = asyncio.run_coroutine_threadsafe(wait(), self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def slots(self, threads: int) -> list[Slot]:
        """Return the slots of `workers`, each for ``threads`` CPU threads; more may be added later."""
        return [
            Slot(f"{facts.address}/{number}", inside(self.device), threads, host_device=facts.address)
            for facts in self.workers
            for number in range(facts.slots(self.resource))
        ]

    def check_workers(self, addresses: Sequence[str], known: Iterable[Facts] = ()) -> dict[str, Facts | str]:
        """Return the facts of workers, or in one sentence why one cannot be used."""

        async def describe_one(address: str) -> Any:
            question = self.client.run(describe, workers=[address], on_error="return")
            try:
                return (await asyncio.wait_for(question, ANSWER_SECONDS))[address]
            except Exception as error:
                return error

        async def describe_all() -> list[Any]:
            return await asyncio.gather(*map(describe_one, addresses))

        found: dict[str, Facts | str] = {}
        sound = [*known]
        for address, answer in zip(addresses, self.ask(describe_all, 2 * ANSWER_SECONDS), strict=True):
            found[address] = facts = _facts_or_reason(address, answer, sound)
            sound += [facts] if isinstance(facts, Facts) else []
        return found

    def waiting(self) -> str:
        """Return the sentence for a cluster without workers."""
        how, patience = _HOW.format(self.address), self.patience
        return f"there is no Dask worker at {self.address}; waiting up to {patience:g} s for one: {how}"

    def no_workers_error(self, last: str = "") -> WorkerError:
        """Return the error for a cluster without workers, with the reason why the last one was left out."""
        because = f" (last: {last})" if last else ""
        return WorkerError(
            f"there was no Dask worker to use at {self.address} for {self.patience:g} s{because}; finished "
            f"cells are recorded: start workers ({_HOW.format(self.address)}) and run again, with more "
            "--patience if they start slowly"
        )


@contextmanager
def open_cluster(
    address: str, *, device: str = "auto", patience: float = 300.0, report: Callable[[str], None] = print
) -> Iterator[Cluster]:
    """Connect to a scheduler, wait for a first worker for ``patience`` seconds, and check all workers.

    The address is such as ``tcp://host:8786``; with ``tls://`` the certificates are those of Dask's
    configuration. The device is ``cpu``, ``cuda``, or ``auto`` for GPUs if a worker declares the resource
    ``GPU``.

    Raises:
        UsageError: if Dask is not installed, no scheduler answers within 10 s, or a worker is refused.
        WorkerError: if there is no worker.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"--devices {device} names devices of this machine, but --executor dask uses those of its "
            "workers; use cpu, cuda or auto"
        )
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"--executor dask needs Dask, which cannot be loaded here ({error}): "
            "pip install 'cross-modal-bench[dask]'"
        ) from error
    with _quiet(), _running_loop() as loop:
        cluster = Cluster(address, loop, patience)
        cluster.client = cluster.ask(lambda: _connect(address), 2 * CONNECT_SECONDS)
        try:
            cluster.workers = _first_workers(cluster, report)
            cluster.device, cluster.resource = choose_resource(device, cluster.workers)
            if not cluster.slots(1):
                raise UsageError(
                    f"none of the {len(cluster.workers)} Dask workers declares the resource "
                    f'{cluster.resource}; start them with --resources "{cluster.resource}=1", '
                    "or use --devices cpu"
                )
            yield cluster
        finally:
            with suppress(Exception):
                cluster.ask(cluster.client.close, _CLOSE_SECONDS)


async def _connect(address: str) -> Any:
    from distributed import Client

    client = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions, which `problem` checks
            client = Client(  # type: ignore[no-untyped-call]
                address,
                asynchronous=True,
                timeout=CONNECT_SECONDS,
                set_as_default=False,
                name="bench",
                serializers=["dask", "pickle"],
                deserializers=["dask", "msgpack", "error"],  # no pickle: results are bytes
            )
            await asyncio.wait_for(client, CONNECT_SECONDS)
            return client
    except Exception as error:  # the address may be that of any server
        if client is not None:
            with suppress(Exception):
                await asyncio.wait_for(client.close(), _CLOSE_SECONDS)  # type: ignore[no-untyped-call]
        why = (str(error) or type(error).__name__).splitlines()[0][:200]
        # Dask's timeout may be a plain OSError.
        if isinstance(error, TIMEOUTS) or "Timed out" in why:
            why = f"waited {CONNECT_SECONDS:g} s"
        elif isinstance(error, MemoryError):  # the length of a message is impossible
            why = "the server has another protocol"
        raise UsageError(
            f"no Dask scheduler answers at {address!r} ({why}); "
            "`dask scheduler` prints the address to use, such as tcp://host:8786"
        ) from error


def _first_workers(cluster: Cluster, report: Callable[[str], None]) -> list[Facts]:
    """Wait for usable workers; raises `UsageError`, `WorkerError`."""
    end, announced = time.monotonic() + cluster.patience, False
    while True:
        present = sorted(cluster.ask(cluster.client.nthreads))
        checked = [*cluster.check_workers(present).values()] if present else []
        for facts in checked:
            if isinstance(facts, str) and "does not answer" not in facts:
                raise UsageError(facts)
        sound = [facts for facts in checked if isinstance(facts, Facts)]
        if sound:
            return sound
        if time.monotonic() >= end:
            raise cluster.no_workers_error()
        if not announced:
            report(cluster.waiting())
            announced = True
        time.sleep(POLL)


def _facts_or_reason(address: str, answer: Any, others: Iterable[Facts]) -> Facts | str:
    """Return the facts of a worker, or in one sentence why it cannot be used."""
    if isinstance(answer, bytes):
        with suppress(msgspec.DecodeError):
            facts = msgspec.json.decode(answer, type=Facts)
            if facts.address == address:
                return problem(facts) or shared_device(others, facts) or facts
        return f"the Dask worker {address} has another version of this project; start it anew"
    if isinstance(answer, (OSError, *TIMEOUTS)):
        return f"the Dask worker {address} does not answer ({answer!r})"
    # An exception of the worker is a pickled object, which is not read.
    return (
        f"the Dask worker {address} cannot load this project; "
        "install it where the workers run (pip install -e '.[dask]'), and start them from there"
    )


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
    """Suppress Dask's log messages in the body."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith(("distributed", "tornado"))]
    before = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in before:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)
