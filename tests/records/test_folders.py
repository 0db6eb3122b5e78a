"""A record's folder is whole or absent, whoever writes, dies or runs out of disk meanwhile."""

from __future__ import annotations

import errno
import os
import random
import stat
import subprocess
import sys
import time
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


def write(store: Store, status: str = "done") -> bool:
    record = making.record(status="done" if status == "done" else "failed")
    return store.write(record, making.per_query(), making.TRACE, status)


def hidden(store: Store, kind: str, machine: str | None = None) -> Path:
    """Return the name of a hidden folder of a writer under this kernel, or under another."""
    return store.runs / f".{kind}-{DIGEST}-{kernel() if machine is None else machine}01234567"


def left_by_a_dead_writer(store: Store, kind: str, machine: str | None = None) -> Path:
    """Make the lock of a writer that has died; the folder is up to the caller."""
    folder = hidden(store, kind, machine)
    lock_of(folder).touch()
    return folder


def age(folder: Path, days: float) -> None:
    then = time.time() - days * 86_400
    os.utime(folder, (then, then))


def test_what_a_dead_writer_left_half_written_is_removed(store: Store) -> None:
    folder, other = left_by_a_dead_writer(store, "tmp"), store.runs / ".tmp-something"
    folder.mkdir()
    (folder / "record.json").write_text("{")
    other.mkdir()
    age(other, 9)
    assert store.statuses() == {}
    assert store.problems == []
    store.prepare()
    assert list(store.runs.iterdir()) == [other]  # of another program


@pytest.mark.parametrize("days", [0, 9])
@pytest.mark.parametrize("kind", ["tmp", "old"])
def test_the_folder_of_a_living_writer_is_left_alone_whatever_its_age(
    store: Store, kind: str, days: float
) -> None:
    folder = hidden(store, kind)
    folder.mkdir()
    with held(folder) as locked:
        assert locked
        age(folder, days)
        store.prepare()
        assert folder.exists()
    age(folder, 1.5)
    store.prepare()
    assert not folder.exists()


def test_a_writer_can_finish_while_others_tidy(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    flush, tidied = os.fsync, []

    def tidy_meanwhile(handle: int) -> None:
        Store(store.root).prepare()
        tidied.append(handle)
        flush(handle)

    monkeypatch.setattr("os.fsync", tidy_meanwhile)
    with marked(store.runs) as mark:
        assert write(store)
        assert (store.runs / mark).is_dir()
    assert tidied
    assert store.status(DIGEST) == "done"


@pytest.mark.parametrize(
    "name", [None, "ffffffff", "host.name-4194305-"], ids=["no lock", "another", "older"]
)
def test_where_nobody_can_tell_a_folder_goes_only_when_it_is_old(store: Store, name: str | None) -> None:
    folder = hidden(store, "tmp") if name is None else left_by_a_dead_writer(store, "tmp", name)
    folder.mkdir()
    store.prepare()
    assert folder.exists()
    for path in (folder, lock_of(folder)):
        if path.exists():
            age(path, 1.5)
    store.prepare()
    assert list(store.runs.iterdir()) == []


def test_a_file_system_without_locks_takes_records_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.flock", raising(errno.ENOLCK))
    write(store, "failed")
    flush, seen = os.fsync, []

    def tidy_meanwhile(handle: int) -> None:
        store.prepare()
        seen.append([*store.runs.glob(f".*-{DIGEST}-*.lock")])
        flush(handle)

    monkeypatch.setattr("os.fsync", tidy_meanwhile)
    assert write(store)
    assert seen
    assert not any(seen)  # what cannot be locked leaves no file that would look like a dead one's lock
    assert store.status(DIGEST) == "done"
    assert [path.name for path in store.runs.iterdir() if path.is_dir()] == [DIGEST]


@pytest.mark.parametrize("successor", [False, True])
def test_a_record_that_a_dead_writer_had_moved_aside_is_put_back_unless_its_successor_stands(
    store: Store, successor: bool
) -> None:
    write(store, "failed")
    (store.runs / DIGEST).rename(left_by_a_dead_writer(store, "old"))
    assert not store.has(DIGEST)
    if successor:
        write(store)
    store.prepare()
    assert store.status(DIGEST) == ("done" if successor else "failed")
    assert len(list(store.runs.iterdir())) == 1


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "may not write"),
        (errno.EIO, "check the disk"),
    ],
)
def test_a_disk_that_refuses_is_explained_and_costs_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    write(store, "failed")
    monkeypatch.setattr("os.fsync", raising(number))
    with pytest.raises(StoreError, match=words) as caught:
        write(store)
    assert str(store.runs) in str(caught.value)
    # A full disk may have room for what is smaller, or later; nothing else gets better by itself.
    assert isinstance(caught.value, DiskFull) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert store.status(DIGEST) == "failed"
    assert len(list(store.runs.iterdir())) == 1


def test_room_is_found_by_trying_and_nothing_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_room(store.runs, 1000)
    assert seems_free(store.runs) > 0
    assert list(store.runs.iterdir()) == []
    monkeypatch.setattr("os.fsync", raising(errno.ENOSPC))
    assert not has_room(store.runs, 1000)
    assert list(store.runs.iterdir()) == []
    assert not has_room(store.root / "gone", 1000)
    assert seems_free(store.root / "gone") == 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are not shown here")
@pytest.mark.parametrize("threads", [True, False], ids=["with threads", "where no thread can be started"])
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


def test_a_file_system_that_cannot_flush_directories_will_do(
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


def test_a_results_folder_that_is_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    store = Store(tmp_path / "other")
    store.prepare()
    (store.runs / DIGEST).write_text("mine")
    for refused in (Store(tmp_path / "results").prepare, lambda: write(store)):
        with pytest.raises(StoreError, match="part of that path is a file"):
            refused()
    assert (store.runs / DIGEST).read_text() == "mine"


def test_an_interrupted_write_leaves_the_old_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, "failed")
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        """Interrupt just when the old record is aside and the new one is about to take its place."""
        if self.name.startswith(".tmp") and not target.exists():
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(store)
    monkeypatch.undo()
    assert store.status(DIGEST) == "failed"
    assert len(list(store.runs.iterdir())) == 1


def _content(folder: Path) -> int:
    try:
        return int((folder / "rank").read_text())
    except OSError:
        return 0


@pytest.mark.parametrize(("other", "stands"), [(9, 9), (1, 5), (None, 5)])
def test_a_writer_that_was_overtaken_keeps_the_better_record(
    tmp_path: Path, other: int | None, stands: int
) -> None:
    target = tmp_path / DIGEST
    publish(target, {"rank": b"3"}, _content)
    overtaken: list[bool] = []

    def rank(folder: Path) -> int:
        """Let another writer finish, or move the old record aside, just after this one has looked."""
        found = _content(folder)
        if folder == target and not overtaken:
            overtaken.append(True)
            if other is None:
                target.rename(tmp_path / "elsewhere")
            else:
                publish(target, {"rank": str(other).encode()}, lambda folder: 0)
        return found

    assert publish(target, {"rank": b"5"}, rank) is (stands == 5)
    assert _content(target) == stands
    assert {path.name for path in tmp_path.iterdir()} - {"elsewhere"} == {DIGEST}


def writer(root: Path, first: str, rounds: int) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "tests.records.writer", str(root), first, str(rounds)]
    process = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_processes_writing_one_cell_at_once_do_no_harm(store: Store) -> None:
    processes = [writer(store.root, first, 15) for first in ("done", "failed", "done")]
    finished = False
    while any(process.poll() is None for process in processes):
        assert set(store.statuses().values()) <= {"done", "failed"}
        assert store.problems == []
        finished = finished or store.status(DIGEST) == "done"
    assert [process.communicate()[0] for process in processes] == ["", "", ""]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert store.statuses() == {DIGEST: "done"}
    assert len(list(store.runs.iterdir())) == 1


def test_a_writer_killed_at_any_moment_leaves_a_whole_record(store: Store) -> None:
    write(store)
    moments = random.Random(0)
    for _ in range(4):
        process = writer(store.root, "done", -1)
        time.sleep(moments.uniform(0.0, 0.05))
        process.kill()
        process.communicate()
        store.prepare()
        assert store.statuses() == {DIGEST: "done"}
        assert store.problems == []
        assert [path.name for path in store.runs.iterdir()] == [DIGEST]


def test_writers_finish_while_others_tidy_all_the_time(store: Store) -> None:
    process = writer(store.root, "done", 20)
    while process.poll() is None:
        store.prepare()
    assert (process.communicate()[0], process.returncode) == ("", 0)
    assert store.statuses() == {DIGEST: "done"}
    assert len(list(store.runs.iterdir())) == 1
