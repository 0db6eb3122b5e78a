"""On a real Dask cluster of loopback processes: a cell, a worker or a client that dies costs nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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
from tests.execution.watching import gone

pytest.importorskip("distributed", reason="Dask is not installed: pip install -e '.[dask]'")


@pytest.fixture
def cluster(processes: DaskProcesses) -> Iterator[Cluster]:
    """A connection to a cluster with two workers."""
    with connected(processes, 2) as cluster:
        yield cluster


@contextmanager
def connected(processes: DaskProcesses, workers: int, patience: float = 60.0) -> Iterator[Cluster]:
    processes.keep(workers)
    with open_cluster(processes.address, say=lambda _: None, patience=patience) as cluster:
        yield cluster


def tasks_of(payloads: Sequence[Any]) -> list[Task]:
    return [Task(str(number), f"task {number}", payload) for number, payload in enumerate(payloads)]


def run(
    cluster: Cluster,
    function: Callable[[Any], Any],
    payloads: Sequence[Any],
    on_event: Callable[[Event], None] = lambda event: None,
    **options: Any,
) -> list[Outcome[Any]]:
    execute = dask_executor(cluster, threads=1, **options)
    with closing(execute(tasks_of(payloads), function, on_event)) as outcomes:
        return list(outcomes)


def test_a_fault_costs_its_own_task_only_and_never_the_dask_worker(
    processes: DaskProcesses, cluster: Cluster
) -> None:
    faults = ["raise", "exit 3", "segfault", "c loop"]
    outcomes = run(cluster, work.fault, [kind for fault in faults for kind in (fault, "ok")], timeout=2.0)
    assert len(outcomes) == 8
    reasons = {
        outcome.task.payload: None if outcome.lost is None else outcome.lost.reason for outcome in outcomes
    }
    assert reasons["ok"] is None
    assert reasons["raise"] == "ValueError: a wrong value"
    assert "ended by itself with status 3" in str(reasons["exit 3"])
    assert "SIGSEGV" in str(reasons["segfault"])
    assert "time limit of 2 s" in str(reasons["c loop"])
    assert [process.poll() for process in processes.workers.values()].count(None) == 2


@pytest.mark.slow
def test_children_are_kept_between_tasks_and_end_with_the_run(cluster: Cluster) -> None:
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
        """Note that a task is about to be given to a worker."""
        order.append(key)
        return True

    tasks = [
        Task(key, key, 3, cost, admit=partial(admit, key))
        for key, cost in zip("abcd", (1, 3, 2, 4), strict=True)
    ]
    execute = dask_executor(cluster, threads=1)
    events.extend(execute(tasks, work.count, events.append))
    assert order == ["d", "b", "c", "a"]
    told = {event.task.key for event in events if isinstance(event, Progress)}
    assert told == set("abcd")
    for key in told:
        kinds = [
            type(event).__name__
            for event in events
            if not isinstance(event, Notice | Retried) and event.task.key == key
        ]
        assert (kinds[0], kinds[-1]) == ("Started", "Outcome")


@pytest.mark.slow
def test_what_cannot_be_sent_or_may_not_start_costs_its_own_task_only(cluster: Cluster) -> None:
    bad, closed, good = tasks_of([lambda: None, 1, 2])
    closed = Task(closed.key, closed.title, 1, admit=lambda: False)
    execute = dask_executor(cluster, threads=1)
    outcomes = {
        outcome.task.key: outcome for outcome in execute([bad, closed, good], work.echo, lambda e: None)
    }
    lost = outcomes[bad.key].lost
    assert lost is not None
    assert "its payload cannot be sent" in lost.reason
    assert outcomes[closed.key].skipped
    assert outcomes[good.key].value == 2


@pytest.mark.slow
def test_leaving_early_kills_the_children_and_leaves_the_workers(cluster: Cluster, tmp_path: Path) -> None:
    place = str(tmp_path / "file")
    with pytest.raises(KeyboardInterrupt):
        run(cluster, dask_work.wait_for_file, [place, place], interrupt_when_two_run())
    pids = await_pids(tmp_path, 2)
    assert all(gone(pid, 10.0) for pid in pids)
    assert [outcome.value for outcome in run(cluster, work.echo, [1])] == [1]


def interrupt_when_two_run() -> Callable[[Event], None]:
    running: list[Event] = []

    def note(event: Event) -> None:
        if isinstance(event, Started):
            running.append(event)
        if len(running) == 2:
            raise KeyboardInterrupt

    return note


def await_pids(folder: Path, count: int) -> list[int]:
    place = folder / "file.pids"
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pids = [int(line) for line in place.read_text().split()] if place.exists() else []
        if len(pids) >= count:
            return pids
        time.sleep(0.02)
    raise AssertionError("the tasks did not start")


PROGRAM = """
import sys
from bench.execution.tasks import Task
from bench.execution.dask_client import dask_executor
from bench.execution.dask_cluster import open_cluster
from tests.execution.dask_work import wait_for_file

with open_cluster(sys.argv[1]) as cluster:
    execute = dask_executor(cluster, threads=1)
    list(execute([Task("0", "", sys.argv[2])], wait_for_file, lambda event: None))
"""


@pytest.mark.slow
def test_a_killed_client_leaves_no_child_behind(processes: DaskProcesses, tmp_path: Path) -> None:
    words = [sys.executable, "-c", PROGRAM, processes.address, str(tmp_path / "file")]
    client = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        (pid,) = await_pids(tmp_path, 1)
        assert not gone(pid, 0.1)
    finally:
        client.kill()
        client.wait()
    assert gone(pid, 20.0)


def test_a_machine_that_lacks_a_file_is_left_out_and_no_task_is_blamed(processes: DaskProcesses) -> None:
    notices: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.sentence)

    lacking = pytest.raises(
        WorkerError, match=r"for 0 s \(last: this machine lacks it\); what is finished is"
    )
    with connected(processes, 2, patience=0.0) as cluster, lacking:
        run(cluster, dask_work.wrong_machine, ["it"], note)
    assert notices[:2] == ["left out: this machine lacks it"] * 2


@pytest.mark.parametrize(
    "lie",
    [
        *("object", "silent"),
        pytest.param("no time", marks=pytest.mark.drill),
        *(pytest.param(lie, marks=pytest.mark.drill) for lie in ("nothing", "text", "garbage")),
        *(pytest.param(lie, marks=pytest.mark.drill) for lie in ("other fields", "no end")),
    ],
)
def test_a_worker_whose_answers_cannot_be_believed_is_left_out_and_no_task_waits_for_it(
    processes: DaskProcesses, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    monkeypatch.setattr(dask_client, "perform", dask_work.lie)
    monkeypatch.setattr(dask_client, "_START_SECONDS", 1.0 if lie == "silent" else 60.0)
    notices: list[Event] = []
    with connected(processes, 2, patience=0.0) as cluster:
        begin = time.monotonic()
        with pytest.raises(WorkerError, match=r"no Dask worker to use .* \(last: the Dask worker"):
            run(cluster, work.echo, [lie], notices.append, retries=9)
    assert time.monotonic() - begin < 50
    assert len([event for event in notices if isinstance(event, Notice)]) >= 2


@pytest.mark.drill
def test_a_worker_that_is_killed_in_mid_cell_costs_nothing(
    processes: DaskProcesses, cluster: Cluster, tmp_path: Path
) -> None:
    killed: list[str] = []
    events: list[Event] = []

    def shoot_first(event: Event) -> None:
        events.append(event)
        if isinstance(event, Started) and not killed:
            await_pids(tmp_path, 2)
            killed.append(event.slot.name)
            processes.workers[event.slot.name.partition("/")[0]].send_signal(signal.SIGKILL)
        elif isinstance(event, Retried):
            (tmp_path / "file").write_text("found", encoding="ascii")

    place = str(tmp_path / "file")
    outcomes = run(cluster, dask_work.wait_for_file, [place] * 3, shoot_first)
    (retried,) = [event for event in events if isinstance(event, Retried)]
    assert [outcome.value for outcome in outcomes] == ["found"] * 3
    assert killed[0] not in {outcome.slot.name for outcome in outcomes}
    assert "was lost" in retried.lost.reason
    assert all(gone(pid, 10.0) for pid in await_pids(tmp_path, 4))


@pytest.mark.slow
def test_a_task_that_kills_its_workers_is_given_up_and_the_others_wait_for_new_ones(
    processes: DaskProcesses, cluster: Cluster
) -> None:
    notices: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.sentence)
            processes.worker(f"worker{len(processes.workers)}")

    words = ["poison", "poison", "x", "y"]
    outcomes = run(cluster, dask_work.kill_dask_worker, words, note, retries=0)
    assert {outcome.value for outcome in outcomes if outcome.lost is None} == {"x", "y"}
    poison = [outcome.lost for outcome in outcomes if outcome.lost is not None]
    assert [(lost.kind, "its Dask worker" in lost.reason) for lost in poison] == [("worker", True)] * 2
    assert "there is no Dask worker at" in notices[0]
    assert "waiting up to 60 s" in notices[0]


@pytest.mark.slow
def test_how_often_a_task_may_lose_its_worker_is_bounded(processes: DaskProcesses) -> None:
    with connected(processes, 2) as cluster:
        (outcome,) = run(cluster, dask_work.kill_dask_worker, ["poison"], retries=1)
    assert outcome.lost is not None
    assert "was lost; 2 attempts were made" in outcome.lost.reason


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
def test_gpus_are_slots_each_seen_by_one_child(processes: DaskProcesses, tmp_path: Path) -> None:
    gpus = {"CUDA_VISIBLE_DEVICES": "5,7"}
    processes.worker("gpus", "--nthreads", "4", "--resources", "GPU=2", environment=gpus)
    try:
        with connected(processes, 1) as cluster:
            assert (cluster.device, cluster.resource) == ("cuda", "GPU")
            assert [slot.device for slot in cluster.slots(1)] == ["cuda:0", "cuda:0"]
            meetings = [(str(tmp_path), "x", "y"), (str(tmp_path), "y", "x")]
            outcomes = run(cluster, dask_work.meet_on_gpus, meetings)
    finally:
        processes.drop("gpus")
    assert {outcome.value for outcome in outcomes} == {("5", True), ("7", True)}
    assert {outcome.slot.device for outcome in outcomes} == {"cuda:0"}


@pytest.mark.slow
def test_a_scheduler_that_is_killed_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    with dask_processes(tmp_path) as processes, connected(processes, 1) as cluster:

        def shoot(event: Event) -> None:
            if isinstance(event, Started):
                processes.scheduler.kill()

        with pytest.raises(WorkerError, match="no longer answers; what is finished is recorded"):
            run(cluster, dask_work.wait_for_file, [str(tmp_path / "file")], shoot)
    (pid,) = await_pids(tmp_path, 1)
    assert gone(pid, 20.0)
