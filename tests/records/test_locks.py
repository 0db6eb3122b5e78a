"""Locks show that their holders live, and claims hold, whatever processes can be seen; both die with them."""

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
"""Runs a program that sees no process but its children, and may have another host name."""

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
Store(sys.argv[1]).prepare()
remove_dead_runs(Path(sys.argv[1]))
print(len(active_runs(Path(sys.argv[1]))))
"""


def can_be_apart() -> bool:
    if shutil.which(APART[0]) is None:
        return False
    return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0


apart = pytest.mark.skipif(not can_be_apart(), reason="this system or user cannot make a process namespace")


class Other:
    """Another process that marks a results folder, has a heartbeat there, and claims cells."""

    def __init__(self, root: Path, before: list[str]) -> None:
        words = [*before, sys.executable, "-c", HOLD, str(root), *before[:1]]
        self.process = subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.mark = self.process.stdout.readline().strip()

    def do(self, word: str, digest: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word} {digest}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def die(self) -> None:
        self.process.kill()
        if self.process.returncode is None:
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)  # it keeps its number


def look(root: Path, before: list[str]) -> int:
    words = [*before, sys.executable, "-c", LOOK, str(root)]
    return int(subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "r")
    store.prepare()
    return store


@pytest.fixture
def other(store: Store) -> Iterator[Other]:
    other = Other(store.root, [])
    yield other
    other.process.kill()
    other.process.communicate()


def write(store: Store, record: Record) -> None:
    store.write(record, making.per_query(), [], "")


@apart
@pytest.mark.parametrize(("holder", "looker"), [(APART, []), ([], APART), (APART, APART)])
def test_a_holder_in_another_process_namespace_is_alive_until_it_ends(
    store: Store, holder: list[str], looker: list[str]
) -> None:
    digest = making.identity().digest
    other = Other(store.root, holder)
    assert other.do("take", digest) == "mine"
    assert look(store.root, looker) == 1
    assert (store.runs / other.mark).is_dir()
    with Claims(store) as claims:
        assert claims.take(digest) == "elsewhere"
    other.process.communicate(timeout=180)
    assert other.process.returncode == 0
    assert look(store.root, looker) == 0
    assert {path.name for path in store.root.iterdir()} == {"runs", ".locks"}
    assert [*store.runs.iterdir(), *store.claims.iterdir()] == []


def test_a_holder_that_is_killed_is_dead_and_what_it_left_is_cleared(store: Store, other: Other) -> None:
    digest = making.identity().digest
    assert other.do("take", digest) == "mine"
    with Claims(store) as claims:
        assert claims.take(digest) == "elsewhere"
        other.die()
        assert claims.take(digest) == "mine"
    assert (store.runs / other.mark).is_dir()
    assert len(list((store.root / "running").iterdir())) == 2
    assert look(store.root, []) == 0
    assert {path.name for path in store.root.iterdir()} == {"runs", ".locks"}
    assert list(store.runs.iterdir()) == []


def test_a_lock_is_seen_within_its_own_process_and_one_of_another_kernel_tells_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / f"a-{unique_word()}"
    with looked_at(path) as holder:
        assert holder == "unknown"
    with held(path) as locked, looked_at(path) as holder:
        assert (locked, holder) == (True, "alive")
    assert list(tmp_path.iterdir()) == []
    foreign = tmp_path / "a-ffffffff00000000"
    for left, known in ((path, "dead"), (foreign, "unknown")):
        lock_of(left).touch()
        with looked_at(left) as holder:
            assert holder == known
    assert kernel() != "ffffffff"


def test_who_looks_at_a_new_lock_too_early_does_not_take_it_away(tmp_path: Path) -> None:
    """The file is there before it is locked: it is taken for a dead one's, and its maker makes it again."""
    path = tmp_path / f"a-{unique_word()}"
    lock_of(path).touch()
    done = threading.Event()

    def hold() -> None:
        with held(path) as locked, looked_at(path) as holder:
            assert (locked, holder) == (True, "alive")
            done.set()

    with looked_at(path) as holder:
        assert holder == "dead"
        thread = threading.Thread(target=hold)
        thread.start()
        assert not done.wait(0.05)
        lock_of(path).unlink()
    thread.join(timeout=30)
    assert done.is_set()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_file_was_removed_while_it_was_opened_is_taken_anew(
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


def test_one_process_at_a_time_has_a_cell_and_gives_it_back(store: Store, other: Other) -> None:
    first, second = making.identity(1).digest, making.identity(2).digest
    assert other.do("take", first) == "mine"
    assert other.do("take", first) == "mine"  # asked again by its holder
    with Claims(store) as claims:
        assert claims.take(first) == "elsewhere"
        assert claims.take(second) == "mine"
        assert other.do("take", second) == "elsewhere"
        other.do("release", first)
        assert claims.take(first) == "mine"
        claims.release(second)
        assert other.do("take", second) == "mine"
    assert other.do("take", first) == "mine"


def test_what_was_recorded_since_is_not_done_again_but_what_is_older_may_be(store: Store) -> None:
    old, new, untouched = making.record(1, "failed"), making.record(2), making.record(3, "failed")
    damaged = making.record(4)
    write(store, old)
    write(store, untouched)
    with Claims(store) as claims:
        assert claims.take(old.digest) == "mine"  # it was asked to run again
        claims.release(old.digest)
        for record in (new, old, damaged):
            write(store, record)
        (store.runs / damaged.digest / "record.json").write_text("{")
        standings = [claims.take(record.digest) for record in (old, new, untouched, damaged)]
        assert standings == ["recorded", "recorded", "mine", "mine"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_without_locks_a_run_goes_on_and_can_say_so(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("fcntl.flock", making.raising(number))
    digest = making.identity().digest
    with Claims(store) as claims:
        assert "no locks" in claims.unavailable
        assert claims.take(digest) == "mine"
        write(store, making.record())
        assert claims.take(digest) == "mine"
        claims.release(digest)
        assert claims.take(digest) == "recorded"
    assert list(store.claims.iterdir()) == []


def test_a_claim_that_fails_later_is_as_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Claims(store) as claims:
        assert claims.unavailable == ""
        monkeypatch.setattr("bench.records.locks.try_lock", making.raising(errno.EMFILE))
        assert claims.take(making.identity().digest) == "mine"
        assert "Too many open files" in claims.unavailable


@pytest.mark.parametrize("name", [".locks", ".locks-trials"])
def test_a_folder_of_claims_that_cannot_be_made_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("in the way")
    store = Store(tmp_path) if name == ".locks" else TrialStore(tmp_path)
    with pytest.raises(StoreError, match=r"cannot write results to .*\.locks"):
        store.prepare()
