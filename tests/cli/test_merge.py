"""``merge``: another folder's records come over whole and checked, and nothing better is lost for them."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import msgspec
import pytest

from bench.atomic import write_whole
from bench.records import Record, Status, Store, Trial, TrialStore
from bench.records import folders as folders_module
from tests.grid import Said, make_newer, say
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


def merge(other: Store, ours: Store) -> Said:
    return say("merge", other.root, "--results", ours.root)


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
    again = merge(other, ours)
    assert (again.status, "3 records" in again.out, ": 3 known already" in again.out) == (0, True, True)
    assert content(ours) == before


def test_a_finished_record_is_never_replaced_by_a_failure_but_a_failure_by_a_finished_one(
    other: Store, ours: Store
) -> None:
    write(other, 0, "failed")
    write(other, 1, "done")
    write(ours, 0, "done")
    write(ours, 1, "timeout")
    said = merge(other, ours)
    assert (said.status, said.err) == (0, "")
    assert "1 copied over a failure or a damaged one, 1 left out for a better one here" in said.out
    assert set(ours.statuses().values()) == {"done"}


def test_a_sound_record_is_never_replaced_by_a_damaged_one_but_a_damaged_by_a_sound_one(
    other: Store, ours: Store
) -> None:
    records = [write(store, seed) for seed in range(3) for store in (other, ours)][::2]
    (other.runs / records[0].digest / "trace.csv").write_text("cut")
    (ours.runs / records[1].digest / "record.json").write_text("{}")
    said = merge(other, ours)
    assert said.status == 1
    assert (
        f"warning: left out: {other.runs / records[0].digest}: trace.csv was truncated or edited" in said.err
    )
    assert "1 copied over a failure or a damaged one, 1 known already, 1 damaged" in said.out
    assert set(ours.statuses().values()) == {"done"}
    assert ours.problems == []


def test_finished_records_that_differ_are_named_and_ours_stays(other: Store, ours: Store) -> None:
    write(other, 0, value=0.25)
    write(ours, 0, value=0.5)
    before = content(ours)
    said = merge(other, ours)
    assert said.status == 1
    assert said.err == (
        "differs, ours is kept: drcl on emoji (image+text), seed 0: "
        "map@50/hits of image -> text (best) is 0.5 here and 0.25 there\n"
    )
    assert content(ours) == before


def test_times_and_hosts_are_no_difference_but_average_precisions_are(other: Store, ours: Store) -> None:
    record = write(ours)
    elsewhere = msgspec.structs.replace(record, environment=making.environment(host={"name": "there"}))
    other.write(elsewhere, making.per_query(), making.TRACE, "another log")
    assert merge(other, ours).status == 0
    other.write(elsewhere, making.per_query(spread=0.125), making.TRACE, "another log")
    merge(other, ours).check(1, "average precisions of map@")


def test_a_record_of_a_later_version_here_is_left_alone(other: Store, ours: Store) -> None:
    record = write(other)
    write(ours)
    make_newer(ours.runs / record.digest)
    before = content(ours)
    said = merge(other, ours)
    assert (said.status, "1 left out for a better one here" in said.out) == (0, True)
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
    said = merge(other, ours)
    assert said.status == 1
    assert "seed 0: validation mAP is 0.5 here and 0.25 there" in said.err
    assert f"warning: left out: {theirs.folder / 'bad.json'} cannot be read" in said.err
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
    assert merge(other, ours).status == 130
    assert list(ours.statuses().values()) == ["done"] * 2
    assert ours.problems == []
    monkeypatch.undo()
    assert "2 copied, 2 known already" in merge(other, ours).out
    assert content(ours) == content(other)


def test_a_full_disk_is_one_sentence_and_loses_nothing(
    other: Store, ours: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ours, 0)
    write(other, 1)
    before = content(ours)

    monkeypatch.setattr("bench.records.folders.os.fsync", making.raising(errno.ENOSPC))
    said = merge(other, ours)
    assert said.status == 1
    assert said.err.count("\n") == 1
    assert "the disk is full; free some space and run again" in said.err
    assert content(ours) == before


def test_a_results_folder_that_cannot_be_written_is_one_sentence_and_status_2(
    other: Store, tmp_path: Path
) -> None:
    write(other)
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "below", Path("/proc/nothing")):
        said = say("merge", other.root, "--results", folder)
        assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
        assert str(folder) in said.err


def test_what_is_no_other_results_folder_is_one_sentence_and_status_2(
    tmp_path: Path, other: Store, ours: Store
) -> None:
    write(ours)
    (tmp_path / "plain").mkdir()
    (tmp_path / "empty" / "runs").mkdir(parents=True)
    write_whole(tmp_path / "file", "text")
    (tmp_path / "link").symlink_to(ours.root)
    for name, word in zip(
        ("nowhere", "plain", "file", "empty", "ours", "link"),
        ("not exist", "no", "not a results", "neither", "itself", "itself"),
        strict=True,
    ):
        said = say("merge", tmp_path / name, "--results", ours.root)
        assert (said.status, said.out, said.err.count("\n"), word in said.err) == (2, "", 1, True), name
    shutil.rmtree(ours.root)
    assert say("merge", tmp_path / "empty", "--results", ours.root).status == 2
    assert not ours.root.exists()
