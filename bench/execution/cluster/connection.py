"""The connection to a Dask scheduler: made within seconds or refused with a sentence, closed in any case."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from bench.contract.errors import UsageError
from bench.execution.cluster.survey import Device, Facts, choose_resource, describe, problem, shared_device
from bench.execution.slot_worker import WorkerError
from bench.execution.tasks import Slot

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
