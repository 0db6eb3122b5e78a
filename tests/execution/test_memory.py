"""A memory limit costs the task that exceeds it, by whatever means, and nothing else."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import psutil
import pytest

from bench.execution.devices import local_slots
from bench.execution.local import run_local
from bench.execution.memory import Allowance, leave_gpu, resident
from bench.execution.tasks import Outcome, Task
from tests.execution import work

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
def test_whoever_takes_too_much_is_stopped_and_the_limit_is_named(
    drill: dict[str, Outcome[object]], kind: str, words: str
) -> None:
    lost = drill[kind].lost
    assert lost is not None
    assert lost.kind == "memory"
    assert words in lost.reason
    assert lost.reason.endswith("its worker may take 200M beyond its libraries (--max-memory)")
    assert not lost.outside


def test_the_next_task_has_a_healthy_worker_and_what_is_left_behind_is_not_charged_to_it(
    drill: dict[str, Outcome[object]],
) -> None:
    """A worker that still holds half of the limit is replaced."""
    assert drill["sound"].lost is drill["last"].lost is None
    assert drill["left behind"].value == drill["sound"].value
    assert drill["last"].value != drill["left behind"].value


@pytest.mark.slow
def test_memory_of_child_processes_counts() -> None:
    bad, good = run("by child", "sound")
    assert bad.lost is not None
    assert bad.lost.kind == "memory"
    assert good.lost is None


def test_on_a_gpu_the_system_enforces_nothing_as_the_driver_maps_more_than_it_uses() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with Allowance(LIMIT, on_gpu=True).enforced():
        assert resource.getrlimit(resource.RLIMIT_DATA) == before
    allowance = Allowance(8 << 30, on_gpu=False)
    with allowance.enforced():
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] > 8 << 30
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert not allowance.worn()


class Cuda:
    """Of a torch that has worked on a GPU."""

    def __init__(self, used: bool = True, broken: bool = False) -> None:
        self.calls: list[str] = []
        self._used, self._broken = used, broken

    def is_initialized(self) -> bool:
        return self._used

    def synchronize(self) -> None:
        self.calls.append("synchronize")
        if self._broken:
            raise RuntimeError("CUDA error: device-side assert triggered")

    def empty_cache(self) -> None:
        self.calls.append("empty_cache")


def test_after_a_task_the_memory_of_a_gpu_is_free_or_the_gpu_useless(monkeypatch: pytest.MonkeyPatch) -> None:
    used, unused = Cuda(), Cuda(used=False)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda(broken=True)))
    assert not leave_gpu()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=used))
    assert leave_gpu()
    assert used.calls == ["synchronize", "empty_cache"]
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=unused))
    assert leave_gpu()
    assert unused.calls == []  # it must not be what starts a GPU
    monkeypatch.delitem(sys.modules, "torch")
    assert leave_gpu()
    assert "torch" not in sys.modules


def test_a_worker_whose_gpu_is_useless_is_replaced_and_the_next_task_is_well() -> None:
    tasks = [Task(str(number), "", number == 1, 3.0 - number) for number in range(3)]
    first, broken, last = run_local(tasks, work.break_gpu_if, local_slots(1, 1))
    assert [outcome.lost for outcome in (first, broken, last)] == [None, None, None]
    assert first.value == broken.value != last.value


def test_resident_memory_is_that_of_a_process_and_nothing_of_one_that_is_gone() -> None:
    assert resident(psutil.Process().pid) >= psutil.Process().memory_info().rss // 2
    assert resident(2**22 + 1) == 0
