"""``merge``: another folder's records come over whole and checked, and nothing better is lost for them."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec
import pytest

from bench.records import Record, Status, Store, Trial, TrialStore
from bench.records import folders as folders_module
from tests.grid import Output, make_newer, run_command
from tests.records import making


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


@pytest.fixture
def ours(tmp_path: Path) -> Store:
    return Store(tmp_path / "ours")


def write(store: Store, seed: int = 0, status: Status = "done", value: float = 0.5) -> Record:
    record = making.record(seed, status)
    if record.result is not None:
        record = msgspec.structs.replace(record, result=making.result(value))
    store.write(record, making.per_query(value) if status == "done" else {}, making.TRACE, f"log of {seed}")
    return record


def merge(other: Store, ours: Store) -> Output:
    return run_command("merge", other.root, "--results", ours.root)


def content(store: Store) -> dict[str, bytes]:
    files = [path for path in store.root.rglob("*") if path.is_file()]
    return {str(path.relative_to(store.root)): path.read_bytes() for path in sorted(files)}


def trial(seed: int = 0, status: Status = "done", value: float | None = 0.5) -> Trial:
    return Trial(
        identity=making.identity(seed),
        changes={"epochs": 3},
        status=status,
        reason="" if status == "done" else "why",
        validation_map=value,
        seconds=1.0,
    )


def test_records_and_trials_are_copied_byte_for_byte_and_only_once(other: Store, ours: Store) -> None:
    for seed, status in enumerate(("done", "failed", "skipped")):
        write(other, seed, status)  # type: ignore[arg-type]
    TrialStore(other.root).write(trial())
    before = content(other)
    merge(other, ours).check(
        0, f"3 records in {other.root}: 3 copied\n1 trial in {other.root}: 1 copied\n", silent=True
    )
    assert content(ours) == before == content(other)
    merge(other, ours).check(0, "3 records", ": 3 known already")
    assert content(ours) == before


def test_a_finished_record_is_never_replaced_by_a_failure_but_a_failure_by_a_finished_one(
    other: Store, ours: Store
) -> None:
    write(other, 0, "failed")
    write(other, 1, "done")
    write(ours, 0, "done")
    write(ours, 1, "timeout")
    merge(other, ours).check(0, "1 copied ... failure", "1 left out", silent=True)
    assert set(ours.statuses().values()) == {"done"}


def test_a_sound_record_is_never_replaced_by_a_damaged_one_but_a_damaged_by_a_sound_one(
    other: Store, ours: Store
) -> None:
    records = [write(store, seed) for seed in range(3) for store in (other, ours)][::2]
    (other.runs / records[0].digest / "trace.csv").write_text("cut")
    (ours.runs / records[1].digest / "record.json").write_text("{}")
    damaged = f"left out: {other.runs / records[0].digest}: trace.csv"
    merge(other, ours).check(1, damaged, "1 copied over", "1 known already, 1 damaged")
    assert set(ours.statuses().values()) == {"done"}
    assert ours.problems == []


def test_finished_records_that_differ_are_named_and_ours_stays(other: Store, ours: Store) -> None:
    write(other, 0, value=0.25)
    write(ours, 0, value=0.5)
    before = content(ours)
    difference = "image -> text (best) ... 0.5 ... 0.25"
    output = merge(other, ours).check(1, "drcl on emoji (image+text), seed 0: ", difference)
    assert output.err.count("\n") == 1
    assert content(ours) == before


def test_times_and_hosts_are_no_difference_but_average_precisions_are(other: Store, ours: Store) -> None:
    record = write(ours)
    elsewhere = msgspec.structs.replace(record, environment=making.environment(host={"name": "there"}))
    other.write(elsewhere, making.per_query(), making.TRACE, "another log")
    assert merge(other, ours).status == 0
    other.write(elsewhere, making.per_query(spread=0.125), making.TRACE, "another log")
    merge(other, ours).check(1, "map@")


def test_a_record_of_a_later_version_here_is_left_alone(other: Store, ours: Store) -> None:
    record = write(other)
    write(ours)
    make_newer(ours.runs / record.digest)
    before = content(ours)
    merge(other, ours).check(0, "1 left out")
    assert content(ours) == before


def test_trials_follow_the_same_rules(other: Store, ours: Store) -> None:
    theirs, mine = TrialStore(other.root), TrialStore(ours.root)
    theirs.write(trial(0, value=0.25))
    mine.write(trial(0, value=0.5))
    theirs.write(trial(1))
    mine.write(trial(1, "failed", None))
    theirs.write(trial(2, "failed", None))
    mine.write(trial(2))
    (theirs.folder / "bad.json").write_text("{")
    merge(other, ours).check(1, "mAP ... 0.5 ... 0.25", str(theirs.folder / "bad.json"))
    assert [item.status for item in mine.read()] == ["done"] * 3


def test_what_is_interrupted_leaves_whole_records_and_is_finished_by_merging_again(
    other: Store, ours: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(4):
        write(other, seed)
    copied = []

    def stop_at_third(*arguments: object) -> bool:
        copied.append(1)
        if len(copied) == 3:
            raise KeyboardInterrupt
        return publish(*arguments)  # type: ignore[arg-type]

    publish = folders_module.publish
    monkeypatch.setattr("bench.records.folders.publish", stop_at_third)
    merge(other, ours).check(130)
    assert list(ours.statuses().values()) == ["done"] * 2
    assert ours.problems == []
    monkeypatch.undo()
    merge(other, ours).check(0, "2 copied, 2 known already")
    assert content(ours) == content(other)


def test_a_full_disk_is_one_sentence_and_loses_nothing(
    other: Store, ours: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ours, 0)
    write(other, 1)
    before = content(ours)
    monkeypatch.setattr("bench.records.folders.os.fsync", making.raising(errno.ENOSPC))
    output = merge(other, ours).check(1, "disk is full")
    assert output.err.count("\n") == 1
    assert content(ours) == before


@pytest.mark.parametrize(
    ("source", "target", "key"),
    [
        ("other", "file/below", "file/below"),
        ("other", "/proc/nothing", "/proc/nothing"),
        ("nowhere", "ours", "not exist"),
        ("plain", "ours", "plain"),
        ("file", "ours", "not a results"),
        ("empty", "ours", "neither"),
        ("ours", "ours", "itself"),
        ("link", "ours", "itself"),
        ("empty", "absent", "neither"),
    ],
)
def test_folders_that_cannot_be_merged_are_one_sentence_and_status_2(
    tmp_path: Path, other: Store, ours: Store, source: str, target: str, key: str
) -> None:
    write(ours)
    write(other)
    (tmp_path / "plain").mkdir()
    (tmp_path / "empty" / "runs").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(ours.root)
    output = run_command("merge", tmp_path / source, "--results", tmp_path / target).check(2, key)
    assert (output.out, output.err.count("\n")) == ("", 1)
    assert not (tmp_path / "absent").exists()
