"""``run`` on the command line: wrong words cost nothing, bad data costs itself, the status says the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from bench.cli.run import Retry
from bench.records import STATUSES, Store
from tests.execution.full_disk import FullDisk
from tests.grid import FAULTS, Grid, Said, bytes_of, cells_of, make_newer, only_plugins, say, write_bundle


@pytest.fixture(autouse=True)
def no_plugins() -> Iterator[None]:
    with only_plugins():
        yield


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "small.npz")


def run(results: Path, *words: object, methods: str = "plain") -> Said:
    usual = ["run", "--results", results, "--plugin", FAULTS, "--jobs", 0, "--methods", methods]
    return say(*usual, *words)


def test_a_dry_run_shows_the_cells_and_leaves_no_trace(tmp_path: Path, small: Path) -> None:
    said = run(tmp_path / "r", "--datasets", small, "--seeds", 2, "--dry-run", methods="plain,twin")
    assert said.status == 0
    assert "4 cells, 4 to run" in said.out
    assert not (tmp_path / "r").exists()


def test_a_finished_run_says_what_comes_next_and_running_again_does_nothing(
    tmp_path: Path, small: Path
) -> None:
    first = run(tmp_path / "r", "--datasets", small)
    assert first.status == 0
    assert "[1/1] done" in first.out
    assert "1 cells: 1 done; 1 run now" in first.out
    assert f"next: python -m bench report --results {tmp_path / 'r'}" in first.out
    before = bytes_of(tmp_path / "r")
    again = run(tmp_path / "r", "--datasets", small)
    assert again.status == 0
    assert "1 cells: 1 done; 0 run now" in again.out
    assert bytes_of(tmp_path / "r") == before


def test_a_skip_that_was_declared_is_no_failure(tmp_path: Path) -> None:
    multi = write_bundle(tmp_path / "multi.npz", multi_label=True)
    said = run(tmp_path / "r", "--datasets", multi, methods="single")
    assert said.status == 0
    assert "Single takes one class per sample" in said.out


def test_a_failure_gives_status_1_names_the_reason_and_the_way_to_try_again(
    tmp_path: Path, small: Path
) -> None:
    said = run(tmp_path / "r", "--datasets", small, methods="raises,plain")
    assert said.status == 1
    assert "seed 0: ValueError: the matrix is singular\n" in said.out
    assert "2 cells: 1 done, 1 failed" in said.out
    assert "add --retry all" in said.out
    quiet = run(tmp_path / "r", "--datasets", small, methods="raises,plain")
    assert (quiet.status, "0 run now" in quiet.out) == (1, True)
    again = run(tmp_path / "r", "--datasets", small, "--retry", "failed", methods="raises,plain")
    assert (again.status, "1 run now" in again.out) == (1, True)


def test_a_cell_of_which_nothing_can_be_drawn_is_done_but_counted_and_named_everywhere(
    tmp_path: Path, small: Path
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no <b>space</b>")

    words = ("--datasets", small, "--seeds", 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.experiment.cell.snapshot_of", fail)
        said = run(tmp_path / "r", *words)
    reason = "ValueError: no <b>space</b>"
    line = (
        f"  2 done without a snapshot for figures: plain on small (image+text), seed 0 and 1 more: {reason}"
    )
    assert (said.status, line in said.out.splitlines()) == (0, True)
    again = run(tmp_path / "r", *words)  # also of a grid that was finished before
    assert (again.status, line in again.out.splitlines()) == (0, True)

    status = say("status", "--results", tmp_path / "r")
    assert status.status == 0
    assert status.out.count("done without a snapshot for figures: plain on small (image+text), seed ") == 2
    assert status.out.count(reason) == 2
    listed = json.loads(say("status", "--results", tmp_path / "r", "--format", "json").out)["undrawn"]
    assert [one["reason"] for one in listed] == [reason] * 2

    reports = ("--results", tmp_path / "r", "--reports", tmp_path / "reports", "--only", "tables")
    assert say("report", *reports).status == 0
    page = (tmp_path / "reports" / "tables.md").read_text(encoding="utf-8")
    assert "## Cells without a snapshot for figures\n\n- 2 cells: ValueError: no " in page
    assert "<b>" not in page.partition("## Cells without a snapshot")[2]
    run(tmp_path / "fine", *words)
    assert "snapshot" not in say("status", "--results", tmp_path / "fine").out


def test_a_record_without_room_is_named_with_what_to_do_and_the_status_is_1(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (tmp_path / "r", "--datasets", small, "--seeds", 3)
    with only_plugins(FAULTS):
        unlucky = cells_of(["plain"], small, seeds=range(3))[1]
    with monkeypatch.context() as patch:
        FullDisk(patch, lambda name: name == unlucky.identity.digest)
        said = run(*words)
    assert (said.status, said.err) == (1, "")
    total, why, then = said.out.splitlines()[-3:]
    assert total.startswith("3 cells: 2 done, 1 disk-full; 3 run now")
    assert why.startswith(
        f"  1 disk-full: {unlucky.title}: it was done, but not recorded: cannot write results"
    )
    assert then == (
        f"next: free some space for {tmp_path / 'r'}, then the same command; it runs only what is missing"
    )
    again = run(*words)
    assert (again.status, "3 cells: 3 done; 1 run now" in again.out) == (0, True)


def test_cells_that_are_not_started_for_a_full_disk_are_missing_with_that_reason(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FullDisk(monkeypatch, lambda name: True)
    monkeypatch.setattr("bench.execution.record_writer.seems_free", lambda runs: 0)
    said = run(tmp_path / "r", "--datasets", small, "--seeds", 3)
    assert (said.status, said.err) == (1, "")
    assert "3 cells: 3 missing; 0 run now" in said.out
    assert "seed 0 and 2 more: not started, because the disk of the results is full" in said.out
    assert "next: free some space for " in said.out


def test_every_way_to_end_without_a_result_can_be_named_to_retry() -> None:
    assert {*get_args(Retry)} == {*STATUSES, "stale", "all"} - {"done"}


def test_a_damaged_bundle_costs_itself_only(tmp_path: Path, small: Path) -> None:
    bad = tmp_path / "bad.npz"
    bad.write_bytes(small.read_bytes()[:2000])
    said = run(tmp_path / "r", "--datasets", f"{bad},{small}")
    assert said.status == 2
    assert len([line for line in said.err.splitlines() if line.startswith("error: ")]) == 1
    assert f"error: {bad} is left out: " in said.err
    assert "1 cells: 1 done; 1 run now" in said.out
    alone = run(tmp_path / "r", "--datasets", bad)
    assert (alone.status, "0 cells: none" in alone.out) == (2, True)


def test_a_wrongly_remembered_bundle_costs_one_run_and_the_next_one_reads_it_again(
    tmp_path: Path, small: Path
) -> None:
    words = ("--datasets", small, "--jobs", 1)
    assert run(tmp_path / "r", *words).status == 0
    cache = tmp_path / "r" / "fingerprints.json"
    cache.write_text(json.dumps(dict.fromkeys(json.loads(cache.read_text()), "0" * 64)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.data.fingerprint._DIGESTS", {})
        said = run(tmp_path / "r", *words)
    assert (said.status, "changed after this cell was planned" in said.out) == (1, True)
    again = run(tmp_path / "r", *words)
    assert (again.status, "1 cells: 1 done; 0 run now" in again.out) == (0, True)


def test_features_that_turn_out_bad_are_named_before_anything_is_fitted(tmp_path: Path, small: Path) -> None:
    bad = write_bundle(tmp_path / "bad.npz")
    with np.load(bad) as content:
        arrays = dict(content)
    arrays["test_text"][0, 0] = np.inf
    np.savez(bad, **arrays)
    said = run(tmp_path / "r", "--datasets", f"{bad},{small}")
    assert said.status == 2
    assert f"error: {bad} is left out: " in said.err
    assert "row 0, column 0 is inf" in said.err
    assert "[1/1] done" in said.out
    assert "2 cells: 1 done, 1 missing; 1 run now" in said.out


def test_ctrl_c_in_this_process_ends_with_130(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.execution.cell_task.run_cell", interrupt)
    said = run(tmp_path / "r", "--datasets", small)
    assert said.status == 130
    assert said.err == "interrupted; run the same command again to go on\n"


def test_a_fault_of_our_own_is_not_dressed_up_as_the_users(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bench.execution.grid_runner.expect", stumble)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "r", "--datasets", small)


def test_as_many_workers_as_processors_unless_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.cli.executor_options import DeviceOptions, LocalMachine

    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    usual = DeviceOptions()
    assert [len(LocalMachine(usual, threads).site().slots) for threads in (1, 3, 16)] == [8, 2, 1]
    assert len(LocalMachine(replace(usual, jobs=4)).site().slots) == 4
    assert LocalMachine(replace(usual, jobs=0)).site().slots == []


def test_a_damaged_record_is_named_and_made_again(tmp_path: Path, small: Path) -> None:
    run(tmp_path / "r", "--datasets", small)
    (record,) = (tmp_path / "r" / "runs").glob("*/record.json")
    record.write_text("{}")
    said = run(tmp_path / "r", "--datasets", small)
    assert said.status == 0
    assert f"warning: cell to be run again: {record.parent}: record.json was truncated or edited" in said.err
    assert "1 run now" in said.out


def test_a_record_of_a_later_version_is_neither_read_nor_replaced(tmp_path: Path, small: Path) -> None:
    run(tmp_path / "r", "--datasets", small)
    (record,) = (tmp_path / "r" / "runs").glob("*/record.json")
    make_newer(record.parent)
    before = record.read_bytes()
    said = run(tmp_path / "r", "--datasets", small)
    assert said.status == 1
    assert "warning: cell left out: " in said.err
    assert "layout version 99, but this program reads up to version" in said.err
    assert "1 cells: 1 missing; 0 run now" in said.out
    assert record.read_bytes() == before


def test_look_alikes_are_announced_by_name(tmp_path: Path) -> None:
    said = run(tmp_path / "r", "--datasets", "wikipedia,emoji", "--dry-run", "--data", tmp_path)
    assert "LOOK-ALIKES stand in for wikipedia, whose files are absent" in said.out


def test_real_means_what_has_its_files(tmp_path: Path) -> None:
    said = run(tmp_path / "r", "--datasets", "real", "--dry-run", "--data", tmp_path)
    assert said.status == 0
    assert "on emoji " in said.out
    assert "LOOK-ALIKE" not in said.out


def test_shards_make_the_grid_together_and_the_summary_speaks_of_its_shard(
    tmp_path: Path, small: Path
) -> None:
    words = ("--datasets", small, "--seeds", 3)
    one = run(tmp_path / "1", *words, "--shard", "1/2", methods="plain,twin")
    two = run(tmp_path / "2", *words, "--shard", "2/2", methods="plain,twin")
    assert (one.status, two.status) == (0, 0)
    assert "3 cells of shard 1/2: 3 done; 3 run now" in one.out
    assert f"merge OTHER_RESULTS --results {tmp_path / '2'}" in two.out
    assert say("merge", tmp_path / "1", "--results", tmp_path / "2").status == 0
    again = run(tmp_path / "2", *words, methods="plain,twin")
    assert (again.status, "6 cells: 6 done; 0 run now" in again.out) == (0, True)
    planned = run(tmp_path / "2", *words, "--shard", "1/2", "--dry-run", methods="plain,twin")
    assert "3 cells, 0 to run" in planned.out


def test_values_are_read_as_people_write_them(tmp_path: Path, small: Path) -> None:
    said = run(
        *(tmp_path / "r", "--datasets", small, "--set", "plain.seconds=1e-5"),
        *("--set", "plain.rates={image: 1e-4, text: .5}", "--set", "plain.widths=[5]"),
        *("--set", "*.word=yes it is"),
    )
    assert said.status == 0
    (record,) = Store(tmp_path / "r").records()
    assert record.identity.settings == {
        "seconds": 1e-5,
        "rates": {"image": 1e-4, "text": 0.5},
        "widths": [5],
        "word": "yes it is",
    }


def test_the_oracle_is_added_to_a_finished_cell_and_its_other_numbers_stay(
    tmp_path: Path, small: Path
) -> None:
    words = ("--datasets", small, "--set", "*.epochs=2")
    run(tmp_path / "r", *words, methods="sdml")
    (before,) = Store(tmp_path / "r").records()
    said = run(tmp_path / "r", *words, "--trace-test", methods="sdml")
    assert "1 run now" in said.out
    (after,) = Store(tmp_path / "r").records()
    assert before.result is not None
    assert after.result is not None
    assert [
        metric for metric in after.result.metrics if metric.selection != "oracle"
    ] == before.result.metrics
    assert len(after.result.metrics) == len(before.result.metrics) * 3 // 2
    assert "0 run now" in run(tmp_path / "r", *words, "--trace-test", methods="sdml").out


def test_a_method_more_leaves_every_number_as_it_was(grid: Grid, tmp_path: Path) -> None:
    said = run(tmp_path / "r", "--datasets", grid.small, methods="twin,plain,mcca")
    assert said.status == 0
    alone = bytes_of(tmp_path / "r")
    expected = bytes_of(grid.results)
    shared = {record.digest for record in Store(tmp_path / "r").records() if record.identity.method != "twin"}
    assert {key: alone[key] for key in shared} == {key: expected[key] for key in shared}
