"""A record's folder is whole or absent, whatever happens to its writers and to the disk."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

import pytest

from bench.records import Store, StoreError
from bench.records.folders import DiskFull, has_room, marked, publish, seems_free
from bench.records.locks import held, kernel, lock_of
from tests.records import making
from tests.records.making import raising

ROOT = Path(__file__).resolve().parents[2]
DIGEST = making.record().digest


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "results")
    store.prepare()
    return store


def write(store: Store, status: str = "done", log: str = "log") -> bool:
    record = making.record(status="done" if status == "done" else "failed")
    return store.write(record, making.per_query(), making.TRACE, log)


def content(store: Store) -> list[str]:
    return [path.name for path in store.runs.iterdir()]


def age(path: Path, days: float) -> None:
    then = time.time() - days * 86_400
    if path.exists():
        os.utime(path, (then, then))


@pytest.mark.parametrize(
    ("kind", "writer", "days", "stays"),
    [
        ("tmp", "dead", 0, False),
        *((kind, "alive", days, True) for kind in ("tmp", "old") for days in (0, 9)),
        *(
            ("tmp", writer, days, days == 0)
            for writer in ("without locks", "on another kernel", "of an old version")
            for days in (0, 1.5)
        ),
    ],
)
def test_a_hidden_folder_goes_with_its_writer_or_after_a_day_if_nothing_is_known_of_that(
    store: Store, kind: str, writer: str, days: float, stays: bool
) -> None:
    word = {"on another kernel": "ffffffff", "of an old version": "host.name-4194305-"}.get(writer, kernel())
    folder, foreign = store.runs / f".{kind}-{DIGEST}-{word}01234567", store.runs / ".tmp-something"
    folder.mkdir()
    (folder / "record.json").write_text("{")
    foreign.mkdir()
    age(foreign, 9)
    with held(folder) if writer == "alive" else nullcontext():
        if writer not in ("alive", "without locks"):
            lock_of(folder).touch()
        for path in (folder, lock_of(folder)):
            age(path, days)
        assert (store.statuses(), store.problems) == ({}, [])
        store.prepare()
        assert folder.exists() is stays
    assert stays or content(store) == [foreign.name]


@pytest.mark.parametrize("locks", [True, False])
def test_a_writer_finishes_while_others_tidy_also_on_a_file_system_without_locks(
    store: Store, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    if not locks:
        monkeypatch.setattr("fcntl.flock", raising(errno.ENOLCK))
    write(store, "failed")
    flush, locked = os.fsync, set()

    def tidy_meanwhile(handle: int) -> None:
        Store(store.root).prepare()
        locked.add(any(store.runs.glob(f".*-{DIGEST}-*.lock")))
        flush(handle)

    monkeypatch.setattr("os.fsync", tidy_meanwhile)
    with marked(store.runs) as mark:
        assert write(store)
        assert (store.runs / mark).is_dir()
    assert locked == {locks}  # the file of a lock that cannot be held would look like that of a dead writer
    assert store.status(DIGEST) == "done"
    assert [name for name in content(store) if (store.runs / name).is_dir()] == [DIGEST]


@pytest.mark.parametrize(
    ("moved", "successor", "kept"),
    [
        ("failed", None, "moved"),
        ("failed", "done", "successor"),
        ("done", "failed", "moved"),
        ("done", "done", "successor"),
    ],
)
@pytest.mark.parametrize("locks", [True, False])
def test_a_record_that_a_dead_writer_moved_aside_is_restored_unless_its_successor_is_as_good(
    store: Store, moved: str, successor: str | None, kept: str, locks: bool
) -> None:
    write(store, moved, "moved")
    aside = store.runs / f".old-{DIGEST}-{kernel()}01234567"
    (store.runs / DIGEST).rename(aside)
    if locks:
        lock_of(aside).touch()
    else:
        age(aside, 1.5)  # without a lock, the age shows that its writer has ended
    assert not store.has(DIGEST)
    if successor:
        write(store, successor, "successor")
    store.prepare()
    assert store.status(DIGEST) == (moved if kept == "moved" else successor)
    assert (store.runs / DIGEST / "log.txt").read_text() == kept
    assert content(store) == [DIGEST]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permissions"),
        (errno.EIO, "check the disk"),
    ],
)
def test_a_failed_write_is_explained_and_leaves_the_old_record(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    write(store, "failed")
    monkeypatch.setattr("os.fsync", raising(number))
    with pytest.raises(StoreError, match=words) as caught:
        write(store)
    assert str(store.runs) in str(caught.value)
    # A full disk may have room for a smaller record, or later; the other faults stay.
    assert isinstance(caught.value, DiskFull) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert store.status(DIGEST) == "failed"
    assert content(store) == [DIGEST]


def test_an_interrupted_write_leaves_the_old_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, "failed")
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        """Interrupt between the move of the old record and the rename of the new one."""
        if self.name.startswith(".tmp") and not target.exists():
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(store)
    monkeypatch.undo()
    assert store.status(DIGEST) == "failed"
    assert content(store) == [DIGEST]


def test_a_path_that_is_a_file_is_explained_and_stays(tmp_path: Path, store: Store) -> None:
    (tmp_path / "file").write_text("a file")
    (store.runs / DIGEST).write_text("a file")
    for refused in (Store(tmp_path / "file").prepare, lambda: write(store)):
        with pytest.raises(StoreError, match="is a file"):
            refused()
    assert (store.runs / DIGEST).read_text() == (tmp_path / "file").read_text() == "a file"


def test_room_is_found_by_writing_and_no_file_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_room(store.runs, 1000)
    assert seems_free(store.runs) > 0
    monkeypatch.setattr("os.fsync", raising(errno.ENOSPC))
    assert not has_room(store.runs, 1000)
    assert content(store) == []
    assert not has_room(store.root / "absent", 1000)
    assert seems_free(store.root / "absent") == 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the names of open files are not known here")
@pytest.mark.parametrize("threads", [True, False])
def test_every_file_and_folder_of_a_record_is_flushed_before_it_is_renamed(
    store: Store, monkeypatch: pytest.MonkeyPatch, threads: bool
) -> None:
    done: list[str] = []
    flush, rename = os.fsync, Path.rename

    def note_flush(handle: int) -> None:
        done.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        flush(handle)

    def note_rename(path: Path, target: Path) -> Path:
        done.append("rename")
        return rename(path, target)

    def refuse(*_: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("os.fsync", note_flush)
    monkeypatch.setattr(Path, "rename", note_rename)
    if not threads:
        monkeypatch.setattr("threading.Thread.start", refuse)
    assert write(store)
    *before, renamed, last = done
    assert (renamed, last) == ("rename", "runs")
    (folder,) = [name for name in before if name.startswith(".tmp-")]
    assert sorted(before) == sorted([folder, *(path.name for path in (store.runs / DIGEST).iterdir())])


def test_a_file_system_that_cannot_flush_folders_is_used_without_that(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = os.fsync

    def files_only(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(handle)

    monkeypatch.setattr("os.fsync", files_only)
    assert write(store)
    assert store.has(DIGEST)


@pytest.mark.parametrize(("rival", "winner"), [(9, 9), (1, 5), (None, 5)])
def test_of_two_writers_at_once_the_better_record_stays(
    tmp_path: Path, rival: int | None, winner: int
) -> None:
    """A second writer publishes its record, or moves the old one aside, after the first has read its rank."""
    target, read = tmp_path / DIGEST, list[Path]()

    def rank(folder: Path) -> int:
        value = int((folder / "rank").read_text()) if folder.exists() else 0
        if folder == target and not read:
            read.append(folder)
            if rival is None:
                target.rename(tmp_path / "elsewhere")
            else:
                publish(target, {"rank": str(rival).encode()}, lambda _: 0)
        return value

    publish(target, {"rank": b"3"}, lambda _: 0)
    assert publish(target, {"rank": b"5"}, rank) is (winner == 5)
    assert int((target / "rank").read_text()) == winner
    assert {path.name for path in tmp_path.iterdir()} - {"elsewhere"} == {DIGEST}


def writer(store: Store, *words: object) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "tests.records.writer", str(store.root), *map(str, words)]
    return subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_processes_write_one_cell_at_once_while_another_reads_and_tidies(store: Store) -> None:
    processes = [writer(store, status, 12) for status in ("done", "failed", "done")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    while any(process.poll() is None for process in processes):
        store.prepare()
        assert set(store.statuses().values()) <= {"done", "failed"}
        assert store.problems == []
    assert [(process.communicate()[0], process.returncode) for process in processes] == [("", 0)] * 3
    assert store.statuses() == {DIGEST: "done"}
    assert content(store) == [DIGEST]


def test_a_writer_killed_at_any_moment_leaves_a_whole_record(store: Store) -> None:
    write(store)
    moments = random.Random(0)
    process = writer(store, "done")
    assert process.stdout is not None
    for _ in range(8):
        pid = int(process.stdout.readline())
        time.sleep(moments.uniform(0.0, 0.03))
        os.kill(pid, signal.SIGKILL)
        assert process.stdout.readline() == "ended\n"
        # The next writer is at work already.
        store.prepare()
        assert set(store.statuses().values()) <= {"done"}
        assert store.problems == []
    last = int(process.stdout.readline())
    process.kill()
    os.kill(last, signal.SIGKILL)
    process.communicate()
    store.prepare()
    assert store.statuses() == {DIGEST: "done"}
    assert content(store) == [DIGEST]
