"""The heartbeat file of a run exists while the run is alive, and no run fails because of it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import msgspec
import pytest

from bench.records.heartbeat import RunningCell, RunState, active_runs, heartbeat, remove_dead_runs
from bench.records.locks import held, kernel, lock_of, unique_word


def state(done: int = 0) -> RunState:
    return RunState(
        began=1.0,
        written=2.0,
        what="",
        total=9,
        recorded=1,
        statuses={"done": done, "failed": 1, "skipped": 1},
        elsewhere=0,
        waiting=0,
        running=[RunningCell(digest="d", title="t", slot="cpu/0", began=1.5)],
        left=None,
        stopping=False,
    )


def leave(results: Path, name: str, age: float = 0.0, content: bytes | None = None) -> Path:
    path = results / "running" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(state()) if content is None else content)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_a_run_is_seen_while_it_lives_and_leaves_no_file(tmp_path: Path) -> None:
    with heartbeat(tmp_path, state):
        ((name, seen),) = active_runs(tmp_path)
        assert f"-{os.getpid()}-" in name
        assert (seen, seen.ended, seen.failed) == (state(), 3, 1)
        with heartbeat(tmp_path, lambda: state(7)):  # a second run with the same host name and process id
            assert sorted(seen.statuses["done"] for _, seen in active_runs(tmp_path)) == [0, 7]
        assert [seen for _, seen in active_runs(tmp_path)] == [state()]
    assert active_runs(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_state_is_written_when_it_changes_and_not_before(tmp_path: Path) -> None:
    asked = threading.Semaphore(0)
    done = [0]

    def current() -> RunState:
        asked.release()
        return state(done[0])

    with heartbeat(tmp_path, current, pause=0.01):
        (file,) = (tmp_path / "running").glob("*.json")
        before = file.stat().st_mtime_ns
        for _ in range(5):
            asked.acquire()
        assert file.stat().st_mtime_ns == before
        done[0] = 5
        end = time.monotonic() + 60
        while active_runs(tmp_path)[0][1].statuses["done"] != 5:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_the_file_of_a_dead_run_is_ignored_and_removed_by_the_next(tmp_path: Path) -> None:
    alive = leave(tmp_path, f"host-{2**22 + 1}-{unique_word()}")  # no process has this number
    with held(alive):
        dead = leave(tmp_path, f"host-{os.getpid()}-{kernel()}dead")
        lock_of(dead).touch()
        assert [name for name, _ in active_runs(tmp_path)] == [alive.stem]
        assert dead.exists()  # reading changes no file
        with heartbeat(tmp_path, state):
            assert (alive.exists(), dead.exists()) == (True, False)
    lock_of(alive).touch()
    alive.with_name(f"half-{kernel()}.json.lock").touch()  # of a run that died before its first heartbeat
    remove_dead_runs(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_on_another_machine_counts_as_alive_while_its_file_changes(tmp_path: Path) -> None:
    names = [leave(tmp_path, f"elsewhere-{age}", age) for age in (0, 1000, 100_000)]
    assert [name for name, _ in active_runs(tmp_path)] == ["elsewhere-0"]
    with heartbeat(tmp_path, state):
        assert [path.exists() for path in names] == [True, True, False]


@pytest.mark.parametrize("content", [b"", b"{", b'{"began": "x"}'])
def test_a_file_that_cannot_be_read_is_ignored(tmp_path: Path, content: bytes) -> None:
    for name in (f"host-{os.getpid()}", "noise"):
        leave(tmp_path, name, content=content)
    assert active_runs(tmp_path) == []


def test_a_run_continues_if_the_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "running").write_text("a file")
    with heartbeat(tmp_path, state):
        assert active_runs(tmp_path) == []
    assert (tmp_path / "running").read_text() == "a file"
