"""Every way of execution asks before it starts a task, and puts aside what may not start."""

from __future__ import annotations

from typing import Any

import pytest

from bench.execution import Executor, Started, Task, inline_executor, local_executor, local_slots
from tests.execution.work import echo


@pytest.mark.parametrize(
    "execute", [inline_executor, local_executor(local_slots(2, 1))], ids=["inline", "local"]
)
def test_a_task_that_is_not_admitted_never_starts_and_holds_up_no_other(execute: Executor[Any]) -> None:
    events: list[Any] = []
    tasks = [Task(name, name, name, admit=lambda name=name: name != "no") for name in ("a", "no", "b")]  # type: ignore[misc]
    outcomes = {outcome.task.key: outcome for outcome in execute(tasks, echo, events.append)}
    assert {key: (outcome.value, outcome.skipped) for key, outcome in outcomes.items()} == {
        "a": ("a", False),
        "no": (None, True),
        "b": ("b", False),
    }
    assert outcomes["no"].lost is None
    assert {event.task.key for event in events if isinstance(event, Started)} == {"a", "b"}
