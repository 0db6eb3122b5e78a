"""A memory limit costs only the task that exceeds it, whatever kind of memory that takes."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from unittest.mock import Mock

import psutil
import pytest

from bench.execution.devices import local_slots
from bench.execution.local import run_local
from bench.execution.memory import MemoryLimit, leave_gpu, resident
from bench.execution.tasks import Outcome, Task
from tests.execution import work
from tests.wording import mentions

LIMIT = 200 << 20


def run(*kinds: str) -> list[Outcome[object]]:
    tasks = [Task(str(number), kind, kind) for number, kind in enumerate(kinds)]
    return list(run_local(tasks, work.memory_fault, local_slots(1, 1), max_memory=LIMIT))


@pytest.fixture(scope="module")
def drill() -> dict[str, Outcome[object]]:
    """Each way of taking memory once, in one slot; the last task is a sound one."""
    kinds = ["shared", "small pieces", "at once", "sound", "left behind", "last"]
    return dict(zip(kinds, run(*kinds), strict=True))


@pytest.mark.parametrize(
    ("kind", "words"),
    [("shared", "it took more memory"), ("small pieces", "MemoryError"), ("at once", "Unable to allocate")],
)
def test_a_task_over_the_limit_is_stopped_and_the_limit_is_named(
    drill: dict[str, Outcome[object]], kind: str, words: str
) -> None:
    lost = drill[kind].lost
    assert lost is not None
    assert lost.kind == "memory"
    assert words in lost.reason
    assert mentions(lost.reason, "200M ... --max-memory")
    assert not lost.outside


def test_memory_that_a_task_leaves_behind_does_not_count_for_the_next(
    drill: dict[str, Outcome[object]],
) -> None:
    """A worker that keeps half of the limit is replaced."""
    assert drill["sound"].lost is drill["last"].lost is None
    assert drill["left behind"].value == drill["sound"].value
    assert drill["last"].value != drill["left behind"].value


@pytest.mark.slow
def test_memory_of_child_processes_counts() -> None:
    bad, good = run("by child", "sound")
    assert bad.lost is not None
    assert bad.lost.kind == "memory"
    assert good.lost is None


def test_the_system_enforces_the_limit_during_a_task_but_not_on_a_gpu() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with MemoryLimit(LIMIT, on_gpu=True).enforced():
        assert resource.getrlimit(resource.RLIMIT_DATA) == before
    allowance = MemoryLimit(8 << 30, on_gpu=False)
    with allowance.enforced():
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] > 8 << 30
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert not allowance.holds_too_much()


def test_a_gpu_is_given_back_after_a_task_unless_it_is_unused_or_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for used, error, usable in (
        (True, RuntimeError("assert"), False),
        (True, None, True),
        (False, None, True),
    ):
        cuda = Mock(**{"is_initialized.return_value": used, "synchronize.side_effect": error})
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
        assert leave_gpu() is usable
        assert cuda.synchronize.called is used  # this must not be what starts a GPU
        assert cuda.empty_cache.called is (used and usable)
    monkeypatch.delitem(sys.modules, "torch")
    assert leave_gpu()
    assert "torch" not in sys.modules


def test_a_worker_whose_gpu_is_broken_is_replaced() -> None:
    tasks = [Task(str(number), "", number == 1, 3.0 - number) for number in range(3)]
    first, broken, last = run_local(tasks, work.break_gpu_if, local_slots(1, 1))
    assert [outcome.lost for outcome in (first, broken, last)] == [None, None, None]
    assert first.value == broken.value != last.value


def test_resident_memory_of_a_process_that_has_ended_is_zero() -> None:
    assert resident(psutil.Process().pid) >= psutil.Process().memory_info().rss // 2
    assert resident(2**22 + 1) == 0
