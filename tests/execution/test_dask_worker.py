"""What a Dask worker says of itself, and which workers are refused; what happens inside one."""

from __future__ import annotations

import os
import pickle
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import bench
from bench.execution import dask_worker
from bench.execution.dask_worker import (
    LOADED,
    Answer,
    Assignment,
    Facts,
    choose_resource,
    code_digest,
    describe,
    problem,
    shared_device,
)
from bench.execution.worker import Finished
from tests.execution import work
from tests.execution.watching import gone


class FakeWorker:
    """As much of a Dask worker as a guest uses."""

    def __init__(self, folder: Path) -> None:
        self.address = f"tcp://127.0.0.1:{id(self)}"
        self.name = "w"
        self.local_directory = str(folder)
        self.status = SimpleNamespace(name="running")
        self.task = SimpleNamespace(state="executing")
        self.state = SimpleNamespace(nthreads=4, total_resources={"GPU": 2.0}, tasks={"key": self.task})
        self.events: list[tuple[str, Any]] = []

    def get_current_task(self) -> str:
        return "key"

    def log_event(self, topic: str, message: bytes) -> None:
        self.events.append((topic, msgspec.msgpack.decode(message)))


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeWorker:
    pytest.importorskip("distributed", reason="Dask is not installed: pip install -e '.[dask]'")
    fake = FakeWorker(tmp_path)
    monkeypatch.setattr("distributed.get_worker", lambda: fake)
    return fake


def facts(**changes: Any) -> Facts:
    return replace(msgspec.json.decode(describe(FakeWorker(Path())), type=Facts), visible=None, **changes)


def perform(function: Any, payload: Any, run: str = "r", **changes: Any) -> Finished | None:
    """Run an attempt; None where nobody waits for it any more."""
    limits = {"timeout": None, "max_memory": None, "threads": 1, "device": "cpu", **changes}
    attempt = Assignment(run, "1", pickle.dumps(function), pickle.dumps(payload), **limits)
    content = dask_worker.perform(attempt)
    return msgspec.msgpack.decode(content, type=Answer).finished if content else None


def value(finished: Finished | None) -> Any:
    assert finished is not None
    assert finished.value is not None
    return msgspec.msgpack.decode(finished.value)


def test_a_worker_of_the_same_state_is_welcome() -> None:
    same = facts()
    assert (same.version, same.code, same.loaded) == (bench.__version__, code_digest(), LOADED)
    assert problem(same) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python": "3.9"}, "runs Python 3.9, but this is Python 3."),
        ({"version": "0.0.9"}, "has version 0.0.9 of this project, but this is"),
        ({"code": "x"}, "but some files differ; bring its checkout to the same state"),
        ({"loaded": "x"}, "was started before the last change of this project; start it anew"),
    ],
)
def test_a_worker_of_another_state_is_refused_in_one_sentence(changes: dict[str, str], words: str) -> None:
    sentence = problem(facts(**changes))
    assert sentence is not None
    assert sentence.startswith("the Dask worker tcp://")
    assert words in sentence
    assert "\n" not in sentence


def test_a_worker_may_not_declare_more_gpus_than_it_sees() -> None:
    sees = replace(facts(), visible="3")
    assert "declares GPU=2 but sees only 1 (CUDA_VISIBLE_DEVICES=3)" in str(problem(sees))


def test_two_workers_may_not_use_the_same_gpu() -> None:
    one = facts(address="tcp://h:1", resources={"GPU": 1})
    other = replace(one, address="tcp://h:2")
    assert "would both use GPU 0; start one worker per GPU" in str(shared_device([one], other))
    assert shared_device([replace(one, visible="1")], replace(other, visible="2")) is None
    assert shared_device([one], replace(other, host="elsewhere")) is None
    # A batch system that shuts each job in with its own GPU calls it 0 in every job.
    assert shared_device([replace(one, job="1")], replace(other, job="2")) is None
    assert shared_device([one], one) is None


def test_what_workers_declare_decides_what_a_slot_is() -> None:
    gpu, cell, none = facts(), facts(resources={"cell": 3}), facts(resources={})
    assert choose_resource("auto", [none, cell, gpu]) == ("cuda", "GPU")
    assert choose_resource("cpu", [none, cell, gpu]) == ("cpu", "cell")
    assert choose_resource("auto", [none]) == ("cpu", None)
    assert choose_resource("cuda", [none]) == ("cuda", "GPU")
    assert [gpu.slots("GPU"), cell.slots("cell"), none.slots(None), none.slots("GPU")] == [2, 3, 4, 0]


def test_a_child_serves_one_run_and_ends_with_it(worker: FakeWorker) -> None:
    pids = [value(perform(work.pid, None)) for _ in range(2)]
    assert pids[0] == pids[1] != os.getpid()
    assert value(perform(work.pid, None, run="other")) != pids[0]
    dask_worker.release("r", worker)
    dask_worker.release("other", worker)
    assert gone(pids[0], 10.0)
    assert worker.events[0] == ("r", {"key": "1", "slot": "w/cpu/0", "values": None})


@pytest.mark.slow
def test_a_child_without_work_ends_by_itself(worker: FakeWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_worker, "_IDLE_SECONDS", 0.05)
    assert gone(value(perform(work.pid, None)), 10.0)


@pytest.mark.parametrize("why", ["cancelled", "closing", "released"])
def test_a_child_is_killed_when_nobody_waits_for_it(worker: FakeWorker, tmp_path: Path, why: str) -> None:
    pid = tmp_path / "pid"

    def end() -> None:
        """Let the reason occur as soon as the child works."""
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.01)
        if why == "closing":
            worker.status.name = why
        elif why == "cancelled":
            worker.task.state = why
        else:
            worker.state.tasks.clear()

    threading.Thread(target=end).start()
    assert perform(work.begin_and_nap, str(pid)) is None
    assert gone(int(pid.read_text()), 10.0)


def test_children_see_the_data_folder_of_their_machine(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", "/data/here")
    names = ["BENCH_WORKER_DATA", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"]
    answer = perform(work.environment, names, threads=3)
    dask_worker.release("r", worker)
    assert value(answer) == dict(zip(names, ("/data/here", "3", ""), strict=True))
