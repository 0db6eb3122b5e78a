"""Locks and claims are valid for processes of any namespace, and end with the processes that hold them."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.records import Record, Store, StoreError, TrialStore
from bench.records.locks import Claims, held, kernel, lock_of, looked_at, try_lock, unique_word
from tests.records import making

ROOT = Path(__file__).resolve().parents[2]
APART = ["unshare", "--pid", "--uts", "--fork", "--mount-proc"]
"""Runs a program that sees no process but its children, and may set another host name."""

HOLD = """
import socket, sys
from pathlib import Path
from bench.records import Store
from bench.records.folders import marked
from bench.records.heartbeat import heartbeat
from bench.records.locks import Claims
from tests.records.test_heartbeat import state
if sys.argv[2:]:
    socket.sethostname("another")
root = Path(sys.argv[1])
with marked(root / "runs") as mark, heartbeat(root, state), Claims(Store(root)) as claims:
    print(mark, flush=True)
    for line in sys.stdin:
        word, digest = line.split()
        print(getattr(claims, word)(digest), flush=True)
"""
LOOK = """
import sys
from pathlib import Path
from bench.records import Store
from bench.records.heartbeat import active_runs, remove_dead_runs
root = Path(sys.argv[1])
Store(root).prepare()
remove_dead_runs(root)
print(len(active_runs(root)))
"""
FIRST, SECOND = (making.identity(seed).digest for seed in (1, 2))


def _can_be_apart() -> bool:
    if shutil.which(APART[0]) is None:
        return False
    return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0


class Holder:
    """A process that marks a results folder, has a heartbeat there, and claims cells."""

    def __init__(self, root: Path, before: list[str]) -> None:
        words = [*before, sys.executable, "-c", HOLD, str(root), *before[:1]]
        self.process = subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.mark = self._read()

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def do(self, word: str, digest: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word} {digest}\n")
        self.process.stdin.flush()
        return self._read()


def active(root: Path, before: list[str]) -> int:
    """Return how many runs another process finds active, once it has tidied the folder."""
    words = [*before, sys.executable, "-c", LOOK, str(root)]
    return int(subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "r")
    store.prepare()
    return store


@pytest.fixture
def holder(store: Store) -> Iterator[Holder]:
    holder = Holder(store.root, [])
    yield holder
    holder.process.kill()
    holder.process.communicate()


def write(store: Store, record: Record) -> None:
    store.write(record, making.per_query(), [], "")


def check_empty(store: Store) -> None:
    assert {path.name for path in store.root.iterdir()} == {"runs", ".locks"}
    assert [*store.runs.iterdir(), *store.claims.iterdir()] == []


@pytest.mark.skipif(not _can_be_apart(), reason="this system or user cannot make a process namespace")
@pytest.mark.parametrize(("before", "looker"), [(APART, []), ([], APART), (APART, APART)])
def test_a_holder_in_another_process_namespace_is_alive_until_it_ends(
    store: Store, before: list[str], looker: list[str]
) -> None:
    holder = Holder(store.root, before)
    assert holder.do("take", FIRST) == "mine"
    assert active(store.root, looker) == 1
    assert (store.runs / holder.mark).is_dir()
    with Claims(store) as claims:
        assert claims.take(FIRST) == "elsewhere"
    holder.process.communicate(timeout=180)
    assert holder.process.returncode == 0
    assert active(store.root, looker) == 0
    check_empty(store)


def test_one_process_at_a_time_has_a_cell_until_it_releases_it_or_is_killed(
    store: Store, holder: Holder
) -> None:
    assert holder.do("take", FIRST) == "mine"
    assert holder.do("take", FIRST) == "mine"  # asked again by its holder
    with Claims(store) as claims:
        assert claims.take(FIRST) == "elsewhere"
        assert claims.take(SECOND) == "mine"
        assert holder.do("take", SECOND) == "elsewhere"
        holder.do("release", FIRST)
        assert claims.take(FIRST) == "mine"
        claims.release(SECOND)
        assert holder.do("take", SECOND) == "mine"
        assert claims.take(SECOND) == "elsewhere"
        holder.process.kill()
        os.waitid(os.P_PID, holder.process.pid, os.WEXITED | os.WNOWAIT)  # its process id stays in use
        assert claims.take(SECOND) == "mine"
    assert (store.runs / holder.mark).is_dir()
    assert len(list((store.root / "running").iterdir())) == 2
    assert active(store.root, []) == 0
    check_empty(store)


def test_a_lock_is_seen_by_its_process_and_that_of_another_kernel_is_unknown(tmp_path: Path) -> None:
    path, foreign = tmp_path / f"a-{unique_word()}", tmp_path / "a-ffffffff00000000"
    with looked_at(path) as state:
        assert state == "unknown"
    with held(path) as locked, looked_at(path) as state:
        assert (locked, state) == (True, "alive")
    assert list(tmp_path.iterdir()) == []
    for left, known in ((path, "dead"), (foreign, "unknown")):
        lock_of(left).touch()
        with looked_at(left) as state:
            assert state == known
    assert kernel() != "ffffffff"


def test_a_look_at_a_lock_that_is_not_held_yet_does_not_prevent_that(tmp_path: Path) -> None:
    """The file exists before it is locked: it looks like that of a dead holder, and is made again."""
    path = tmp_path / f"a-{unique_word()}"
    lock_of(path).touch()
    done = threading.Event()

    def hold() -> None:
        with held(path) as locked, looked_at(path) as state:
            assert (locked, state) == (True, "alive")
            done.set()

    with looked_at(path) as state:
        assert state == "dead"
        thread = threading.Thread(target=hold)
        thread.start()
        assert not done.wait(0.05)
        lock_of(path).unlink()
    thread.join(timeout=30)
    assert done.is_set()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_file_was_removed_while_it_was_opened_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import UnixFileLock

    path, acquire = tmp_path / "lock", UnixFileLock.acquire
    removed: list[Path] = []

    def remove_once(lock: UnixFileLock, **more: Any) -> object:
        answer = acquire(lock, **more)
        if not removed:
            path.unlink()
            removed.append(path)
        return answer

    monkeypatch.setattr(UnixFileLock, "acquire", remove_once)
    lock = try_lock(path)
    assert lock is not None
    assert path.exists()
    assert try_lock(path) is None
    lock.release()


def test_a_cell_recorded_since_the_claims_were_made_is_not_claimed_and_an_older_record_is_no_obstacle(
    store: Store,
) -> None:
    old, new, untouched = making.record(1, "failed"), making.record(2), making.record(3, "failed")
    damaged = making.record(4)
    write(store, old)
    write(store, untouched)
    with Claims(store) as claims:
        assert claims.take(old.digest) == "mine"
        claims.release(old.digest)
        for record in (new, old, damaged):
            write(store, record)
        (store.runs / damaged.digest / "record.json").write_text("{")
        found = [claims.take(record.digest) for record in (old, new, untouched, damaged)]
        assert found == ["recorded", "recorded", "mine", "mine"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_without_locks_a_run_continues_and_the_reason_is_known(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("fcntl.flock", making.raising(number))
    with Claims(store) as claims:
        assert "no locks" in claims.unavailable
        assert claims.take(FIRST) == "mine"
        write(store, making.record(1))
        assert claims.take(FIRST) == "mine"
        claims.release(FIRST)
        assert claims.take(FIRST) == "recorded"
    assert list(store.claims.iterdir()) == []


def test_a_lock_that_fails_later_is_no_obstacle(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Claims(store) as claims:
        assert claims.unavailable == ""
        monkeypatch.setattr("bench.records.locks.try_lock", making.raising(errno.EMFILE))
        assert claims.take(FIRST) == "mine"
        assert "Too many open files" in claims.unavailable


@pytest.mark.parametrize("name", [".locks", ".locks-trials"])
def test_a_folder_of_claims_that_cannot_be_made_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a file")
    store = Store(tmp_path) if name == ".locks" else TrialStore(tmp_path)
    with pytest.raises(StoreError, match=r"\.locks"):
        store.prepare()
