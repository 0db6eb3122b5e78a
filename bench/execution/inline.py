"""Runs tasks one after another in the caller's own process: for debugging, and for use as a library."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final

from bench.execution.tasks import (
    Loss,
    OnEvent,
    Outcome,
    Progress,
    Slot,
    Started,
    Task,
    W,
    ignore,
    loss_of,
    put_aside,
)
from bench.execution.worker import REPORTER

HERE: Final = Slot("inline", "cpu", 1)


def run_inline(
    tasks: Iterable[Task], work: Callable[[Any], W], slot: Slot = HERE, *, on_event: OnEvent = ignore
) -> Generator[Outcome[W], None, None]:
    """Run the tasks here, the longest first, and yield the outcomes as they come.

    An exception costs its own task only. There is no time limit, no protection against crashes, and the
    slot's environment is not applied: this process has started already.

    Args:
        tasks: what to do; of equal costs, the first comes first.
        work: function of a task's payload.
        slot: named in events and outcomes.
        on_event: called while a task runs.
    """
    for task in sorted(tasks, key=lambda task: -task.cost):
        yield _outcome(task, work, slot, on_event) if task.admit() else put_aside(task, slot)


def inline_executor(
    tasks: Sequence[Task], work: Callable[[Any], W], on_event: OnEvent
) -> Generator[Outcome[W], None, None]:
    """Run the tasks here; `run_inline` as an `Executor`."""
    return run_inline(tasks, work, on_event=on_event)


def _outcome(task: Task, work: Callable[[Any], W], slot: Slot, on_event: OnEvent) -> Outcome[W]:
    on_event(Started(task, slot))
    REPORTER.connect(lambda values: on_event(Progress(task, slot, values)))
    begin = time.monotonic()
    value: W | None = None
    lost: Loss | None = None
    try:
        value = work(task.payload)
    except (Exception, SystemExit) as error:
        lost = loss_of(error, traceback.format_exc())
    finally:
        REPORTER.connect(None)
    return Outcome(task, slot, value, lost, time.monotonic() - begin)
