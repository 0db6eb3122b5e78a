"""Tasks in worker processes and in the caller's process: a fault costs its task only, and none runs twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.execution.devices import local_slots
from bench.execution.local import local_executor, run_inline, run_local
from bench.execution.tasks import (
    Event,
    Executor,
    Notice,
    Outcome,
    Progress,
    Retried,
    Slot,
    Started,
    Task,
    given_up,
    loss_of,
)
from bench.execution.worker import report
from tests.execution import work
from tests.execution.watching import begun, gone

ROOT = Path(__file__).resolve().parents[2]


def tasks_of(payloads: Sequence[Any]) -> list[Task]:
    return [Task(str(number), f"task {number}", payload) for number, payload in enumerate(payloads)]


def run(
    function: Callable[[Any], Any], payloads: Sequence[Any], slots: int = 1, **options: Any
) -> list[Outcome[Any]]:
    return list(run_local(tasks_of(payloads), function, local_slots(slots, 1), **options))


@dataclass(frozen=True)
class Drilled:
    """A fault: its outcome, how often the task began, and the events of its further attempts."""

    outcome: Outcome[Any]
    begun: int
    retried: list[Retried]


def drill(folder: Path, faults: Sequence[str]) -> dict[str, Drilled]:
    """Perform every fault once, with a sound task after each, in two slots, with one further attempt."""
    events = list[Any]()
    kinds = [kind for fault in faults for kind in (fault, "ok")]
    payloads = [(str(folder / str(number)), kind) for number, kind in enumerate(kinds)]
    options: dict[str, Any] = {"slots": 2, "timeout": 1.0, "retries": 1, "on_event": events.append}
    outcomes = run(work.fault_and_note, payloads, **options)
    assert len(outcomes) == len(payloads)
    assert all((end.value, end.lost) == ("ok", None) for end in outcomes if end.task.payload[1] == "ok")
    return {
        outcome.task.payload[1]: Drilled(
            outcome,
            len(Path(outcome.task.payload[0]).read_text()),
            [event for event in events if isinstance(event, Retried) and event.task is outcome.task],
        )
        for outcome in outcomes
    }


FAULTS = {
    "raise": ("exception", "ValueError: a wrong value"),
    "exit 3": ("exit", "status 3"),
    "SIGKILL": ("signal", "SIGKILL"),
    "segfault": ("signal", "SIGSEGV"),
    "c loop": ("timeout", "time limit of 1 s"),
}
FURTHER_FAULTS = {
    "memory": ("memory", "MemoryError"),
    "sys.exit": ("exit", "status 4"),
    "SIGTERM": ("signal", "SIGTERM"),
    "ignores signals": ("timeout", "time limit of 1 s"),
    "unpicklable": ("exception", "cannot be sent"),
}
"""Kind of loss, and words of its reason, by fault."""


@pytest.mark.parametrize(
    "faults", [FAULTS, pytest.param(FURTHER_FAULTS, marks=pytest.mark.drill)], ids=["usual", "further"]
)
def test_a_fault_costs_its_task_only_and_only_a_kill_from_outside_is_tried_again(
    tmp_path: Path, faults: dict[str, tuple[str, str]]
) -> None:
    drilled = drill(tmp_path, [*faults])
    for fault, (kind, words) in faults.items():
        found = drilled[fault]
        outcome, lost, outside = found.outcome, found.outcome.lost, fault in ("SIGKILL", "SIGTERM")
        assert outcome.value is None
        assert lost is not None
        assert (lost.kind, lost.outside, words in lost.reason) == (kind, outside, True)
        assert ("2 attempts" in lost.reason) == outside
        assert given_up(lost, 1) is lost  # a single attempt is not mentioned
        assert (found.begun, len(found.retried)) == (1 + outside, outside)
        if kind == "timeout":  # the tasks would take a minute, or have no end
            assert 1.0 <= outcome.seconds < 30
        assert ("in _raise" in lost.traceback) == (lost.exception == "ValueError") == (fault == "raise")
        assert ("_segfault" in lost.traceback) == (fault == "segfault")


def test_a_task_that_forks_or_is_killed_once_has_its_value_and_so_has_the_next(tmp_path: Path) -> None:
    drilled = drill(tmp_path, ["fork", "once SIGKILL"])
    assert drilled["fork"].outcome.lost is None
    assert isinstance(drilled["fork"].outcome.value, int)
    found = drilled["once SIGKILL"]
    (retried,) = found.retried
    assert (found.outcome.value, found.outcome.lost, found.begun) == ("ok", None, 2)
    assert (retried.attempt, retried.attempts, "SIGKILL" in retried.lost.reason) == (2, 2, True)


def test_one_process_per_slot_runs_all_its_tasks_and_two_slots_run_at_once(tmp_path: Path) -> None:
    calls = [("rendezvous", (str(tmp_path), name, 2)) for name in "ab"] + [("pid", None)] * 6
    outcomes = run(work.call, calls, slots=2)
    assert sorted((end.slot.name, end.value) for end in outcomes if "rendezvous" in end.task.payload) == [
        ("cpu/0", ["", True]),
        ("cpu/1", ["", True]),
    ]
    pids = {(end.slot.name, end.value) for end in outcomes if "pid" in end.task.payload}
    assert len({slot for slot, _ in pids}) == len(pids)
    assert os.getpid() not in {pid for _, pid in pids}


@pytest.mark.parametrize("what", ["thread", "umask", "closed", "alarm", "folder"])
def test_a_worker_in_which_a_task_leaves_a_thread_or_another_state_is_replaced(what: str) -> None:
    calls = [("pid", None), (f"leave_{what}", None), ("pid", None)]
    first, second, third = [outcome.value for outcome in run(work.call, calls)]
    assert first == second != third


def test_a_task_in_this_process_that_leaves_a_thread_is_named() -> None:
    events: list[Event] = []
    tasks = [Task("a", "first", ("leave_thread", None), 2.0), Task("b", "second", ("pid", None), 1.0)]
    assert [outcome.lost for outcome in run_inline(tasks, work.call, events.append)] == [None, None]
    (notice,) = [event.sentence for event in events if isinstance(event, Notice)]
    assert "first" in notice
    assert "thread" in notice


def test_a_child_process_that_a_task_leaves_ends_with_the_worker_wherever_it_is(tmp_path: Path) -> None:
    calls = [("pid", None), ("leave_child", str(tmp_path / "child")), ("pid", None)]
    first, second, third = [outcome.value for outcome in run(work.call, calls)]
    assert first == second != third
    assert gone(int((tmp_path / "child").read_text()))


def test_the_environment_is_set_before_libraries_are_loaded() -> None:
    slot = Slot("s", "cpu", 1, {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "BENCH_TEST_MARK": "x"})
    two = Slot("t", "cpu", 2, {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"})
    before = dict(os.environ)
    calls = tasks_of([("threads_of_numpy", None), ("environment", ["BENCH_TEST_MARK"])])
    values = [outcome.value for outcome in run_local(calls, work.call, [slot])]
    assert values == [[1], {"BENCH_TEST_MARK": "x"}]
    with closing(run_local(calls, work.call, [two])) as outcomes:
        assert next(outcomes).value == [min(2, len(os.sched_getaffinity(0)))]
    assert dict(os.environ) == before


def test_events_and_output_arrive_with_their_task(capfd: pytest.CaptureFixture[str]) -> None:
    events: list[Event] = []
    threads = set()

    def note(event: Event) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    counted, first, second = run(
        work.call, [("count", 3), ("synthesise", "one"), ("synthesise", "two")], on_event=note
    )
    assert isinstance(events[0], Started)
    assert events[0].task is counted.task
    steps = [event.values["step"] for event in events if isinstance(event, Progress)]
    assert steps == sorted(set(steps))
    assert steps[0] == 0
    assert threads == {threading.get_ident()}  # the one that iterates
    assert capfd.readouterr() == ("", "")
    assert all(words in first.output for words in ("to stdout one", "to stderr", "from C"))
    assert "to stdout two" in second.output
    assert "one" not in second.output


@pytest.mark.parametrize(
    ("function", "payloads", "word"),
    [(work.echo, [lambda: None, 1], "payload"), (work.unreadable, [1, 2], "cannot be sent between")],
)
def test_a_payload_or_value_that_cannot_be_sent_costs_its_task_only(
    function: Callable[[Any], Any], payloads: list[Any], word: str
) -> None:
    bad, other = run(function, payloads)
    assert bad.lost is not None
    assert word in bad.lost.reason
    assert (other.value == 1) == (function is work.echo)


def test_without_tasks_no_worker_starts() -> None:
    assert run(work.echo, []) == []


@pytest.mark.parametrize("reason", ["closed", "the event handler raises"])
def test_the_end_of_the_iteration_kills_the_workers_and_their_children(tmp_path: Path, reason: str) -> None:
    path, closed = tmp_path / "file", reason == "closed"

    def note(event: Event) -> None:
        begun(path, 2)
        if not closed:
            raise RuntimeError("cannot draw")

    tasks = [Task("waits", "", str(path), 2.0), Task("bad", "", str(tmp_path / "absent" / "file"), 1.0)]
    ended: AbstractContextManager[object] = nullcontext()
    if not closed:
        ended = pytest.raises(RuntimeError, match="cannot draw")
    with closing(run_local(tasks, work.wait_with_child, local_slots(2, 1), on_event=note)) as outcomes, ended:
        assert next(outcomes).lost is not None
    assert all(gone(pid) for pid in begun(path, 2))  # they would wait for a minute


def test_the_children_of_a_task_end_with_it_at_its_time_limit(tmp_path: Path) -> None:
    (outcome,) = run(work.wait_with_child, [str(tmp_path / "file")], timeout=1.0)
    assert outcome.lost is not None
    assert all(gone(pid) for pid in begun(tmp_path / "file", 2))


PROGRAM = """
import signal, sys
from contextlib import closing
from bench.execution.devices import local_slots
from bench.execution.local import run_local
from bench.execution.tasks import Task
from tests.execution.work import wait_for_file

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for background commands
    tasks = [Task(str(number), "", sys.argv[1]) for number in range(4)]
    try:
        with closing(run_local(tasks, wait_for_file, local_slots(2, 1))) as outcomes:
            for outcome in outcomes:
                print("unexpected", outcome.lost)
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)
"""


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.drill)]
)
def test_the_workers_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "file")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        pids = begun(tmp_path / "file", 2)
        os.killpg(parent.pid, number)
        printed, errors = parent.communicate(timeout=40)  # the workers would wait for a minute
    finally:
        parent.kill()
    ended = (130, "interrupted\n", "") if number == signal.SIGINT else (-number, "", "")
    assert (parent.returncode, printed, errors) == ended
    assert all(gone(pid) for pid in pids)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file.pids", "program.py"]


@pytest.mark.drill
def test_a_worker_killed_while_it_answers_costs_its_task_only() -> None:
    killed, sound = run(work.large, ["killed", "sound"])
    assert killed.lost is not None
    assert killed.lost.kind == "signal"
    assert sound.value == bytes(5_000_000)


@pytest.mark.parametrize(
    ("fault", "kind"), [("raise", "exception"), ("memory", "memory"), ("sys.exit", "exit")]
)
def test_an_exception_in_this_process_costs_its_task_only(fault: str, kind: str) -> None:
    bad, good = run_inline([Task("a", "", fault), Task("b", "", "ok")], work.fault)
    assert bad.lost is not None
    assert bad.lost.kind == kind
    assert "Traceback" in bad.lost.traceback
    assert (good.value, good.lost) == ("ok", None)


def test_ctrl_c_in_this_process_ends_the_iteration() -> None:
    def interrupted(payload: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_inline([Task("a", "", None)], interrupted))


def test_events_of_this_process_come_while_the_task_runs_and_not_after() -> None:
    events: list[Event] = []

    def work_and_report(payload: Any) -> tuple[int, int]:
        report(epoch=1)
        report(epoch=2)  # too soon after the first: dropped
        return os.getpid(), len(events)

    (outcome,) = run_inline([Task("a", "", None)], work_and_report, on_event=events.append)
    report(epoch=3)
    assert outcome.value == (os.getpid(), 2)
    started, progress = events
    assert isinstance(started, Started)
    assert isinstance(progress, Progress)
    assert progress.values == {"epoch": 1}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "memory"),
        (OSError(12, "Cannot allocate memory"), "memory"),
        (OSError(28, "No space left on device"), "exception"),
        (RuntimeError("std::bad_alloc"), "memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), "memory"),  # as of PyTorch
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory"),
        (RuntimeError("shapes do not fit"), "exception"),
        (ValueError("out of memory"), "exception"),
    ],
)
def test_errors_for_lack_of_memory_are_recognised(error: Exception, kind: str) -> None:
    assert loss_of(error).kind == kind


def test_any_exception_becomes_a_loss_that_can_be_sent_and_read() -> None:
    class MuteError(ValueError):
        def __str__(self) -> str:
            raise RuntimeError

    class _PrivateError(ValueError):
        pass

    for error in (MuteError(), ValueError("caf\udce9"), ValueError("x" * 10**7), SystemExit("\ud800")):
        lost = loss_of(error)
        assert lost.exception == type(error).__name__
        assert len(msgspec.msgpack.encode(lost)) < 10**5
    assert loss_of(_PrivateError("a")).reason == "ValueError: a"


@pytest.mark.parametrize("execute", [run_inline, local_executor(local_slots(2, 1))], ids=["inline", "local"])
def test_a_task_that_is_not_admitted_never_starts_and_delays_no_other(execute: Executor[Any]) -> None:
    events: list[Any] = []
    tasks = [Task(name, name, name, admit=lambda name=name: name != "no") for name in ("a", "no", "b")]  # type: ignore[misc]
    outcomes = {outcome.task.key: outcome for outcome in execute(tasks, work.echo, events.append)}
    found = {key: (outcome.value, outcome.skipped, outcome.lost) for key, outcome in outcomes.items()}
    assert found == {"a": ("a", False, None), "no": (None, True, None), "b": ("b", False, None)}
    assert {event.task.key for event in events if isinstance(event, Started)} == {"a", "b"}
