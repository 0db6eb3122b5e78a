"""Running in the caller's own process keeps the same promises as far as one process can."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from bench.execution.devices import local_slots
from bench.execution.local import local_executor, run_inline
from bench.execution.tasks import Event, Executor, Progress, Started, Task, loss_of
from bench.execution.worker import report
from tests.execution import work


@pytest.mark.parametrize(
    ("fault", "kind"), [("raise", "exception"), ("memory", "memory"), ("sys.exit", "exit")]
)
def test_an_exception_costs_its_own_task_only(fault: str, kind: str) -> None:
    bad, good = run_inline([Task("a", "", fault), Task("b", "", "ok")], work.fault)
    assert bad.lost is not None
    assert bad.lost.kind == kind
    assert "Traceback" in bad.lost.traceback
    assert (good.value, good.lost) == ("ok", None)
    assert [outcome.value for outcome in run_inline([Task("a", "", None)], work.pid)] == [os.getpid()]


def test_ctrl_c_passes_through() -> None:
    def interrupted(payload: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_inline([Task("a", "", None)], interrupted))


def test_events_come_while_the_task_runs_and_not_after() -> None:
    events: list[Event] = []

    def work_and_report(payload: Any) -> int:
        report(epoch=1)
        report(epoch=2)  # too soon after the first: dropped
        return len(events)

    (outcome,) = run_inline([Task("a", "", None)], work_and_report, on_event=events.append)
    report(epoch=3)
    assert outcome.value == 2
    assert isinstance(events[0], Started)
    assert isinstance(events[1], Progress)
    assert events[1].values == {"epoch": 1}
    assert len(events) == 2


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch names its own."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "exception"),
        (RuntimeError("std::bad_alloc"), "memory"),
        (OutOfMemoryError("CUDA out of memory"), "memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory"),
        (RuntimeError("shapes do not fit"), "exception"),
        (ValueError("out of memory"), "exception"),
    ],
)
def test_a_lack_of_memory_is_told_from_other_errors(error: Exception, kind: str) -> None:
    assert loss_of(error, "").kind == kind


@pytest.mark.parametrize("execute", [run_inline, local_executor(local_slots(2, 1))], ids=["inline", "local"])
def test_a_task_that_is_not_admitted_never_starts_and_holds_up_no_other(execute: Executor[Any]) -> None:
    events: list[Any] = []
    tasks = [Task(name, name, name, admit=lambda name=name: name != "no") for name in ("a", "no", "b")]  # type: ignore[misc]
    outcomes = {outcome.task.key: outcome for outcome in execute(tasks, work.echo, events.append)}
    assert {key: (outcome.value, outcome.skipped) for key, outcome in outcomes.items()} == {
        "a": ("a", False),
        "no": (None, True),
        "b": ("b", False),
    }
    assert outcomes["no"].lost is None
    assert {event.task.key for event in events if isinstance(event, Started)} == {"a", "b"}
