"""What was killed from outside runs again; what failed by itself never does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.execution import Outcome, Retried, Task, local_slots, run_local
from tests.execution import work


def attempt(folder: Path, kind: str, **limits: Any) -> tuple[Outcome[Any], int, list[Retried]]:
    """Run a task; return its outcome, how often it began, and what was told of attempts."""
    events: list[Any] = []
    tasks = [Task(kind, kind, (str(folder / "attempts"), kind))]
    (outcome,) = run_local(tasks, work.fault_and_note, local_slots(1, 1), on_event=events.append, **limits)
    told = [event for event in events if isinstance(event, Retried)]
    return outcome, len((folder / "attempts").read_text()), told


@pytest.mark.parametrize("kind", ["once SIGKILL"])
def test_a_task_whose_worker_was_killed_runs_again_in_a_new_one(tmp_path: Path, kind: str) -> None:
    outcome, begun, (told,) = attempt(tmp_path, kind, retries=1)
    assert (outcome.value, outcome.lost, begun) == ("ok", None, 2)
    assert (told.attempt, told.attempts) == (2, 2)
    assert kind.removeprefix("once ") in told.lost.reason


def test_it_is_given_up_after_the_last_attempt(tmp_path: Path) -> None:
    outcome, begun, told = attempt(tmp_path, "SIGKILL", retries=1)
    assert (begun, len(told)) == (2, 1)
    assert outcome.lost is not None
    assert outcome.lost.kind == "signal"
    assert outcome.lost.reason.endswith("; 2 attempts were made")


@pytest.mark.parametrize("kind", ["raise", "exit 3"])
def test_a_tasks_own_end_is_final(tmp_path: Path, kind: str) -> None:
    outcome, begun, told = attempt(tmp_path, kind, retries=3, timeout=2.0)
    assert (begun, told) == (1, [])
    assert outcome.lost is not None
    assert not outcome.lost.outside
