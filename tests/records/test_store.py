"""The promises of the results store: whole or absent, believed only when sound, and never a crash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.contract import DataError
from bench.records import STATUSES, Record, Series, Status, Store
from bench.records.encoding import FILES, encode_record, encode_sums
from tests.records import making


def write(store: Store, record: Record, log: str = "log") -> bool:
    return store.write(record, making.per_query(), making.TRACE, log)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def reseal(folder: Path, **changes: bytes) -> None:
    """Change files of a record and make the checksums agree, as a careful forger would."""
    files = {name: (folder / name).read_bytes() for name in FILES}
    files |= {name.replace("_json", ".json"): content for name, content in changes.items()}
    for name, content in (files | {"sha256sums.txt": encode_sums(files)}).items():
        (folder / name).write_bytes(content)


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
    if shutil.which("sha256sum") is not None:
        subprocess.run(["sha256sum", "-c", "--strict", "sha256sums.txt"], cwd=folder, check=True)


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    digest = making.record().digest
    for store in (first, second):
        write(store, making.record())
    for name in (*FILES, "sha256sums.txt"):
        assert (first.runs / digest / name).read_bytes() == (second.runs / digest / name).read_bytes()


def test_writing_leaves_nothing_else_behind(store: Store) -> None:
    for status in ("failed", "done", "failed", "done"):
        write(store, making.record(status=status))
    assert [path.name for path in store.runs.iterdir()] == [making.record().digest]


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_a_new_record_replaces_an_old_one_but_a_failure_never_a_finished_one(
    store: Store, before: Status, after: Status
) -> None:
    write(store, making.record(status=before), "before")
    kept = before == "done" and after != "done"
    assert write(store, making.record(status=after), "after") is not kept
    digest = making.record().digest
    assert store.status(digest) == (before if kept else after)
    assert store.log(digest) == ("before" if kept else "after")


def test_reading_creates_nothing(store: Store) -> None:
    assert store.statuses() == {}
    assert list(store.records()) == []
    assert not store.has("0" * 20)
    assert not store.root.exists()
    store.root.write_text("a file")
    assert store.statuses() == {}


@pytest.mark.parametrize("read", [Store.read, Store.per_query, Store.trace, Store.log])
def test_asking_for_an_absent_record_names_it(store: Store, read: Callable[[Store, str], object]) -> None:
    with pytest.raises(DataError, match="there is no record 00000000000000000000"):
        read(store, "0" * 20)


def _truncate(folder: Path) -> None:
    content = (folder / "per_query.npz").read_bytes()
    (folder / "per_query.npz").write_bytes(content[: len(content) // 2])


def _edit(folder: Path) -> None:
    text = (folder / "record.json").read_text()
    (folder / "record.json").write_text(text.replace('"value": 0.5', '"value": 0.9'))


def _as_of(schema: bytes) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        content = (folder / "record.json").read_bytes()
        reseal(folder, record_json=content.replace(b'"schema": 2', b'"schema": ' + schema))

    return change


def _foreign(folder: Path) -> None:
    reseal(folder, record_json=encode_record(making.record(seed=99)))


def _empty(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.unlink()


def _directory(folder: Path) -> None:
    (folder / "log.txt").unlink()
    (folder / "log.txt").mkdir()


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (_truncate, "per_query.npz was truncated or edited"),
    (_edit, "record.json was truncated or edited"),
    (lambda folder: (folder / "log.txt").unlink(), "log.txt is missing"),
    (lambda folder: (folder / "sha256sums.txt").unlink(), "sha256sums.txt is missing"),
    (lambda folder: (folder / "sha256sums.txt").write_text("empty"), "does not list exactly"),
    (lambda folder: (folder / "record.json").write_bytes(b""), "record.json was truncated"),
    (_empty, "is missing"),
    (_directory, "log.txt cannot be read"),
    (lambda folder: reseal(folder, record_json=b"{}"), "does not fit the schema"),
    (
        lambda folder: reseal(folder, record_json=b'{"schema": 2, "status": "fine"}'),
        "does not fit the schema",
    ),
]


@pytest.mark.parametrize(("damage", "words"), [*DAMAGES, (_as_of(b"3"), "layout version 3")])
def test_a_damaged_record_is_named_and_left_out(
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
    assert problem.newer == ("layout version 3" in words)
    assert store.statuses() == {good.digest: "done"}
    assert len(store.problems) == 1
    assert not store.has(bad.digest)
    with pytest.raises(DataError, match=r"run the cell again|layout"):
        store.read(bad.digest)


@pytest.mark.parametrize("damage", [damage for damage, _ in DAMAGES])
def test_a_damaged_record_is_replaced_by_the_next_run(store: Store, damage: Callable[[Path], object]) -> None:
    write(store, making.record())
    damage(store.runs / making.record().digest)
    assert write(store, making.record(status="failed"))
    assert store.status(making.record().digest) == "failed"


def test_a_record_of_a_newer_version_is_not_thrown_away(store: Store) -> None:
    write(store, making.record())
    folder = store.runs / making.record().digest
    _as_of(b"3")(folder)
    before = (folder / "record.json").read_bytes()
    assert not write(store, making.record())
    assert (folder / "record.json").read_bytes() == before


def test_a_record_in_another_cells_folder_is_named(store: Store) -> None:
    write(store, making.record())
    _foreign(store.runs / making.record().digest)
    assert list(store.records()) == []
    assert "belongs to the cell" in store.problems[0].sentence
    with pytest.raises(DataError, match="belongs to the cell"):
        store.read(making.record().digest)


@pytest.mark.parametrize(("name", "read"), [("per_query.npz", Store.per_query), ("trace.csv", Store.trace)])
def test_a_sealed_file_that_cannot_be_read_is_named(
    store: Store, name: str, read: Callable[[Store, str], object]
) -> None:
    write(store, making.record())
    folder = store.runs / making.record().digest
    files = {other: (folder / other).read_bytes() for other in FILES} | {name: b"\xff,\n1"}
    for other, content in (files | {"sha256sums.txt": encode_sums(files)}).items():
        (folder / other).write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        read(store, folder.name)


def test_who_asks_for_one_file_gets_it_checked_and_no_other_read(store: Store) -> None:
    record = making.record()
    write(store, record)
    (store.root / "runs" / record.digest / "trace.csv").write_text("epoch\n1\n")
    assert len(store.per_query(record.digest)) == 4
    assert store.log(record.digest) == "log"
    with pytest.raises(DataError, match=r"trace\.csv was truncated or edited"):
        store.trace(record.digest)
    assert list(store.records()) == []


def test_only_the_average_precisions_that_are_wanted_are_read(store: Store) -> None:
    record = making.record()
    write(store, record)
    found = store.per_query(record.digest, lambda series: series.protocol == "map@all")
    assert set(found) == {Series(*key) for key in making.per_query() if key[1] == "map@all"}


def test_stray_folders_are_named_and_stray_files_ignored(store: Store) -> None:
    write(store, making.record())
    (store.runs / "copy of a record").mkdir()
    (store.runs / "notes.txt").write_text("mine")
    (store.runs / making.record().digest / ".DS_Store").write_text("")
    assert len(store.statuses()) == 1
    assert ["20 hexadecimal digits" in problem.sentence for problem in store.problems] == [True]


def test_records_merge_by_copying_folders(tmp_path: Path) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    write(here, making.record(seed=1))
    write(there, making.record(seed=2))
    shutil.copytree(there.runs, here.runs, dirs_exist_ok=True)
    assert {record.identity.seed for record in here.records()} == {1, 2}


def test_the_store_needs_neither_torch_nor_pandas() -> None:
    program = (
        "import sys, bench.records, bench.records.environment; "
        "print({'torch', 'pandas', 'scipy', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
