"""Tasks on a real Dask cluster of local processes: the loss of a task, worker, client or scheduler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.execution import dask_client
from bench.execution.dask_client import dask_executor
from bench.execution.dask_cluster import Cluster, open_cluster
from bench.execution.tasks import Event, Notice, Outcome, Progress, Retried, Started, Task, WorkerError
from tests.execution import dask_work, work
from tests.execution.dask_processes import ROOT, DaskProcesses, dask_processes
from tests.execution.watching import begun, gone

pytest.importorskip("distributed", reason="Dask is not installed: pip install -e '.[dask]'")


@pytest.fixture
def cluster(processes: DaskProcesses) -> Iterator[Cluster]:
    """A connection to a cluster with two workers."""
    with connected(processes, 2) as cluster:
        yield cluster


@contextmanager
def connected(processes: DaskProcesses, workers: int, patience: float = 60.0) -> Iterator[Cluster]:
    processes.keep(workers)
    with open_cluster(processes.address, report=lambda _: None, patience=patience) as cluster:
        yield cluster


def run(
    cluster: Cluster,
    function: Callable[[Any], Any],
    payloads: Sequence[Any],
    on_event: Callable[[Event], None] = lambda event: None,
    **options: Any,
) -> list[Outcome[Any]]:
    """Run tasks with these payloads, or given tasks."""
    tasks = [
        payload if isinstance(payload, Task) else Task(str(number), f"task {number}", payload)
        for number, payload in enumerate(payloads)
    ]
    with closing(dask_executor(cluster, threads=1, **options)(tasks, function, on_event)) as outcomes:
        return list(outcomes)


def test_a_fault_costs_its_task_only_and_never_the_dask_worker(
    processes: DaskProcesses, cluster: Cluster
) -> None:
    faults = ["raise", "exit 3", "segfault", "ignores signals"]
    unadmitted = Task("unadmitted", "", "ok", admit=lambda: False)
    payloads = [*(kind for fault in faults for kind in (fault, "ok")), lambda: None, unadmitted]
    outcomes = run(cluster, work.fault, payloads, timeout=1.0)
    assert len(outcomes) == 10
    skipped = [outcome for outcome in outcomes if outcome.skipped]
    assert [outcome.task for outcome in skipped] == [unadmitted]
    reasons = {str(end.task.payload): end.lost and end.lost.reason for end in outcomes if not end.skipped}
    assert reasons.pop("ok") is None
    assert reasons.pop("raise") == "ValueError: a wrong value"
    assert "status 3" in str(reasons.pop("exit 3"))
    assert "SIGSEGV" in str(reasons.pop("segfault"))
    assert "time limit of 1 s" in str(reasons.pop("ignores signals"))
    (unsent,) = reasons.values()
    assert "payload" in str(unsent)
    assert [process.poll() for process in processes.workers.values()].count(None) == 2


@pytest.mark.slow
def test_children_run_several_tasks_and_end_with_the_run(cluster: Cluster) -> None:
    events: list[Event] = []
    pids = {int(str(outcome.value)) for outcome in run(cluster, work.pid, [None] * 6, events.append)}
    assert len(pids) == 2
    assert len([event for event in events if isinstance(event, Started)]) == 6
    assert all(gone(pid, 10.0) for pid in pids)
    assert pids.isdisjoint(outcome.value for outcome in run(cluster, work.pid, [None]))


@pytest.mark.slow
def test_the_longest_task_starts_first_and_progress_arrives_before_the_end(cluster: Cluster) -> None:
    events: list[Event | Outcome[Any]] = []
    order: list[str] = []

    def admit(key: str) -> bool:
        order.append(key)
        return True

    costs = zip("abcd", (1, 3, 2, 4), strict=True)
    tasks = [Task(key, key, 3, cost, admit=partial(admit, key)) for key, cost in costs]
    events.extend(dask_executor(cluster, threads=1)(tasks, work.count, events.append))
    assert order == ["d", "b", "c", "a"]
    assert {event.task.key for event in events if isinstance(event, Progress)} == set("abcd")
    for key in "abcd":
        kinds = [type(event) for event in events if not isinstance(event, Notice) and event.task.key == key]
        assert (kinds[0], kinds[-1]) == (Started, Outcome)


@pytest.mark.slow
def test_the_end_of_the_iteration_kills_the_children_and_leaves_the_workers(
    cluster: Cluster, tmp_path: Path
) -> None:
    file, running = tmp_path / "file", list[Event]()

    def interrupt_when_two_run(event: Event) -> None:
        running.extend([event] if isinstance(event, Started) else [])
        if len(running) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(cluster, work.wait_for_file, [str(file)] * 2, interrupt_when_two_run)
    assert all(gone(pid, 10.0) for pid in begun(file, 2))
    assert [outcome.value for outcome in run(cluster, work.echo, [1])] == [1]


PROGRAM = """
import sys
from bench.execution.tasks import Task
from bench.execution.dask_client import dask_executor
from bench.execution.dask_cluster import open_cluster
from tests.execution.work import wait_for_file

with open_cluster(sys.argv[1]) as cluster:
    execute = dask_executor(cluster, threads=1)
    list(execute([Task("0", "", sys.argv[2])], wait_for_file, lambda event: None))
"""


@pytest.mark.slow
def test_a_killed_client_leaves_no_child(processes: DaskProcesses, tmp_path: Path) -> None:
    words = [sys.executable, "-c", PROGRAM, processes.address, str(tmp_path / "file")]
    client = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        (pid,) = begun(tmp_path / "file", 1)
        assert not gone(pid, 0.1)
    finally:
        client.kill()
        client.wait()
    assert gone(pid, 20.0)


FALSE = ("wrong machine", "object", "no time", "nothing", "text", "garbage", "other fields", "no end")


@pytest.mark.parametrize(
    "answer",
    ["silent", *(pytest.param(answer, marks=pytest.mark.drill) for answer in FALSE)],
)
def test_a_worker_without_a_usable_answer_is_left_out_and_no_task_is_blamed_or_waits_for_it(
    processes: DaskProcesses, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    function: Callable[[Any], Any] = dask_work.wrong_machine
    last = "this machine lacks"
    if answer != "wrong machine":
        function, last = work.echo, "the Dask worker"
        monkeypatch.setattr(dask_client, "perform", dask_work.answer_falsely)
        monkeypatch.setattr(dask_client, "_START_SECONDS", 0.5 if answer == "silent" else 60.0)
    events: list[Event] = []
    late = ".* in time" if answer == "silent" else ""
    ended = pytest.raises(WorkerError, match=rf"Dask worker.* 0 s .*{last}{late}")
    with connected(processes, 2, patience=0.0) as cluster, ended:
        run(cluster, function, [answer], events.append, retries=9)
    notices = [event.sentence for event in events if isinstance(event, Notice)]
    assert all(notice.startswith("left out: ") and last in notice for notice in notices[:2])
    assert len(notices) >= 2


@pytest.mark.drill
def test_a_worker_that_is_killed_during_a_cell_costs_no_cell(
    processes: DaskProcesses, cluster: Cluster, tmp_path: Path
) -> None:
    file, killed, retried = tmp_path / "file", list[str](), list[Retried]()

    def kill_first(event: Event) -> None:
        if isinstance(event, Started) and not killed:
            begun(file, 2)
            killed.append(event.slot.name)
            processes.workers[event.slot.name.partition("/")[0]].send_signal(signal.SIGKILL)
        elif isinstance(event, Retried):
            retried.append(event)
            file.write_text("found", encoding="ascii")

    outcomes = run(cluster, work.wait_for_file, [str(file)] * 3, kill_first)
    assert [outcome.value for outcome in outcomes] == ["found"] * 3
    assert killed[0] not in {outcome.slot.name for outcome in outcomes}
    assert ["was lost" in event.lost.reason for event in retried] == [True]
    assert all(gone(pid, 10.0) for pid in begun(file, 4))


@pytest.mark.slow
def test_a_task_that_kills_its_workers_is_given_up_and_the_others_wait_for_new_ones(
    processes: DaskProcesses, cluster: Cluster
) -> None:
    notices: list[str] = []

    def start_a_worker(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.sentence)
            processes.worker(f"worker{len(processes.workers)}")

    words = ["poison", "poison", "x", "y"]
    outcomes = run(cluster, dask_work.kill_dask_worker, words, start_a_worker, retries=0)
    assert {outcome.value for outcome in outcomes if outcome.lost is None} == {"x", "y"}
    losses = [outcome.lost for outcome in outcomes if outcome.lost is not None]
    assert [(lost.kind, "its Dask worker" in lost.reason) for lost in losses] == [("worker", True)] * 2
    assert "60 s" in notices[0]
    processes.keep(2)
    (outcome,) = run(cluster, dask_work.kill_dask_worker, ["poison"], retries=1)
    assert outcome.lost is not None
    assert "was lost; 2 attempts" in outcome.lost.reason


@pytest.mark.slow
def test_children_start_under_a_nanny_whose_workers_may_have_none(processes: DaskProcesses) -> None:
    processes.worker("nanny", "--resources", "cell=1", nanny=True)
    try:
        with connected(processes, 1) as cluster:
            assert (cluster.device, cluster.resource) == ("cpu", "cell")
            outcomes = run(cluster, work.fault, ["ok", "exit 3", "ok"])
    finally:
        processes.drop("nanny")
    assert [outcome.value for outcome in outcomes] == ["ok", None, "ok"]
    assert {outcome.slot.name for outcome in outcomes} == {"nanny/cpu/0"}


@pytest.mark.slow
def test_each_gpu_is_a_slot_and_visible_to_one_child(processes: DaskProcesses, tmp_path: Path) -> None:
    gpus = {"CUDA_VISIBLE_DEVICES": "5,7"}
    processes.worker("gpus", "--nthreads", "4", "--resources", "GPU=2", environment=gpus)
    try:
        with connected(processes, 1) as cluster:
            assert (cluster.device, cluster.resource) == ("cuda", "GPU")
            assert [slot.device for slot in cluster.slots(1)] == ["cuda:0", "cuda:0"]
            outcomes = run(cluster, work.rendezvous, [(str(tmp_path), name, 2) for name in "xy"])
    finally:
        processes.drop("gpus")
    assert {outcome.value for outcome in outcomes} == {("5", True), ("7", True)}
    assert {outcome.slot.device for outcome in outcomes} == {"cuda:0"}


@pytest.mark.slow
def test_the_loss_of_the_scheduler_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    with dask_processes(tmp_path) as processes, connected(processes, 1) as cluster:

        def kill_scheduler(event: Event) -> None:
            if isinstance(event, Started):
                processes.scheduler.kill()

        with pytest.raises(WorkerError, match="no longer answers"):
            run(cluster, work.wait_for_file, [str(tmp_path / "file")], kill_scheduler)
    assert all(gone(pid, 20.0) for pid in begun(tmp_path / "file", 1))
