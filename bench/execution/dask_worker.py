"""Inside a Dask worker: facts about it, and tasks in child processes, so that none can end the worker.

What goes back to the client is bytes with a checked schema, never a pickled object.
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

import bench
from bench.data.locations import DATA_VARIABLE, WORKER_DATA_VARIABLE
from bench.execution.devices import inside, worker_environment
from bench.execution.tasks import Slot
from bench.execution.worker import Finished, TaskStarted
from bench.execution.worker_process import LOOK, WorkerProcess

Device = Literal["cpu", "cuda"]

GPU: Final = "GPU"
CELL: Final = "cell"
"""Names of the worker resources that are slots."""

_JOBS: Final = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", "OAR_JOB_ID")
"""Variables of batch systems, which may number the GPUs of each job anew: then equal names mean nothing."""

_CODE: Final = {".py", ".yaml"}
_HOUSE: Final = Path(__file__).resolve().parents[1]

_IDLE_SECONDS: Final = 60.0  # A child without a task for so long ends: its client may have been killed
_PAUSE: Final = 1.0  # seconds between two reports of progress


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a Dask worker says of itself.

    Attributes:
        address: where the scheduler knows it.
        code: digest of this project's files on its disk.
        loaded: digest of the files of this package when the worker loaded them.
        threads: how many tasks it runs at once.
        resources: declared when it was started.
        visible: its ``CUDA_VISIBLE_DEVICES``; None where it is not set.
        job: of the batch system that started it; empty for none.
    """

    address: str
    host: str
    python: str
    version: str
    code: str
    loaded: str
    threads: int
    resources: Mapping[str, float]
    visible: str | None
    job: str

    def slots(self, resource: str | None) -> int:
        """Return how many tasks it runs at once if each takes one of ``resource`` (None: one thread)."""
        return self.threads if resource is None else int(self.resources.get(resource, 0))

    def devices(self) -> list[str]:
        """Return the GPUs that its slots take, by the names that its machine gives them."""
        count = self.slots(GPU)
        if self.visible is None:
            return [str(index) for index in range(count)]
        return [name.strip() for name in self.visible.split(",") if name.strip()][:count]


def describe(dask_worker: Any) -> bytes:
    """Return `Facts` as JSON; runs inside a Dask worker, which passes itself."""
    facts = Facts(
        address=dask_worker.address,
        host=socket.gethostname(),
        python=_python(),
        version=bench.__version__,
        code=code_digest(),
        loaded=LOADED,
        threads=int(dask_worker.state.nthreads),
        resources=dict(dask_worker.state.total_resources),
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
        job=next((os.environ[name] for name in _JOBS if os.environ.get(name)), ""),
    )
    return msgspec.json.encode(facts)


def problem(facts: Facts) -> str | None:
    """Return in one sentence why a worker cannot run what this process plans; None if it can."""
    worker = f"the Dask worker {facts.address} on {facts.host}"
    if facts.python != _python():
        return (
            f"{worker} runs Python {facts.python}, but this is Python {_python()}; "
            "use the same environment for the scheduler, the workers and this command"
        )
    if facts.version != bench.__version__:
        return (
            f"{worker} has version {facts.version} of this project, but this is {bench.__version__}; "
            "install the same version for the workers and start them anew"
        )
    if facts.code != code_digest():
        return (
            f"{worker} has version {facts.version} of this project as this command, but some files differ; "
            "bring its checkout to the same state and start it anew"
        )
    if facts.loaded != LOADED:
        return f"{worker} was started before the last change of this project; start it anew"
    if facts.visible is not None and len(facts.devices()) < facts.slots(GPU):
        return (
            f"{worker} declares GPU={facts.slots(GPU)} but sees only {len(facts.devices())} "
            f"(CUDA_VISIBLE_DEVICES={facts.visible}); declare one GPU for each that it sees"
        )
    return None


def shared_device(known: Iterable[Facts], new: Facts) -> str | None:
    """Return in one sentence that two workers would run on the same GPU; None if they do not."""
    for other in known:
        common = {*other.devices()} & {*new.devices()}
        if (other.host, other.job) == (new.host, new.job) and other.address != new.address and common:
            return (
                f"the Dask workers {other.address} and {new.address} on {new.host} would both use GPU "
                f"{min(common)}; start one worker per GPU, each with its own CUDA_VISIBLE_DEVICES"
            )
    return None


def choose_resource(wanted: str, workers: Iterable[Facts]) -> tuple[Device, str | None]:
    """Return the kind of device to use and the resource that counts slots (None: threads).

    With ``auto``, one worker that declares ``GPU`` makes all run on GPUs.
    """
    declared = {name for facts in workers for name, amount in facts.resources.items() if amount >= 1}
    if wanted == "cuda" or (wanted == "auto" and GPU in declared):
        return "cuda", GPU
    return "cpu", CELL if CELL in declared else None


def code_digest() -> str:
    """Return the digest of all code and settings of this project as they are on disk now."""
    from bench.registry.sources import folder_of

    rooms = {"bench": _HOUSE, "methods": folder_of("methods"), "datasets": folder_of("datasets")}
    return _digest(
        (f"{room}/{path.relative_to(folder).as_posix()}", path)
        for room, folder in rooms.items()
        for path in folder.rglob("*")
        if path.suffix in _CODE and not path.relative_to(folder).parts[0].startswith("installed_")
    )


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, path in sorted(files):
        digest.update(f"{name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


LOADED: Final = _digest((path.name, path) for path in (_HOUSE / "execution").glob("*.py"))
"""A worker that was started long ago still runs what it loaded then."""


@dataclass(frozen=True)
class Assignment:
    """One attempt at a task, as it is sent to a Dask worker: pickled function and payload, limits, device.

    The client's ``run`` is also the topic under which the worker reports; ``key`` is unique within the run.
    It may take ``timeout`` seconds, and ``max_memory`` bytes beyond what its process holds anyway.
    """

    run: str
    key: str
    work: bytes
    payload: bytes
    timeout: float | None
    max_memory: int | None
    threads: int
    device: Device


class Report(msgspec.Struct):
    """Progress of an attempt: ``values`` is None at its start."""

    key: str
    slot: str
    values: dict[str, Any] | None


class Answer(msgspec.Struct):
    """The end of an attempt: what its child process sent, what it printed, and the slot's name."""

    finished: Finished
    output: str
    slot: str


@dataclass
class _Seat:
    """A slot of a Dask worker: a child process that is kept from task to task of one run."""

    run: str
    index: int
    slot: Slot
    child: WorkerProcess
    busy: bool = True
    released: bool = False


_SEATS: Final[dict[str, list[_Seat]]] = {}
"""By the address of the Dask worker: there may be several in a process."""

_LOCK: Final = threading.Lock()  # of `_SEATS`


@contextmanager
def _seat_for(worker: Any, assignment: Assignment) -> Iterator[_Seat]:
    """Give a seat to an attempt: the one that its run used last, else a new one."""
    with _LOCK:
        seats = _SEATS.setdefault(worker.address, [])
        for seat in [seat for seat in seats if not (seat.busy or seat.child.alive)]:
            _remove(seats, seat)
        busy = {seat.index for seat in seats if seat.busy}
        idle = [seat for seat in seats if seat.run == assignment.run and seat.index not in busy]
        if idle:
            seat = idle[-1]
            seat.busy = True
        else:
            index = min({*range(len(busy) + 1)} - busy)
            slot = _slot(str(worker.name or worker.address), index, assignment)
            child = WorkerProcess(slot, assignment.work, assignment.max_memory, _IDLE_SECONDS)
            seat = _Seat(assignment.run, index, slot, child)
            seats.append(seat)
    try:
        yield seat
    finally:
        with _LOCK:
            seat.busy = False
            if seat.released:
                _remove(seats, seat)


def _remove(seats: list[_Seat], seat: _Seat) -> None:
    seat.child.close()
    seats.remove(seat)


def _slot(name: str, index: int, assignment: Assignment) -> Slot:
    """Return the slot of a seat; a GPU worker's slots take the GPUs that it sees, in order."""
    device = "cpu" if assignment.device == "cpu" else f"cuda:{index}"
    environment = worker_environment(assignment.threads, device)
    if data := os.environ.get(DATA_VARIABLE):  # this machine keeps its data elsewhere
        environment[WORKER_DATA_VARIABLE] = data
    return Slot(f"{name}/{device}/{index}", inside(device), assignment.threads, environment)


def perform(assignment: Assignment) -> bytes:
    """Run one attempt and return its `Answer`; this is the task that the Dask worker gets.

    It reports its start at once, and progress once a second. The child is killed when nobody waits for it any
    more: the client has gone or cancelled the task, or the Dask worker is about to close.

    Raises:
        WorkerError: if no child process can be started here.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    key, silent_until = worker.get_current_task(), 0.0
    with _seat_for(worker, assignment) as seat:
        seat.child.begin(assignment.payload, assignment.timeout)
        while not seat.released and _wanted(worker, key):
            if seat.child.connection is not None:
                wait([seat.child.connection], LOOK)
            for message in seat.child.poll():
                if isinstance(message, Finished):
                    return msgspec.msgpack.encode(Answer(message, seat.child.printed(), seat.slot.name))
                values = None if isinstance(message, TaskStarted) else message.values
                now = time.monotonic()
                if values is None or now >= silent_until:
                    silent_until = now if values is None else now + _PAUSE
                    report = Report(assignment.key, seat.slot.name, values)
                    worker.log_event(assignment.run, msgspec.msgpack.encode(report))
        seat.child.kill()
    return b""


def _wanted(worker: Any, key: Any) -> bool:
    """Return whether the Dask worker is still to deliver this task."""
    task = worker.state.tasks.get(key)
    return (
        task is not None
        and task.state not in ("cancelled", "released", "forgotten")
        and worker.status.name not in ("closing", "closed", "failed")
    )


def release(run: str, dask_worker: Any) -> None:
    """End the children of a run in a Dask worker, which passes itself; a busy one is ended by its thread."""
    with _LOCK:
        seats = _SEATS.get(dask_worker.address, [])
        for seat in [seat for seat in seats if seat.run == run]:
            seat.released = True
            if not seat.busy:
                _remove(seats, seat)
