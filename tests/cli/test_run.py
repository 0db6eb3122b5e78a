"""``run``: bad data is left out, records stay, the exit status states the outcome."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from bench.cli.executor_options import DeviceOptions, LocalMachine
from bench.cli.run import Retry
from bench.cli.summary import summarise
from bench.execution.progress import RunProgress
from bench.experiment.grid import Cell
from bench.records import STATUSES, Store
from tests.analysis.cells_apart import SETTINGS, add
from tests.analysis.making import Shelf, with_result
from tests.cli.test_compare import stored
from tests.execution.full_disk import FullDisk
from tests.grid import FAULTS, Output, bytes_of, cells_of, make_newer, only_plugins, run_command, write_bundle


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "r"


def run(results: Path, datasets: object, *words: object, methods: str = "plain") -> Output:
    usual = ["run", "--results", results, "--plugin", FAULTS, "--jobs", 0, "--methods", methods]
    return run_command(*usual, "--datasets", datasets, *words)


def test_a_finished_run_says_what_comes_next_and_running_again_does_nothing(
    results: Path, small: Path
) -> None:
    following = f"next: python -m bench report --results {results}"
    run(results, small).check(0, "[1/1] done", "1 cell ... 1 done ... 1 run", following)
    before = bytes_of(results)
    run(results, small).check(0, "1 cell ... 1 done ... 0 run")
    assert bytes_of(results) == before


def test_a_skip_that_was_declared_is_no_failure(results: Path, tmp_path: Path) -> None:
    multi = write_bundle(tmp_path / "multi.npz", multi_label=True)
    run(results, multi, methods="single").check(0, "Single ... one class per sample")


def test_a_failure_gives_status_1_names_the_reason_and_the_way_to_try_again(
    results: Path, small: Path
) -> None:
    both, reason = "raises,plain", "seed 0: ValueError: the matrix is singular\n"
    run(results, small, methods=both).check(1, reason, "2 cells ... 1 done ... 1 failed", "add --retry all")
    run(results, small, methods=both).check(1, "0 run now")
    run(results, small, "--retry", "failed", methods=both).check(1, "1 run now")


def test_a_cell_without_a_snapshot_is_done_but_counted_and_named_everywhere(
    results: Path, small: Path, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no <b>space</b>")

    words, reason = (small, "--seeds", 2), "ValueError: no <b>space</b>"
    line = (
        f"  2 done without a snapshot for figures: plain on small (image+text), seed 0 and 1 more: {reason}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.experiment.cell.snapshot_of", fail)
        run(results, *words).check(0, line)
    run(results, *words).check(0, line)  # also of a grid that was finished before
    where = ("--results", results)
    assert run_command("status", *where).check(0).out.count(reason) == 2
    listed = json.loads(run_command("status", *where, "--format", "json").out)["undrawn"]
    assert [cell["reason"] for cell in listed] == [reason] * 2
    run_command("report", *where, "--reports", tmp_path / "reports", "--only", "tables").check(0)
    page = (tmp_path / "reports" / "tables.md").read_text(encoding="utf-8").partition("without a snapshot")[2]
    assert "- 2 cells: ValueError: no " in page
    assert "<b>" not in page
    run(tmp_path / "fine", *words)
    assert "snapshot" not in run_command("status", "--results", tmp_path / "fine").out


def test_records_without_disk_space_are_named_with_what_to_do_and_the_status_is_1(
    results: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, free = (results, small, "--seeds", 3), f"next: ... space ... {results}"
    with only_plugins(FAULTS):
        unlucky = cells_of(["plain"], small, seeds=range(3))[1]
    with monkeypatch.context() as patch:
        FullDisk(patch, lambda name: True)
        patch.setattr("bench.execution.record_writer.seems_free", lambda runs: 0)
        reason = "seed 0 ... 2 more ... disk"
        run(*words).check(1, "3 cells ... 3 missing ... 0 run", free, reason, silent=True)
    with monkeypatch.context() as patch:
        FullDisk(patch, lambda name: name == unlucky.identity.digest)
        reason = f"1 disk-full ... {unlucky.title}"
        run(*words).check(1, "3 cells ... 2 done ... 1 disk-full ... 3 run", reason, free, silent=True)
    run(*words).check(0, "3 cells ... 3 done ... 1 run")


def test_every_way_to_end_without_a_result_can_be_named_to_retry() -> None:
    assert {*get_args(Retry)} == {*STATUSES, "stale", "all"} - {"done"}


def test_features_that_turn_out_bad_are_named_before_anything_is_fitted(
    results: Path, small: Path, tmp_path: Path
) -> None:
    bad = write_bundle(tmp_path / "bad.npz")
    with np.load(bad) as content:
        arrays = dict(content)
    arrays["test_text"][0, 0] = np.inf
    np.savez(bad, **arrays)
    run(results, f"{bad},{small}").check(2, f"{bad} ... row 0, column 0 ... inf", "1 cell ... 1 done")
    run(results, bad).check(2, "0 cells")


def test_a_wrongly_remembered_bundle_costs_one_run_and_the_next_one_reads_it_again(
    results: Path, tmp_path: Path
) -> None:
    words = (results, write_bundle(tmp_path / "new.npz"))
    run(*words).check(0)
    cache = results / "datasets.json"
    (known,) = json.loads(cache.read_text()).values()
    cache.write_text(cache.read_text().replace(known["source"]["fingerprint"], "0" * 64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.execution.data_check._KNOWN", {})
        run(*words).check(1, "changed")
    run(*words).check(0, "1 cell ... 1 done ... 0 run")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_this_process_ends_with_130(
    results: Path, small: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        if number == signal.SIGINT:  # the first one is only noted
            raise KeyboardInterrupt
        signal.raise_signal(number)

    monkeypatch.setattr("bench.execution.cell_task.run_cell", interrupt)
    usual = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # coverage sets a handler
    try:
        output = run(results, small)
    finally:
        signal.signal(signal.SIGTERM, usual)
    output.check(130, "same command")
    assert output.err.count("\n") == 1


def test_a_defect_of_the_program_is_raised_as_it_is(
    results: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bench.execution.grid_runner.expect", stumble)
    with pytest.raises(ZeroDivisionError):
        run(results, small)


def test_as_many_workers_as_processors_unless_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    usual = DeviceOptions()
    assert [len(LocalMachine(usual, threads).site().slots) for threads in (1, 3, 16)] == [8, 2, 1]
    assert len(LocalMachine(replace(usual, jobs=4)).site().slots) == 4
    assert LocalMachine(replace(usual, jobs=0)).site().slots == []


def test_a_damaged_record_is_made_again_and_one_of_a_later_version_left_alone(
    results: Path, small: Path
) -> None:
    run(results, small)
    before = bytes_of(results)
    (record,) = results.glob("runs/*/record.json")
    for content in (b"{}", record.read_bytes()[:40], None):
        record.unlink()
        if content is not None:
            record.write_bytes(content)
        run(results, small).check(0, f"{record.parent}: record.json", "1 cell ... 1 done ... 1 run")
        assert bytes_of(results) == before
    make_newer(record.parent)
    newer = record.read_bytes()
    for retry in ((), ("--retry", "all")):
        run(results, small, *retry).check(1, "layout version 99", "1 cell ... 1 missing ... 0 run")
        assert record.read_bytes() == newer


def test_look_alikes_are_announced_by_name_and_real_means_what_has_its_files(
    results: Path, tmp_path: Path
) -> None:
    words = ("--dry-run", "--data", tmp_path)
    note = "LOOK-ALIKES stand in for wikipedia, whose files are absent"
    run(results, "wikipedia,emoji", *words).check(0, note)
    real = run(results, "real", *words).check(0, "on emoji ")
    assert "LOOK-ALIKE" not in real.out


def test_shards_make_the_grid_together_and_the_summary_speaks_of_its_shard(
    small: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    words, methods = (small, "--seeds", 3), "plain,twin"
    run(one, *words, "--shard", "1/2", methods=methods).check(0, "3 cells ... shard 1/2 ... 3 done ... 3 run")
    run(two, *words, "--shard", "2/2", methods=methods).check(0, f"merge OTHER_RESULTS --results {two}")
    run_command("merge", one, "--results", two).check(0)
    run(two, *words, methods=methods).check(0, "6 cells ... 6 done ... 0 run")
    run(two, *words, "--shard", "1/2", "--dry-run", methods=methods).check(0, "3 cells, 0 to run")


def test_values_are_read_as_people_write_them(results: Path, small: Path) -> None:
    plain = ("plain.seconds=1e-5", "plain.rates={image: 1e-4, text: .5}", "plain.widths=[5]")
    values = (*plain, "*.word=yes it is")
    run(results, small, *(word for value in values for word in ("--set", value))).check(0)
    (record,) = Store(results).records()
    expected = {"seconds": 1e-5, "rates": {"image": 1e-4, "text": 0.5}, "widths": [5], "word": "yes it is"}
    assert record.identity.settings == expected


def test_the_oracle_is_added_to_a_finished_cell_and_its_other_numbers_stay(
    results: Path, small: Path
) -> None:
    words, methods = (
        (results, small, "--set", "sdml.epochs=2"),
        "plain,sdml",
    )  # one in closed form has no trace
    run(*words, methods=methods)
    before = {record.digest: record.result for record in Store(results).records()}
    run(*words, "--trace-test", methods=methods).check(0, "2 cells ... 2 done ... 1 run")
    after = {record.digest: record.result for record in Store(results).records()}
    (changed,) = (digest for digest, result in after.items() if result != before[digest])
    old, new = before[changed], after[changed]
    assert old is not None
    assert new is not None
    assert [metric for metric in new.metrics if metric.selection != "oracle"] == old.metrics
    assert len(new.metrics) == len(old.metrics) * 3 // 2
    for oracle in ((), ("--trace-test",)):
        run(*words, *oracle, methods=methods).check(0, "2 cells ... 2 done ... 0 run")


@pytest.mark.parametrize(
    ("method", "value", "output"), [("drcl", 0.17, True), ("drcl", 0.5, False), ("sm", 0.17, False)]
)
def test_a_run_names_methods_near_chance_and_what_to_try(
    tmp_path: Path, method: str, value: float, output: bool
) -> None:
    shelf = Shelf()
    for seed in range(2):
        settings = {**SETTINGS, "scaling": "none"}
        record = add(shelf, value, method=method, seed=seed, settings=settings)
        shelf.records[-1] = with_result(record, chance={"image>text": 0.16, "text>image": 0.18})
    store = Store(stored(tmp_path, shelf))
    cells = [Cell(record.identity, "emoji") for record in shelf.records]
    progress = RunProgress(2, 0)
    progress.ran = 2
    lines, complete = summarise(cells, store, progress, 1.0, stopped=False)
    assert complete
    near = [line for line in lines if "chance" in line]
    assert len(near) == output  # one for both seeds
    assert all("--set drcl.scaling=standard" in line and "0.170" in line for line in near)
    again, _ = summarise(cells, store, RunProgress(2, 2), 0.1, stopped=False)
    assert not [line for line in again if "chance" in line]
