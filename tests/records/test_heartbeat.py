"""The file by which `status` knows what runs: there while a run lives, never in its way."""

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


def leave(results: Path, name: str, age: float = 0.0) -> Path:
    path = results / "running" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(state()))
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_a_run_is_seen_while_it_lives_and_leaves_nothing(tmp_path: Path) -> None:
    with heartbeat(tmp_path, state):
        ((name, seen),) = active_runs(tmp_path)
        assert f"-{os.getpid()}-" in name
        assert seen == state()
        assert (seen.ended, seen.failed) == (3, 1)
    assert active_runs(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_what_changes_is_written_and_what_does_not_is_not(tmp_path: Path) -> None:
    asked = threading.Semaphore(0)
    done = [0]

    def tell() -> RunState:
        asked.release()
        return state(done[0])

    with heartbeat(tmp_path, tell, pause=0.01):
        (file,) = (tmp_path / "running").glob("*.json")
        before = file.stat().st_mtime_ns
        for _ in range(5):
            asked.acquire()
        assert file.stat().st_mtime_ns == before
        done[0] = 5
        end = time.monotonic() + 60
        while active_runs(tmp_path)[0][1].statuses["done"] != 5 and time.monotonic() < end:
            time.sleep(0.01)
        assert active_runs(tmp_path)[0][1].statuses["done"] == 5


def test_two_runs_with_one_host_name_and_number_are_both_seen(tmp_path: Path) -> None:
    with heartbeat(tmp_path, state):
        with heartbeat(tmp_path, lambda: state(7)):
            assert [seen.statuses["done"] for _, seen in active_runs(tmp_path)].count(7) == 1
            assert len(active_runs(tmp_path)) == 2
        assert [seen for _, seen in active_runs(tmp_path)] == [state()]
    path = leave(tmp_path, f"host-{2**22 + 1}-{unique_word()}")  # a number that nobody has here
    with held(path):
        remove_dead_runs(tmp_path)
        assert [name for name, _ in active_runs(tmp_path)] == [path.stem]


def test_a_dead_run_is_ignored_and_its_file_removed_by_the_next(tmp_path: Path) -> None:
    path = leave(tmp_path, f"host-{os.getpid()}-{kernel()}dead")
    lock_of(path).touch()
    assert active_runs(tmp_path) == []
    assert path.exists()  # whoever only looks changes nothing
    with heartbeat(tmp_path, state):
        assert not path.exists()
    path = leave(tmp_path, f"host-{os.getpid()}-{kernel()}dead")
    lock_of(path).touch()
    path.with_name(f"half-{kernel()}.json.lock").touch()
    remove_dead_runs(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_on_another_machine_is_believed_while_it_gives_signs_of_life(tmp_path: Path) -> None:
    alive = leave(tmp_path, "elsewhere-1")
    silent = leave(tmp_path, "elsewhere-2", age=1000)
    forgotten = leave(tmp_path, "elsewhere-3", age=100_000)
    assert [name for name, _ in active_runs(tmp_path)] == ["elsewhere-1"]
    with heartbeat(tmp_path, state):
        assert (alive.exists(), silent.exists(), forgotten.exists()) == (True, True, False)


@pytest.mark.parametrize("content", [b"", b"{", b'{"began": "x"}'])
def test_a_file_that_cannot_be_read_is_ignored(tmp_path: Path, content: bytes) -> None:
    leave(tmp_path, f"host-{os.getpid()}").write_bytes(content)
    (tmp_path / "running" / "noise.json").write_bytes(content)
    assert active_runs(tmp_path) == []


def test_a_run_goes_on_without_the_file_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "running").write_text("in the way")
    with heartbeat(tmp_path, state):
        assert active_runs(tmp_path) == []
    assert (tmp_path / "running").read_text() == "in the way"
