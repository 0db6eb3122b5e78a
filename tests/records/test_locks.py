"""A lock shows that its holder lives to every process of the machine, whatever processes that can see."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench.records import Store
from bench.records.locks import held, kernel, looked_at

ROOT = Path(__file__).resolve().parents[2]
APART = ["unshare", "--pid", "--fork", "--mount-proc"]
"""Runs a program that sees no process but its children; all else, host name and files, it shares."""

HOLD = """
import sys
from pathlib import Path
from bench.records.folders import marked
from bench.records.heartbeat import Heartbeat, RunState
state = RunState(
    began=1.0, written=2.0, what="", total=9, recorded=1, statuses={}, elsewhere=0, waiting=0,
    running=[], left=None, stopping=False,
)
root = Path(sys.argv[1])
with marked(root / "runs") as mark, Heartbeat(root, lambda: state):
    print(mark, flush=True)
    sys.stdin.readline()
"""
LOOK = """
import sys
from pathlib import Path
from bench.records import Store
from bench.records.heartbeat import remove_dead_runs, active_runs
Store(sys.argv[1]).prepare()
remove_dead_runs(Path(sys.argv[1]))
print(len(active_runs(Path(sys.argv[1]))))
"""


def can_be_apart() -> bool:
    if shutil.which(APART[0]) is None:
        return False
    return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0


apart = pytest.mark.skipif(not can_be_apart(), reason="this system or user cannot make a process namespace")


def start(program: str, root: Path, *before: str) -> subprocess.Popen[str]:
    words = [*before, sys.executable, "-c", program, str(root)]
    return subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@apart
@pytest.mark.parametrize(("holder", "looker"), [(APART, []), ([], APART), (APART, APART)])
def test_a_holder_in_another_process_namespace_is_alive_until_it_dies(
    tmp_path: Path, holder: list[str], looker: list[str]
) -> None:
    store = Store(tmp_path)
    store.prepare()
    holding = start(HOLD, tmp_path, *holder)
    assert holding.stdout is not None
    mark = holding.stdout.readline().strip()
    assert start(LOOK, tmp_path, *looker).communicate(timeout=60)[0] == "1\n"
    assert (store.runs / mark).is_dir()
    holding.communicate("\n", timeout=60)
    assert holding.returncode == 0
    assert start(LOOK, tmp_path, *looker).communicate(timeout=60)[0] == "0\n"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert list(store.runs.iterdir()) == []


def test_a_holder_that_is_killed_is_dead_and_what_it_left_is_cleared(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    holding = start(HOLD, tmp_path)
    assert holding.stdout is not None
    mark = holding.stdout.readline().strip()
    holding.kill()
    os.waitid(os.P_PID, holding.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and keeps its number
    assert (store.runs / mark).is_dir()
    assert len(list((tmp_path / "running").iterdir())) == 2
    assert start(LOOK, tmp_path).communicate(timeout=60)[0] == "0\n"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert list(store.runs.iterdir()) == []
    holding.communicate()


def test_a_lock_is_seen_within_its_own_process_and_by_several_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path) as locked, looked_at(path) as first, looked_at(path) as second:
        assert (locked, first, second) == (True, "alive", "alive")
    assert not path.exists()
    with looked_at(path) as holder:
        assert holder == "unknown"
    path.write_bytes(kernel())
    with looked_at(path) as first, looked_at(path) as second:
        assert (first, second) == ("dead", "dead")
    path.write_bytes(b"another machine")
    with looked_at(path) as holder:
        assert holder == "unknown"


def test_who_looks_at_a_new_lock_too_early_does_not_take_it_away(tmp_path: Path) -> None:
    """The file is there before it is locked: it is taken for a dead one's, and its maker makes it again."""
    path = tmp_path / "lock"
    path.touch()
    done = threading.Event()

    def hold() -> None:
        with held(path) as locked:
            assert locked
            with looked_at(path) as holder:
                assert holder == "alive"
            done.set()

    with looked_at(path) as holder:
        assert holder == "dead"
        thread = threading.Thread(target=hold)
        thread.start()
        assert not done.wait(0.05)
        path.unlink()
    thread.join(timeout=30)
    assert done.is_set()
    assert not path.exists()
