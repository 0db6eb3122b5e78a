"""Inside a Dask worker: facts about it, and tasks in child processes, so that no task can end the worker.

Answers to the client are bytes with a checked schema, never pickled objects.
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
"""Variables of batch systems, which may number the GPUs of each job from 0."""

_CODE: Final = {".py", ".yaml"}
_ROOT: Final = Path(__file__).resolve().parents[1]

_IDLE_SECONDS: Final = 60.0  # time without a task after which a child ends: its client may have been killed
_PAUSE: Final = 1.0  # seconds between two reports of progress


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that a Dask worker reports.

    Attributes:
        address: at the scheduler.
        code: digest of this project's files on its disk.
        loaded: digest of the files of this package when the worker loaded them.
        threads: number of tasks that it runs at once.
        resources: declared at its start.
        visible: its ``CUDA_VISIBLE_DEVICES``; None if it is not set.
        job: id in the batch system that started it; empty without one.
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
        """Return the number of slots if each takes a thread and one unit of ``resource`` (None: none)."""
        declared = self.threads if resource is None else int(self.resources.get(resource, 0))
        return min(self.threads, declared)

    def devices(self) -> list[str]:
        """Return the names of the GPUs of its slots on its machine."""
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
    """Return in one sentence why a worker cannot run the cells of this process; None if it can."""
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
            f"(CUDA_VISIBLE_DEVICES={facts.visible}); declare one GPU for each visible one"
        )
    return None


def shared_device(known: Iterable[Facts], new: Facts) -> str | None:
    """Return a sentence if two workers would use the same GPU, else None."""
    for other in known:
        common = {*other.devices()} & {*new.devices()}
        if (other.host, other.job) == (new.host, new.job) and other.address != new.address and common:
            return (
                f"the Dask workers {other.address} and {new.address} on {new.host} would both use GPU "
                f"{min(common)}; start one worker per GPU, each with another CUDA_VISIBLE_DEVICES"
            )
    return None


def choose_resource(wanted: str, workers: Iterable[Facts]) -> tuple[Device, str | None]:
    """Return the kind of device, and the resource of a slot (None: threads).

    With ``auto``, GPUs are used if any worker declares ``GPU``.
    """
    declared = {name for facts in workers for name, amount in facts.resources.items() if amount >= 1}
    if wanted == "cuda" or (wanted == "auto" and GPU in declared):
        return "cuda", GPU
    return "cpu", CELL if CELL in declared else None


def code_digest() -> str:
    """Return the digest of all code and settings of this project on the disk."""
    from bench.registry.sources import folder_of

    folders = {"bench": _ROOT, "methods": folder_of("methods"), "datasets": folder_of("datasets")}
    return _digest(
        (f"{name}/{path.relative_to(folder).as_posix()}", path)
        for name, folder in folders.items()
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


LOADED: Final = _digest((path.name, path) for path in (_ROOT / "execution").glob("*.py"))
"""Digest of this package when it was loaded: a worker keeps running old code after an edit."""


@dataclass(frozen=True)
class Assignment:
    """One attempt at a task, as sent to a Dask worker: pickled function and payload, limits, device.

    The worker reports under the topic ``run``; ``key`` is unique within the run. The attempt may take
    ``timeout`` seconds, and ``max_memory`` bytes beyond the memory of its process with loaded libraries.
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
    """The end of an attempt: the last message and the output of its child process, and the slot's name."""

    finished: Finished
    output: str
    slot: str


@dataclass
class _ChildSlot:
    """A slot of a Dask worker with its child process, which runs several tasks of one run."""

    run: str
    index: int
    slot: Slot
    child: WorkerProcess
    busy: bool = True
    released: bool = False


_SLOTS: Final[dict[str, list[_ChildSlot]]] = {}
"""By the address of the Dask worker: there may be several in a process."""

_LOCK: Final = threading.Lock()  # of `_SLOTS`


@contextmanager
def _slot_for(worker: Any, assignment: Assignment) -> Iterator[_ChildSlot]:
    """Yield a slot for an attempt: an idle one of its run, else a new one."""
    with _LOCK:
        slots = _SLOTS.setdefault(worker.address, [])
        for entry in [entry for entry in slots if not (entry.busy or entry.child.alive)]:
            _remove(slots, entry)
        busy = {entry.index for entry in slots if entry.busy}
        idle = [entry for entry in slots if entry.run == assignment.run and entry.index not in busy]
        if idle:
            entry = idle[-1]
            entry.busy = True
        else:
            index = min({*range(len(busy) + 1)} - busy)
            slot = _slot(str(worker.name or worker.address), index, assignment)
            child = WorkerProcess(slot, assignment.work, assignment.max_memory, _IDLE_SECONDS)
            entry = _ChildSlot(assignment.run, index, slot, child)
            slots.append(entry)
    try:
        yield entry
    finally:
        with _LOCK:
            entry.busy = False
            if entry.released:
                _remove(slots, entry)


def _remove(slots: list[_ChildSlot], entry: _ChildSlot) -> None:
    entry.child.close()
    slots.remove(entry)


def _slot(name: str, index: int, assignment: Assignment) -> Slot:
    """Return the slot of an index; those of a GPU worker use its visible GPUs in order."""
    device = "cpu" if assignment.device == "cpu" else f"cuda:{index}"
    environment = worker_environment(assignment.threads, device)
    if data := os.environ.get(DATA_VARIABLE):  # the data folder of this machine
        environment[WORKER_DATA_VARIABLE] = data
    return Slot(f"{name}/{device}/{index}", inside(device), assignment.threads, environment)


def perform(assignment: Assignment) -> bytes:
    """Run one attempt as a task of a Dask worker, and return its `Answer`.

    It reports its start at once, and progress once a second. The child is killed if the client has gone or
    cancelled the task, or the Dask worker is closing.

    Raises:
        WorkerError: if no child process can be started here.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    key, silent_until = worker.get_current_task(), 0.0
    with _slot_for(worker, assignment) as entry:
        entry.child.begin(assignment.payload, assignment.timeout)
        while not entry.released and _wanted(worker, key):
            if entry.child.connection is not None:
                wait([entry.child.connection], LOOK)
            for message in entry.child.poll():
                if isinstance(message, Finished):
                    return msgspec.msgpack.encode(Answer(message, entry.child.printed(), entry.slot.name))
                values = None if isinstance(message, TaskStarted) else message.values
                now = time.monotonic()
                if values is None or now >= silent_until:
                    silent_until = now if values is None else now + _PAUSE
                    report = Report(assignment.key, entry.slot.name, values)
                    worker.log_event(assignment.run, msgspec.msgpack.encode(report))
        entry.child.kill()
    return b""


def _wanted(worker: Any, key: Any) -> bool:
    """Return whether the result of this task is still awaited."""
    task = worker.state.tasks.get(key)
    return (
        task is not None
        and task.state not in ("cancelled", "released", "forgotten")
        and worker.status.name not in ("closing", "closed", "failed")
    )


def release(run: str, dask_worker: Any) -> None:
    """End the idle children of a run in a Dask worker, which passes itself, and let threads end busy ones."""
    with _LOCK:
        slots = _SLOTS.get(dask_worker.address, [])
        for entry in [entry for entry in slots if entry.run == run]:
            entry.released = True
            if not entry.busy:
                _remove(slots, entry)
