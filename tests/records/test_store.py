"""Records are written whole or not at all, and read only if they are sound; a damaged one raises no error."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from bench.contract import DataError
from bench.records import STATUSES, Record, Series, Status, Store
from bench.records.encoding import FILES, encode_record
from bench.records.environment import peak_memory, reset_peak_memory
from bench.records.merging import merge
from tests.records import making


def write(store: Store, record: Record, log: str = "log") -> bool:
    return store.write(record, making.per_query(), making.TRACE, log)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def test_everything_reads_back(store: Store) -> None:
    record = making.record()
    assert write(store, record, "line\nmore \udcff")
    assert store.read(record.digest) == record
    assert list(store.records()) == [record]
    assert store.statuses() == {record.digest: "done"}
    assert store.trace(record.digest) == making.TRACE
    assert store.log(record.digest) == "line\nmore \\udcff"
    found = store.per_query(record.digest)
    assert all(np.array_equal(found[Series(*key)], value) for key, value in making.per_query().items())
    assert store.problems == []


def test_a_record_is_a_folder_that_sha256sum_accepts(store: Store) -> None:
    record = making.record()
    write(store, record)
    folder = store.root / "runs" / record.digest
    assert {path.name for path in folder.iterdir()} == {*FILES, "sha256sums.txt"}
    other = Store(store.root.with_name("other"))
    write(other, record)
    for path in folder.iterdir():  # the same record gives the same bytes
        assert path.read_bytes() == (other.runs / record.digest / path.name).read_bytes()
    write(other, making.record(seed=2))
    shutil.copytree(other.runs, store.runs, dirs_exist_ok=True)  # records merge by copying folders
    assert {found.identity.seed for found in store.records()} == {0, 2}
    if shutil.which("sha256sum") is not None:
        subprocess.run(["sha256sum", "-c", "--strict", "sha256sums.txt"], cwd=folder, check=True)


def test_a_new_record_replaces_an_old_one_but_a_failure_never_a_finished_one(store: Store) -> None:
    digest, current = making.record().digest, ""
    others = [status for status in STATUSES if status != "done"]
    for number, status in enumerate([*others, "done", *others, "done"]):
        kept = current == "done" and status != "done"
        assert write(store, making.record(status=cast("Status", status)), str(number)) is not kept
        if not kept:
            current, log = status, str(number)
        assert store.status(digest) == current
        assert store.log(digest) == log
    assert [path.name for path in store.runs.iterdir()] == [digest]


def test_reading_creates_nothing(store: Store) -> None:
    assert store.statuses() == {}
    assert list(store.records()) == []
    assert not store.has("0" * 20)
    for read in (store.read, store.per_query, store.trace, store.log):
        with pytest.raises(DataError, match=r"record 0{20}"):
            read("0" * 20)
    assert not store.root.exists()
    store.root.write_text("a file")
    assert store.statuses() == {}


def edited(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def resealed(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: making.reseal(folder, name, change((folder / name).read_bytes()))


def replaced(make: Callable[[Path], object], name: str = "log.txt") -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return damage


def sparse(path: Path, size: int = 2 << 30) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def with_notes(content: bytes, notes: bytes) -> bytes:
    return content.replace(b'"notes": {}', b'"notes": {"deep": ' + notes + b"}")


NO_METRICS = re.compile(rb'"metrics": \[.*?\]', re.DOTALL)
NESTED = b"[" * 100_000 + b"]" * 100_000
DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (edited("per_query.npz", lambda content: content[: len(content) // 2]), "per_query.npz was truncated"),
    (edited("record.json", lambda content: content.replace(b"0.5", b"0.9")), "record.json was truncated"),
    (edited("record.json", lambda _: b""), "record.json was truncated"),
    (edited("sha256sums.txt", lambda _: b"empty"), "does not list exactly"),
    (edited("sha256sums.txt", lambda content: content.replace(b"log", b"\xff")), "does not list exactly"),
    (lambda folder: (folder / "log.txt").unlink(), "log.txt is missing"),
    (lambda folder: (folder / "sha256sums.txt").unlink(), "sha256sums.txt is missing"),
    (lambda folder: [*map(Path.unlink, [*folder.iterdir()])], "is missing"),
    (resealed("record.json", lambda _: b"{}"), "does not fit the schema"),
    (resealed("record.json", lambda _: b'{"schema": 3, "status": "fine"}'), "does not fit the schema"),
    (resealed("record.json", lambda _: NESTED), "does not fit the schema"),
    (resealed("record.json", lambda content: with_notes(content, NESTED)), "does not fit the schema"),
    (resealed("record.json", lambda content: content.replace(b"drcl", b"dr\xff")), "does not fit the schema"),
    (resealed("record.json", lambda content: content.replace(b"emoji", b"e" * 240)), "fit the schema"),
    (resealed("record.json", lambda content: NO_METRICS.sub(b'"metrics": []', content)), "fit the schema"),
    (
        resealed("record.json", lambda content: content.replace(b'"value": 0.5', b'"value": 5.0', 1)),
        "between",
    ),
    (resealed("record.json", lambda _: encode_record(making.record(seed=99))), "belongs to the cell"),
    (resealed("trace.csv", lambda content: content + b"1,2,3\n1\n"), "rows of different lengths"),
    (resealed("trace.csv", lambda content: content + b"\xff"), "trace.csv cannot be read"),
    (replaced(os.mkfifo), "log.txt cannot be read"),
    (replaced(os.mkfifo, "record.json"), "record.json cannot be read"),
    (replaced(os.mkfifo, "sha256sums.txt"), "sha256sums.txt cannot be read"),
    (replaced(Path.mkdir), "log.txt cannot be read"),
    (replaced(lambda path: path.symlink_to("/dev/zero")), "log.txt cannot be read"),
    (replaced(lambda path: path.symlink_to(path)), "log.txt cannot be read"),
    (replaced(sparse, "per_query.npz"), "more than the"),
    (replaced(sparse, "record.json"), "more than the"),
]
LATER = resealed("record.json", lambda content: content.replace(b'"schema": 3', b'"schema": 4'))


@pytest.mark.parametrize(("damage", "words"), [*DAMAGES, (LATER, "layout version 4")])
def test_a_damaged_record_is_named_and_left_out_and_replaced_by_the_next_run(
    store: Store, damage: Callable[[Path], object], words: str
) -> None:
    good, bad = making.record(seed=1), making.record(seed=2)
    for record in (good, bad):
        write(store, record)
    damage(store.runs / bad.digest)
    assert list(store.records()) == [good]
    (problem,) = store.problems
    assert problem.folder == store.runs / bad.digest
    assert words in problem.sentence
    newer = "layout version 4" in words
    assert problem.newer is newer
    assert not store.has(bad.digest)
    with pytest.raises(DataError, match=r"run the cell again|layout"):
        store.read(bad.digest)
    # A failure replaces a damaged record even of a finished cell, but nothing that a later version made.
    assert write(store, making.record(seed=2, status="failed")) is not newer
    assert store.status(bad.digest) == (None if newer else "failed")


def test_two_gigabytes_of_zeros_in_an_array_cost_neither_memory_nor_another_record(store: Store) -> None:
    good, bad = making.record(seed=1), making.record(seed=2)
    for record in (good, bad):
        write(store, record)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("values.npy", "head.npy"):
            archive.writestr(name, bytes(1 << 20))
            archive.getinfo(name).file_size = 2 << 30
    making.reseal(store.runs / bad.digest, "view.npz", buffer.getvalue())
    assert len(list(store.records())) == 2
    making.reseal(store.runs / bad.digest, "per_query.npz", buffer.getvalue())
    reset_peak_memory()
    before = peak_memory() or 0
    for read in (store.read, store.per_query, store.snapshot, store.verify):
        with pytest.raises(DataError, match="more than the"):
            read(bad.digest)
    assert [*store.records()] == [good]
    assert (peak_memory() or 0) < before + (1 << 27)
    assert [item.action for item in merge(store.root, store.root.with_name("other"))].count("copied") == 1


def test_a_single_file_is_read_and_checked_without_the_others(store: Store) -> None:
    record = making.record()
    write(store, record)
    folder = store.runs / record.digest
    (folder / "trace.csv").write_text("epoch\n1\n")
    assert len(store.per_query(record.digest)) == 4
    assert store.log(record.digest) == "log"
    with pytest.raises(DataError, match=r"trace\.csv.*truncated"):
        store.trace(record.digest)
    making.reseal(folder, "per_query.npz", b"nonsense")
    with pytest.raises(DataError, match=r"per_query\.npz.*read"):
        store.per_query(record.digest)


def test_stray_folders_are_named_in_printable_words_and_stray_files_ignored(store: Store) -> None:
    write(store, making.record())
    for name in (b"caf\xe9", b"red\x1b[31m\n", b"copy of a record"):
        (store.runs / os.fsdecode(name)).mkdir()
    (store.runs / "notes.txt").write_text("text of the user")
    (store.runs / making.record().digest / ".DS_Store").write_text("")
    assert len(store.statuses()) == 1
    names = ["caf\\udce9", "copy of a record", "red\\x1b[31m\\n"]
    assert sorted(problem.folder.name for problem in store.problems) == names
    for problem in store.problems:
        assert "20 hexadecimal digits" in problem.sentence
        assert f"{problem.folder}: {problem.sentence}".isprintable()


def test_the_store_needs_neither_torch_nor_pandas() -> None:
    program = (
        "import sys, bench.records, bench.records.environment; "
        "print({'torch', 'pandas', 'scipy', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
