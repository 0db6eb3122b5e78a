"""What was killed from outside runs again; what failed by itself never does."""

from __future__ import annotations

from typing import Any

import pytest

from bench.execution.devices import local_slots
from bench.execution.local import run_local
from bench.execution.tasks import Outcome, Retried, Task
from tests.execution import work


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Outcome[Any], int, list[Retried]]]:
    """Each end once, in one slot: its outcome, how often the task began, and what was told of attempts."""
    folder, events = tmp_path_factory.mktemp("attempts"), list[Any]()
    kinds = ("once SIGKILL", "SIGKILL", "raise", "exit 3")
    tasks = [Task(kind, kind, (str(folder / kind), kind)) for kind in kinds]
    ended = [*run_local(tasks, work.fault_and_note, local_slots(1, 1), retries=1, on_event=events.append)]
    told = [event for event in events if isinstance(event, Retried)]
    begun = {kind: len((folder / kind).read_text()) for kind in kinds}
    of = {kind: [event for event in told if event.task.key == kind] for kind in kinds}
    return {one.task.key: (one, begun[one.task.key], of[one.task.key]) for one in ended}


@pytest.mark.parametrize(
    ("kind", "begun", "words"),
    [
        ("once SIGKILL", 2, ""),
        ("SIGKILL", 2, "; 2 attempts were made"),
        ("raise", 1, "a wrong value"),
        ("exit 3", 1, "status 3"),
    ],
)
def test_what_was_killed_from_outside_runs_again_once_and_what_failed_by_itself_never(
    drill: dict[str, tuple[Outcome[Any], int, list[Retried]]], kind: str, begun: int, words: str
) -> None:
    outcome, attempts, told = drill[kind]
    assert (attempts, len(told)) == (begun, begun - 1)
    assert all((one.attempt, one.attempts, "SIGKILL" in one.lost.reason) == (2, 2, True) for one in told)
    if not words:
        assert (outcome.value, outcome.lost) == ("ok", None)
    else:
        assert outcome.lost is not None
        assert (outcome.lost.outside, words in outcome.lost.reason) == (kind == "SIGKILL", True)
