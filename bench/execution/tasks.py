"""Tasks, slots, events and outcomes: the input and output of every executor."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

from bench.contract.errors import BenchError, PluginError, lacks_memory, traceback_of, words_of

W = TypeVar("W")

LossKind = Literal["exception", "memory", "exit", "signal", "timeout", "worker", "import"]
"""Why a task has no value: an exception, lack of memory, the end of its process by itself or by a signal, the
time limit, the loss of its worker without its fault, or a plug-in that ended or hung when it was imported."""


class WorkerError(BenchError):
    """No worker can be started, or the connection to all of them is lost, without a fault of tasks."""


class WrongMachine(BenchError):
    """A task cannot run on this machine, which lacks a file; on a cluster it runs on another."""


class ImportFailed(PluginError):
    """A plug-in ended its process, or tried to, while it was imported."""


@dataclass(frozen=True)
class Task:
    """A piece of work.

    Attributes:
        key: unique among the tasks.
        title: in one readable line.
        payload: argument of the work function; must be picklable.
        cost: expected seconds, or a number in proportion: the longest tasks start first.
        memory: expected device memory in bytes; None if unknown.
        admit: called in the caller's process right before the start; if it returns False the task does not
            run, and its outcome is skipped.
    """

    key: str
    title: str
    payload: Any
    cost: float = 1.0
    memory: int | None = None
    admit: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Slot:
    """Room for one task at a time.

    Attributes:
        name: unique, such as ``cpu/0`` or ``cuda:1/0``.
        device: torch name of the device in the slot's process.
        environment: variables of its process, set before any library is loaded.
        host_device: name of the device on the machine, such as ``cuda:1``; slots may share it.
        memory: bytes of that device, for all its slots together; None for no limit.
    """

    name: str
    device: str
    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)
    host_device: str = "cpu"
    memory: int | None = None


@dataclass(frozen=True)
class Loss:
    """Why a task has no value.

    Attributes:
        reason: one sentence.
        exception: name of the exception's type; empty without one.
        traceback: of Python or of the crashed process; empty without one.
        outside: whether the worker was lost probably without a fault of the task: killed from outside, or its
            connection broke. Such a task may be tried again.
    """

    kind: LossKind
    reason: str
    exception: str = ""
    traceback: str = ""
    outside: bool = False


@dataclass(frozen=True)
class Started:
    """A task has begun to run."""

    task: Task
    slot: Slot


@dataclass(frozen=True)
class Progress:
    """Values that a running task gave to `worker.report`."""

    task: Task
    slot: Slot
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Retried:
    """A task's worker was lost without its fault: this ``attempt`` of at most ``attempts`` follows."""

    task: Task
    slot: Slot
    lost: Loss
    attempt: int
    attempts: int


@dataclass(frozen=True)
class Notice:
    """A fact about slots or workers for the user, in one sentence."""

    sentence: str


Event = Started | Progress | Retried | Notice
OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Outcome(Generic[W]):
    """The end of a task, which has a value unless it was lost or skipped.

    Attributes:
        lost: why it has no value.
        seconds: from the task's start to its end.
        output: the end of its output in a worker process.
        skipped: whether the task was not admitted and did not start.
    """

    task: Task
    slot: Slot
    value: W | None
    lost: Loss | None
    seconds: float
    output: str = ""
    skipped: bool = False


Executor = Callable[[Sequence[Task], Callable[[Any], W], OnEvent], Generator[Outcome[W], None, None]]
"""Function that runs tasks: it takes tasks, a module-level work function and an event handler, and yields one
outcome per task as they end. Closing the generator stops running tasks."""


def loss_of(error: BaseException) -> Loss:
    """Return the loss of a task by an exception; a private type has the name of its public base."""
    name = next(kind.__name__ for kind in type(error).__mro__ if not kind.__name__.startswith("_"))
    words, traceback = words_of(error), traceback_of(error)
    if isinstance(error, SystemExit):
        status = f"the work asked its process to exit with status {words or 0}"
        return Loss("exit", status, name, traceback)
    if isinstance(error, ImportFailed):
        return Loss("import", words, name, traceback)
    reason = f"{name}: {words}" if words else name
    return Loss("memory" if lacks_memory(error) else "exception", reason, name, traceback)


def given_up(lost: Loss, attempts: int) -> Loss:
    """Return the loss of a task after its last attempt, with the number of attempts."""
    if attempts == 1:
        return lost
    return replace(lost, reason=f"{lost.reason}; {attempts} attempts were made")
