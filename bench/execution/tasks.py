"""What every way of execution shares: tasks go in, events and outcomes come out.

A way of execution is a function of tasks, a module-level work function and an event handler that yields one
`Outcome` per task, in the order in which they end. Nothing here knows what a task is about.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from bench.contract.errors import BenchError, lacks_memory

W = TypeVar("W")

LossKind = Literal["exception", "memory", "exit", "signal", "timeout", "worker"]
"""Why a task gave no value: its own error, a lack of memory that it noticed, the end of its process by
itself or by a signal, the time limit, or a connection that broke (not the task's fault)."""


class Misplaced(BenchError):
    """A task cannot run on this machine, as it lacks a file; raised before the task has begun.

    A way of execution that has several machines runs it on another one.
    """


def always() -> bool:
    """Let a task start."""
    return True


@dataclass(frozen=True)
class Task:
    """A piece of work.

    Attributes:
        key: unique among the tasks.
        title: in one line, for people.
        payload: what the work function is called with; must be picklable.
        cost: expected seconds, or anything proportional: the longest tasks start first.
        memory: bytes of device memory that it will need; None where unknown.
        admit: asked in the caller's process, from any of its threads, right before the task would start;
            where it says no, the task is not run and its outcome is marked as put aside.
    """

    key: str
    title: str
    payload: Any
    cost: float = 1.0
    memory: int | None = None
    admit: Callable[[], bool] = always


@dataclass(frozen=True)
class Slot:
    """A place where one task runs at a time.

    Attributes:
        name: unique, such as ``cpu/0`` or ``cuda:1/0``.
        device: torch name of the device as seen inside the slot.
        threads: CPU threads of the slot.
        environment: variables that its process starts with, before any library is loaded.
        place: the device as the machine counts it, such as ``cuda:1``, which slots may share.
        memory: bytes of memory of that device, for all its slots together; None where there is no such limit.
    """

    name: str
    device: str
    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)
    place: str = "cpu"
    memory: int | None = None


@dataclass(frozen=True)
class Loss:
    """Why a task gave no value.

    Attributes:
        kind: see `LossKind`.
        reason: one sentence.
        exception: name of the exception's type; empty where there was none.
        traceback: text, of Python or of the crashed process; empty where there is none.
        outside: whether the worker was lost by no fault of the task, as far as can be seen: killed from
            outside, or its connection broke.
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
    """A running task has something to tell: what its work function gave to `report`."""

    task: Task
    slot: Slot
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Retried:
    """A task's worker was lost by no fault of the task, which therefore runs again.

    Attributes:
        task: the task.
        slot: where the worker was.
        lost: what happened to it.
        attempt: number of the attempt that follows, from 2.
        attempts: how many there will be at most.
    """

    task: Task
    slot: Slot
    lost: Loss
    attempt: int
    attempts: int


@dataclass(frozen=True)
class Notice:
    """Something about the place where tasks run that people should know, in one sentence."""

    sentence: str


Event = Started | Progress | Retried | Notice
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Do nothing about an event."""


@dataclass(frozen=True)
class Outcome(Generic[W]):
    """How a task ended.

    Attributes:
        task: the task.
        slot: where it ran.
        value: what the work function returned; None where it was lost.
        lost: why there is no value; None where there is one.
        seconds: wall-clock time from its start to its end.
        output: the end of what the work printed in its worker process.
        aside: whether the task was not admitted: then it never started and has neither value nor loss.
    """

    task: Task
    slot: Slot
    value: W | None
    lost: Loss | None
    seconds: float
    output: str = ""
    aside: bool = False


def put_aside(task: Task, slot: Slot) -> Outcome[Any]:
    """Return the outcome of a task that was not admitted."""
    return Outcome(task, slot, None, None, 0.0, aside=True)


Executor = Callable[[Sequence[Task], Callable[[Any], W], OnEvent], Generator[Outcome[W], None, None]]
"""A way of execution with everything chosen: it takes tasks, a module-level work function and an event
handler, and yields one outcome per task as they end. It asks `Task.admit` right before it starts one. Closing
the generator stops what is running."""


def loss_of(error: BaseException, traceback: str) -> Loss:
    """Return the loss that an exception of the work function means."""
    name = type(error).__name__
    reason = f"{name}: {error}" if str(error) else name
    if isinstance(error, SystemExit):
        return Loss("exit", f"the work asked its process to exit with status {error.code}", name, traceback)
    kind: LossKind = "memory" if lacks_memory(error) else "exception"
    return Loss(kind, reason, name, traceback)
