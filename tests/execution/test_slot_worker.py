"""A slot's worker outlasts what happens to its process between tasks."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from bench.execution import Slot, Task, WorkerError, local_slots, run_local
from bench.execution.process import SlotContext, SlotProcess
from bench.execution.slot_worker import SlotWorker, _by_signal
from tests.execution import work
from tests.execution.watching import gone


def ignore(message: dict[str, Any]) -> None:
    """Take no note."""


@pytest.mark.parametrize("pause", [0.0, 0.4])  # before and after the pool has noticed
def test_a_worker_that_dies_idle_costs_nothing(tmp_path: Path, pause: float) -> None:
    worker = SlotWorker(Slot("s", "cpu", 1), pickle.dumps(work.pid), tmp_path / "desk")
    first = worker.run(pickle.dumps(None), None, lambda message: None)
    assert first.value is not None
    pid = pickle.loads(first.value)
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    time.sleep(pause)
    second = worker.run(pickle.dumps(None), None, lambda message: None)
    worker.close()
    assert second.value is not None
    assert pickle.loads(second.value) != pid


def test_a_worker_that_is_stopped_beforehand_loses_its_task_at_once(tmp_path: Path) -> None:
    worker = SlotWorker(Slot("s", "cpu", 1), pickle.dumps(work.nap), tmp_path / "desk")
    worker.stop()
    finished = worker.run(pickle.dumps(60.0), None, ignore)  # a nap that ended would have a value
    assert finished.value is None
    assert finished.lost is not None
    assert worker.printed() == ""


def test_a_worker_that_cannot_start_is_no_fault_of_the_tasks() -> None:
    with pytest.raises(WorkerError, match=r"slot cpu/0.*cannot be loaded here"):
        list(run_local([Task("a", "", 1)], work.Unloadable(), local_slots(1, 1)))


def test_a_system_that_gives_no_process_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: SlotProcess) -> NoReturn:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(SlotProcess, "start", refuse)
    with pytest.raises(WorkerError, match=r"slot cpu/0: .*Cannot allocate memory"):
        list(run_local([Task("a", "", 1)], work.echo, local_slots(1, 1)))


def test_a_pool_that_stops_without_a_word_costs_its_task_and_no_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun = threading.Event()  # before that, another worker would be tried

    def break_down(*_: object) -> NoReturn:
        begun.wait()
        raise ZeroDivisionError

    worker = SlotWorker(Slot("s", "cpu", 1), pickle.dumps(work.nap), tmp_path / "desk")
    monkeypatch.setattr("bench.execution.slot_worker._PATIENCE", 1)
    monkeypatch.setattr("pebble.pool.process.PoolManager.process_next_message", break_down)
    monkeypatch.setattr("threading.excepthook", lambda arguments: None)
    finished = worker.run(pickle.dumps(0.0), None, lambda message: begun.set())
    assert finished.lost is not None
    assert finished.lost.kind == "worker"
    monkeypatch.undo()
    assert worker.run(pickle.dumps(0.0), None, ignore).value is not None
    worker.close()


def test_a_full_disk_for_temporary_files_is_named(tmp_path: Path) -> None:
    worker = SlotWorker(Slot("s", "cpu", 1), pickle.dumps(work.nap), tmp_path / "desk")
    (tmp_path / "desk").rmdir()
    with pytest.raises(WorkerError, match="TMPDIR"):
        worker.run(pickle.dumps(0.0), None, ignore)


def test_no_folder_for_temporary_files_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("bench.execution.local.TemporaryDirectory", full)
    with pytest.raises(WorkerError, match=r"No usable temporary directory .*TMPDIR, and run again$"):
        list(run_local([Task("a", "", 1)], work.echo, local_slots(1, 1)))


def test_full_temporary_space_costs_no_answer_and_only_long_tasks_need_it(tmp_path: Path) -> None:
    worker = SlotWorker(Slot("s", "cpu", 1), pickle.dumps(work.large_or_small), tmp_path / "desk")
    (tmp_path / "desk" / "task").symlink_to("/dev/full")
    for size in (10, 1_000_000):
        finished = worker.run(pickle.dumps(size), None, ignore)
        assert finished.value == pickle.dumps(bytes(size), protocol=pickle.HIGHEST_PROTOCOL)
    with pytest.raises(WorkerError, match=r"cannot write to .*No space left on device; .*TMPDIR"):
        worker.run(pickle.dumps(bytes(100_000)), None, ignore)
    worker.close()


def test_a_task_that_removes_the_temporary_folder_has_its_answer(tmp_path: Path) -> None:
    worker = SlotWorker(Slot("s", "cpu", 1), pickle.dumps(work.lose_desk), tmp_path / "desk")
    assert worker.run(pickle.dumps(None), None, ignore).value is not None
    worker.close()


def test_a_context_makes_one_process_in_its_life() -> None:
    context = SlotContext({})
    process = context.Process(target=work.echo, args=(1,))
    process.terminate()  # not started yet: nothing to kill
    with pytest.raises(OSError, match="has ended"):
        context.Process(target=work.echo, args=(1,))


def test_a_signal_without_a_name_is_given_by_its_number() -> None:
    assert "signal 250" in _by_signal(250)
