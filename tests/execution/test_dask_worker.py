"""Inside a Dask worker: its facts, which workers are refused, and its children."""

from __future__ import annotations

import os
import pickle
import threading
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
from tests.execution.watching import begun, gone
from tests.wording import mentions


class FakeWorker:
    """The part of a Dask worker that `perform` uses."""

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
    """Run an attempt; None if it is not awaited any more."""
    limits = {"timeout": None, "max_memory": None, "threads": 1, "device": "cpu", **changes}
    attempt = Assignment(run, "1", pickle.dumps(function), pickle.dumps(payload), **limits)
    content = dask_worker.perform(attempt)
    return msgspec.msgpack.decode(content, type=Answer).finished if content else None


def value(finished: Finished | None) -> Any:
    assert finished is not None
    assert finished.value is not None
    return msgspec.msgpack.decode(finished.value)


def test_the_facts_are_those_of_this_process() -> None:
    same = facts()
    assert (same.version, same.code, same.loaded) == (bench.__version__, code_digest(), LOADED)
    assert problem(same) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python": "3.9"}, "Python 3.9 ... Python 3."),
        ({"version": "0.0.9"}, f"0.0.9 ... {bench.__version__}"),
        ({"code": "x"}, "files"),
        ({"loaded": "x"}, "change"),
        ({"visible": "3"}, "GPU=2 ... 1"),
    ],
)
def test_a_worker_of_another_state_or_with_too_few_gpus_is_refused_in_one_sentence(
    changes: dict[str, str], words: str
) -> None:
    sentence = problem(replace(facts(), **changes))
    assert sentence is not None
    assert sentence.startswith("the Dask worker tcp://")
    assert mentions(sentence, words)
    assert "\n" not in sentence


def test_two_workers_may_not_use_the_same_gpu() -> None:
    one = facts(address="tcp://h:1", resources={"GPU": 1})
    other = replace(one, address="tcp://h:2")
    assert mentions(str(shared_device([one], other)), "GPU 0 ... one worker per GPU")
    assert shared_device([replace(one, visible="1")], replace(other, visible="2")) is None
    assert shared_device([one], replace(other, host="elsewhere")) is None
    # A batch system may number the GPU of every job 0.
    assert shared_device([replace(one, job="1")], replace(other, job="2")) is None
    assert shared_device([one], one) is None


def test_the_resources_of_workers_define_a_slot() -> None:
    gpu, cell, none = facts(), facts(resources={"cell": 3}), facts(resources={})
    assert choose_resource("auto", [none, cell, gpu]) == ("cuda", "GPU")
    assert choose_resource("cpu", [none, cell, gpu]) == ("cpu", "cell")
    assert choose_resource("auto", [none]) == ("cpu", None)
    assert choose_resource("cuda", [none]) == ("cuda", "GPU")
    assert [gpu.slots("GPU"), cell.slots("cell"), none.slots(None), none.slots("GPU")] == [2, 3, 4, 0]
    assert replace(cell, threads=1).slots("cell") == 1  # Dask runs one task per thread, whatever is declared


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


@pytest.mark.parametrize("reason", ["cancelled", "closing", "released"])
def test_a_child_is_killed_when_its_task_is_not_awaited_any_more(
    worker: FakeWorker, tmp_path: Path, reason: str
) -> None:
    file = tmp_path / "file"

    def end() -> None:
        """Let the reason occur as soon as the child works."""
        begun(file, 1)
        if reason == "closing":
            worker.status.name = reason
        elif reason == "cancelled":
            worker.task.state = reason
        else:
            worker.state.tasks.clear()

    threading.Thread(target=end).start()
    assert perform(work.wait_for_file, str(file)) is None
    assert all(gone(pid, 10.0) for pid in begun(file, 1))


def test_children_see_the_data_folder_of_their_machine(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", "/data/here")
    names = ["BENCH_WORKER_DATA", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"]
    answer = perform(work.environment, names, threads=3)
    dask_worker.release("r", worker)
    assert value(answer) == dict(zip(names, ("/data/here", "3", ""), strict=True))
