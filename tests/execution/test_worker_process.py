"""Workers: their start and end, the import of plug-ins, and the messages to the parent."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bench.execution import worker_process
from bench.execution.devices import local_slots
from bench.execution.local import run_local
from bench.execution.tasks import Loss, Outcome, Slot, Task, WorkerError
from bench.execution.worker import Finished, Setup, TaskStarted, decode_value, encode_value, framed, unframed
from bench.execution.worker_process import WorkerProcess, _by_signal
from tests.execution import work
from tests.execution.watching import gone
from tests.records.making import raising

SLOT = Slot("s", "cpu", 1)


def finish(worker: WorkerProcess, payload: Any) -> Finished:
    worker.begin(pickle.dumps(payload), None)
    while True:
        if worker.connection is not None:
            wait([worker.connection], 0.1)
        for message in worker.poll():
            if isinstance(message, Finished):
                return message


def run(function: Callable[[Any], Any], payload: Any, **limits: Any) -> Outcome[Any]:
    (outcome,) = run_local([Task("a", "", payload)], function, local_slots(1, 1), **limits)
    return outcome


def loss(outcome: Outcome[Any]) -> Loss:
    assert outcome.lost is not None
    return outcome.lost


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_worker_that_ends_or_is_killed_while_idle_is_replaced(killed: bool) -> None:
    worker = WorkerProcess(SLOT, pickle.dumps(work.pid), idle_seconds=60.0 if killed else 0.05)
    first = decode_value(finish(worker, None).value or b"", work.pid)
    if killed:
        os.kill(first, signal.SIGKILL)
    assert gone(first)
    second = decode_value(finish(worker, None).value or b"", work.pid)
    worker.close()
    assert second != first


def test_a_worker_is_a_session_that_ctrl_c_does_not_reach_shares_no_socket_and_takes_any_size() -> None:
    calls = [("session", None), ("inherited", None), ("echo", bytes(10)), ("echo", bytes(1_000_000))]
    tasks = [Task(str(number), "", call) for number, call in enumerate(calls)]
    values = [outcome.value for outcome in run_local(tasks, work.call, local_slots(1, 1))]
    assert values == [[True, True], 0, bytes(10), bytes(1_000_000)]


def test_a_worker_that_cannot_start_ends_the_run_and_costs_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_PAUSES", (0.0, 0.1))
    with pytest.raises(WorkerError, match=r"slot cpu/0.*loaded"):
        run(work.Unloadable(), 1)
    for module, name in ((subprocess, "Popen"), (tempfile, "TemporaryFile")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, raising(errno.ENOMEM))
            with pytest.raises(WorkerError, match=r"slot cpu/0: .*TMPDIR"):
                run(work.echo, 1)


def test_a_worker_whose_libraries_would_wait_for_memory_is_not_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (300 << 20, -1))
    with pytest.raises(WorkerError, match=r"300 MB.*ulimit -v"):
        run(work.echo, 1)


def test_a_worker_that_hangs_at_its_start_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_PAUSES", (0.0,))
    monkeypatch.setattr(worker_process, "_START_SECONDS", 0.5)
    monkeypatch.setattr(worker_process, "_PROGRAM", "import time; time.sleep(60); {path!r}; {handle}")
    with pytest.raises(WorkerError, match=r"start.*\b0\.5 s"):
        run(work.echo, 1)


def test_a_process_that_sends_other_bytes_than_messages_costs_its_task_only() -> None:
    contents = [b"\xff" * 8, framed(msgspec.msgpack.encode({"type": "Nonsense"})), b""]
    tasks = [Task(str(number), "", content, 3.0 - number) for number, content in enumerate(contents)]
    *bad, good = run_local(tasks, work.send_raw, local_slots(1, 1))
    assert all("no message" in loss(end).reason or "connection" in loss(end).reason for end in bad)
    assert (good.value, good.lost) == (None, None)


def test_a_value_of_another_type_than_declared_is_a_loss() -> None:
    assert "wrong_type" in loss(run(work.wrong_type, None)).reason


def test_a_plugin_that_ends_or_hangs_at_import_is_named_and_costs_its_task_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_process, "_IMPORT_SECONDS", 1.0)
    kinds = ["sys.exit", "exit 3", "c loop", "ok"]
    tasks = [Task(kind, "", kind) for kind in kinds]
    *bad, good = run_local(tasks, work.import_plugin, local_slots(1, 1))
    for outcome in bad:
        assert loss(outcome).kind == "import"
        assert "the method broken" in loss(outcome).reason
    assert good.value == "ok"


@pytest.mark.slow
def test_the_import_of_a_plugin_does_not_count_as_the_tasks_time() -> None:
    tasks = [Task(kind, "", kind) for kind in ("slow", "then c loop")]
    slow, endless = run_local(tasks, work.import_plugin, local_slots(1, 1), timeout=0.4)
    assert slow.value == "ok"
    assert loss(endless).kind == "timeout"


def test_a_worker_serves_its_parent_and_ends_when_it_is_idle(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    process = get_context("spawn").Process(target=work.serve_here, args=(theirs, str(tmp_path / "out")))
    process.start()
    theirs.close()
    setup = Setup(pickle.dumps(work.synthesise), None, 0.5)
    ours.sendall(framed(pickle.dumps(tuple(setup))) + framed(pickle.dumps("here")))
    process.join(60)
    assert process.exitcode == 0
    buffer = bytearray(ours.recv(1 << 16))
    assert [type(message).__name__ for message in unframed(buffer)] == ["Ready", "TaskStarted", "Finished"]
    assert (tmp_path / "out").read_text() == "to stdout here\nto stderr\nfrom C\n"


def test_messages_are_read_from_any_pieces_and_values_keep_their_types() -> None:
    buffer, found = bytearray(), list[Any]()
    for byte in framed(msgspec.msgpack.encode(TaskStarted())) * 3:
        buffer.append(byte)
        found += unframed(buffer)
    assert found == [TaskStarted()] * 3
    assert not buffer
    assert decode_value(encode_value({"x": np.float64(0.1)}), work.echo) == {"x": 0.1}
    with pytest.raises(TypeError, match="cannot be sent"):
        encode_value(object())


def test_a_worker_leaves_no_file_in_the_folder_of_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with closing(run_local([Task("a", "", None)], work.synthesise, local_slots(1, 1))) as outcomes:
        assert "to stdout" in next(outcomes).output
        assert [*tmp_path.iterdir()] == []


def test_a_child_process_that_outlives_the_worker_does_not_hide_its_end() -> None:
    """A forked child keeps the connection open for 30 s."""
    outcome = run(work.fork_and_exit, None)
    assert loss(outcome).kind == "exit"
    assert outcome.seconds < 20


def test_a_signal_without_a_name_is_given_by_its_number() -> None:
    assert "signal 250" in _by_signal(250)


def test_threads_may_run_workers_side_by_side() -> None:
    values: list[Any] = []
    threads = [threading.Thread(target=lambda: values.append(run(work.pid, None).value)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({*values}) == 2
