"""The promises of running in worker processes: nothing is lost but the task that is to blame."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.execution.devices import local_slots
from bench.execution.local import run_local
from bench.execution.tasks import Event, Outcome, Progress, Slot, Started, Task
from tests.execution import work
from tests.execution.watching import gone


def tasks_of(payloads: Sequence[Any]) -> list[Task]:
    return [Task(str(number), f"task {number}", payload) for number, payload in enumerate(payloads)]


def run(
    function: Callable[[Any], Any], payloads: Sequence[Any], slots: int = 1, **options: Any
) -> list[Outcome[Any]]:
    return list(run_local(tasks_of(payloads), function, local_slots(slots, 1), **options))


@pytest.fixture(scope="module")
def drill() -> dict[str, Outcome[Any]]:
    """Every fault once, with a sound task after each, in two slots."""
    payloads = [kind for fault in work.FAULTS for kind in (fault, "ok")]
    outcomes = run(work.fault, payloads, slots=2, timeout=1.0)
    assert len(outcomes) == len(payloads)
    sound = [outcome for outcome in outcomes if outcome.task.payload == "ok"]
    assert all(outcome.value == "ok" and outcome.lost is None for outcome in sound)
    return {outcome.task.payload: outcome for outcome in outcomes}


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("raise", "exception", "ValueError: a wrong value"),
        ("memory", "memory", "MemoryError"),
        ("exit 3", "exit", "status 3"),
        ("sys.exit", "exit", "status 4"),
        ("SIGKILL", "signal", "SIGKILL"),
        ("SIGTERM", "signal", "SIGTERM"),
        ("segfault", "signal", "SIGSEGV"),
        ("c loop", "timeout", "time limit of 1 s"),
        ("python loop", "timeout", "time limit of 1 s"),
        ("deaf", "timeout", "time limit of 1 s"),
        ("unpicklable", "exception", "cannot be sent"),
    ],
)
def test_a_fault_costs_its_own_task_only_and_is_named(
    drill: dict[str, Outcome[Any]], fault: str, kind: str, words: str
) -> None:
    outcome = drill[fault]
    assert outcome.value is None
    assert outcome.lost is not None
    assert outcome.lost.kind == kind
    assert words in outcome.lost.reason
    assert outcome.lost.outside == (fault in ("SIGKILL", "SIGTERM"))
    if kind == "timeout":  # of a minute or without end
        assert 1.0 <= outcome.seconds < 30


@pytest.mark.parametrize(("fault", "place"), [("raise", "in _raise"), ("segfault", "_segfault")])
def test_a_crash_or_an_error_says_where_python_was(
    drill: dict[str, Outcome[Any]], fault: str, place: str
) -> None:
    lost = drill[fault].lost
    assert lost is not None
    assert lost.exception == ("ValueError" if fault == "raise" else "")
    assert place in lost.traceback


def test_one_process_per_slot_does_all_its_tasks() -> None:
    outcomes = run(work.pid, [None] * 6)
    assert len({outcome.value for outcome in outcomes}) == 1
    assert outcomes[0].value != os.getpid()


def test_two_slots_work_at_the_same_time(tmp_path: Path) -> None:
    meetings = [(str(tmp_path), "a", "b"), (str(tmp_path), "b", "a")]
    seen = [(outcome.slot.name, outcome.value) for outcome in run(work.meet, meetings, slots=2)]
    assert sorted(seen) == [("cpu/0", True), ("cpu/1", True)]


def test_the_environment_is_there_before_libraries_load() -> None:
    slot = Slot("s", "cpu", 1, {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "BENCH_TEST_MARK": "x"})
    two = Slot("t", "cpu", 2, {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"})
    before = dict(os.environ)
    assert next(run_local(tasks_of([None]), work.threads_of_numpy, [slot])).value == {1}
    assert next(run_local(tasks_of([None]), work.threads_of_numpy, [two])).value == {
        min(2, len(os.sched_getaffinity(0)))
    }
    marks = run_local(tasks_of([["BENCH_TEST_MARK"]]), work.environment, [slot])
    assert next(marks).value == {"BENCH_TEST_MARK": "x"}
    assert dict(os.environ) == before


def test_events_tell_of_start_and_progress_in_the_thread_that_iterates() -> None:
    events: list[Event] = []
    threads = set()

    def note(event: Event) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    outcomes = run(work.count, [3], on_event=note)
    assert isinstance(events[0], Started)
    told = [event.values["step"] for event in events if isinstance(event, Progress)]
    assert told == sorted(set(told))
    assert told[0] == 0
    assert threads == {threading.get_ident()}
    assert events[0].task is outcomes[0].task


def test_what_a_task_prints_is_kept_with_it_and_away_from_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    first, second = run(work.speak, ["one", "two"])
    assert capfd.readouterr() == ("", "")
    assert "to stdout one" in first.output
    assert "to stderr" in first.output
    assert "from C" in first.output
    assert "to stdout two" in second.output
    assert "one" not in second.output


@pytest.mark.parametrize(
    ("function", "payloads", "word"),
    [(work.echo, [lambda: None, 1], "payload"), (work.unreadable, [1, 2], "cannot be sent between")],
)
def test_what_cannot_be_sent_or_received_costs_its_own_task_only(
    function: Callable[[Any], Any], payloads: list[Any], word: str
) -> None:
    bad, other = run(function, payloads)
    assert bad.lost is not None
    assert word in bad.lost.reason
    assert (other.value == 1) == (function is work.echo)


def test_nothing_to_do_starts_nothing() -> None:
    assert run(work.echo, []) == []


def test_leaving_early_kills_the_workers(tmp_path: Path) -> None:
    place = tmp_path / "pids"
    tasks = [Task("nap", "", str(place), 2.0), Task("bad", "", None, 1.0)]
    with closing(run_local(tasks, work.begin_and_nap, local_slots(2, 1))) as outcomes:
        assert next(outcomes).lost is not None
        while not place.exists():
            time.sleep(0.02)
        begin = time.monotonic()
    assert time.monotonic() - begin < 30.0  # they would sleep for a minute
    assert all(gone(int(line)) for line in place.read_text().split())


def test_what_a_task_has_started_dies_with_it(tmp_path: Path) -> None:
    place = tmp_path / "pid"
    (outcome,) = run(work.nap_with_child, [str(place)], timeout=1.0)
    assert outcome.lost is not None
    assert gone(int(place.read_text()))


def test_a_failing_event_handler_stops_the_workers() -> None:
    def fail(event: Event) -> None:
        raise RuntimeError("cannot draw")

    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(RuntimeError, match="cannot draw"):
        run(work.nap, [60.0], on_event=fail)
    assert all(
        gone(child.pid) for child in psutil.Process().children() if child.pid not in before | _trackers()
    )


def _trackers() -> set[int]:
    # multiprocessing keeps one process of its own, which tracks shared resources.
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has ended meanwhile
            if "resource_tracker" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


@pytest.mark.drill
def test_a_worker_killed_while_it_answers_costs_its_own_task_only() -> None:
    killed, sound = run(work.large, ["killed", "sound"])
    assert killed.lost is not None
    assert killed.lost.kind == "signal"
    assert sound.value == bytes(5_000_000)
