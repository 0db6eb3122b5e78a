"""A grid and a results folder: every cell is recorded once, and the same cell gives the same bytes."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from bench.contract import UsageError
from bench.execution.devices import local_slots
from bench.execution.grid_runner import cell_statuses, hard_limit, remaining, run_cells
from bench.execution.local import local_executor, run_inline
from bench.execution.progress import Ended, Planned, RunEvent
from bench.execution.tasks import Progress, Started, Task
from bench.experiment.cost import Expectation
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.experiment.stale import stale_cells
from bench.records import STATUSES, Failure, Record, Store, StoreError
from tests.grid import FAULTS, Grid, bytes_of, cells_of, only_plugins
from tests.records import making
from tests.wording import mentions

CONTEXT = RunContext(plugins=(str(FAULTS),))


pytestmark = pytest.mark.usefixtures("faults")


def run(cells: Sequence[Cell], results: Path, context: RunContext = CONTEXT, jobs: int = 0) -> list[RunEvent]:
    events: list[RunEvent] = []
    execute = (
        local_executor(local_slots(jobs, 1), timeout=hard_limit(context.seconds)) if jobs else run_inline
    )
    ended = run_cells(cells, Store(results), context, execute=execute, on_event=events.append)
    assert ended == len([event for event in events if isinstance(event, Ended)]) == len(cells)
    return events


def ends(events: Sequence[RunEvent]) -> list[Ended]:
    return [event for event in events if isinstance(event, Ended)]


def recorded(
    methods: Sequence[str], bundle: Path, results: Path, **overrides: Any
) -> tuple[list[Cell], Store]:
    """Run cells of methods; returns them and their store."""
    cells = cells_of(methods, bundle, **overrides)
    run(cells, results)
    return cells, Store(results)


@pytest.mark.parametrize(
    ("method", "dataset", "status", "reason"),
    [
        ("plain", "small", "done", ""),
        ("drcl", "multi", "done", ""),
        ("raises", "small", "failed", "ValueError: the matrix is singular"),
        ("leaves", "small", "exited", "its process ended by itself with status 7"),
        ("nan", "small", "refused", "contain NaN"),
        ("peeks", "small", "failed", "asked for the test split of emoji"),
        ("sneaks", "small", "failed", "hid the refusal"),
        ("single", "small", "done", ""),
        ("single", "multi", "skipped", "Single takes one class per sample"),
    ],
)
def test_every_cell_of_a_grid_is_recorded_however_the_others_end(
    grid: Grid, method: str, dataset: str, status: str, reason: str
) -> None:
    record = grid.record(method, dataset)
    assert record["status"] == status
    assert reason in (record["failure"] or {"reason": ""})["reason"]


def test_a_grid_with_failures_is_otherwise_complete(grid: Grid) -> None:
    assert len(grid.store.statuses()) == 41
    assert grid.output.status == 1
    counts = "40 cells ... 22 done ... 12 failed ... 4 refused ... 2 skipped ... 40 run"
    assert mentions(grid.output.out, counts)
    (leaves,) = [record for record in grid.store.records() if record.identity.method == "leaves"]
    assert "to the real output" in grid.store.log(leaves.digest)


def test_the_same_cells_give_the_same_bytes_in_any_process_and_order(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grid ran in one process; the same cells run backwards in a worker, and then here."""
    cells = cells_of(["mcca", "plain", "raises"], grid.small, seeds=(0, 1))
    cells += cells_of(["sdml"], grid.small, seeds=(0, 1), epochs=2)
    digests = {cell.identity.digest for cell in cells}
    expected = {digest: content for digest, content in bytes_of(grid.results).items() if digest in digests}
    assert len(expected) == len(cells)

    def backwards(cells: Sequence[Cell], store: Store) -> dict[str, Expectation]:
        digests = [cell.identity.digest for cell in cells]
        return {digest: Expectation(float(number), "prior") for number, digest in enumerate(digests)}

    monkeypatch.setattr("bench.execution.grid_runner.expect", backwards)
    run(cells, tmp_path / "one", jobs=1)
    assert bytes_of(tmp_path / "one") == expected

    # The state of this process and its settings of torch have no influence either.
    torch.manual_seed(12345)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(cells[::-1], tmp_path / "here")
    finally:
        torch.set_num_threads(threads)
    assert bytes_of(tmp_path / "here") == expected


def test_a_second_run_makes_only_missing_records(small: Path, tmp_path: Path) -> None:
    few, store = recorded(["plain", "raises"], small, tmp_path)
    before = bytes_of(tmp_path)
    many = cells_of(["plain", "raises", "twin"], small, seeds=(0, 1))
    todo = remaining(many, store)
    done = {cell.identity.title for cell in many} - {cell.identity.title for cell in todo}
    assert done == {cell.identity.title for cell in few}
    run(todo, tmp_path)
    assert remaining(many, store) == []
    assert before.items() <= bytes_of(tmp_path).items()


@pytest.fixture(scope="module")
def every_end(small: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Cell], Store]:
    """A cell for every status there is, recorded with it, in the order of `STATUSES`."""
    store = Store(tmp_path_factory.mktemp("every"))
    with only_plugins(FAULTS):
        cells = cells_of(["plain"], small, seeds=range(len(STATUSES)))
    for cell, status in zip(cells, STATUSES, strict=True):
        record = msgspec.structs.replace(making.record(status=status), identity=cell.identity)
        store.write(record, making.values_of(record), [], "")
    return cells, store


FAILED = {"failed", "exited", "killed", "lost", "disk-full"}


@pytest.mark.parametrize(
    ("retry", "again"),
    [
        *(([status], {status}) for status in STATUSES if status not in ("done", "failed")),
        (["failed"], FAILED),
        (["exited", "timeout"], {"exited", "timeout"}),
        (["failed", "timeout"], {*FAILED, "timeout"}),
        (["all"], {*FAILED, "timeout", "out-of-memory", "refused"}),
        (["all", "skipped"], {*STATUSES} - {"done"}),
    ],
)
def test_retry_takes_every_status_and_failed_and_all_mean_several(
    every_end: tuple[list[Cell], Store], retry: list[str], again: set[str]
) -> None:
    cells, store = every_end
    found = cell_statuses(cells, store)
    assert {found[cell.identity.digest] for cell in remaining(cells, store, retry)} == again


@pytest.mark.parametrize("kind", ["exit", "signal", "worker", "OSError"])
def test_old_records_with_the_status_failed_for_every_end_are_read_and_run_again(
    small: Path, tmp_path: Path, kind: str
) -> None:
    (cell,) = cells_of(["plain"], small)
    old = msgspec.structs.replace(
        making.record(status="failed"), identity=cell.identity, failure=Failure(reason="why", kind=kind)
    )
    store = Store(tmp_path)
    store.write(old, {}, [], "")
    assert [*store.records()] == [old]
    assert remaining([cell], store) == []
    assert remaining([cell], store, ["failed"]) == remaining([cell], store, ["all"]) == [cell]


def move_to_other_code(store: Store, record: Record, **fields: str) -> None:
    """Replace a record by the same one of other code."""
    moved = msgspec.structs.replace(record, identity=msgspec.structs.replace(record.identity, **fields))
    per_query = {(*series,): values for series, values in store.per_query(record.digest).items()}
    trace, log = store.trace(record.digest), store.log(record.digest)
    store.write(moved, per_query, trace, log, store.snapshot(record.digest))
    shutil.rmtree(store.runs / record.digest)


@pytest.mark.parametrize(
    ("fields", "stale"),
    [
        ({"code": "plain 0"}, True),
        ({"harness": "", "code": "", "device": ""}, True),  # as in layout 1
        ({"device": "cuda"}, False),
    ],
)
def test_a_finished_record_of_other_code_is_stale_and_runs_again_only_on_request(
    small: Path, tmp_path: Path, fields: dict[str, str], stale: bool
) -> None:
    cells, store = recorded(["plain", "sm"], small, tmp_path)
    assert stale_cells(cells, store) == {}
    digest = cells[0].identity.digest
    move_to_other_code(store, store.read(digest), **fields)
    assert set(stale_cells(cells, store)) == ({digest} if stale else set())
    assert remaining(cells, store) == remaining(cells, store, ["all"]) == ([] if stale else [cells[0]])
    assert remaining(cells, store, ["stale"]) == [cells[0]]
    assert cell_statuses(cells, store)[digest] == ("stale" if stale else "missing")
    run([cells[0]], tmp_path)
    assert stale_cells(cells, store) == {}
    assert len(list(store.records())) == 3  # the other record stays


def test_a_cell_that_failed_with_other_code_runs(small: Path, tmp_path: Path) -> None:
    cells, store = recorded(["raises"], small, tmp_path)
    move_to_other_code(store, store.read(cells[0].identity.digest), code="raises 0")
    assert stale_cells(cells, store) == {}
    assert remaining(cells, store) == cells


def test_events_report_starts_epochs_and_ends_in_order(small: Path, tmp_path: Path) -> None:
    events = run(cells_of(["plain", "raises", "sdml"], small, epochs=2), tmp_path)
    kinds = [type(event) for event in events if not isinstance(event, Progress)]
    assert kinds == [Planned, *[Started, Ended] * 3]
    assert {(end.cell.identity.method, end.status, end.reason) for end in ends(events)} == {
        ("plain", "done", ""),
        ("raises", "failed", "ValueError: the matrix is singular"),
        ("sdml", "done", ""),
    }
    (progress, *_) = [event for event in events if isinstance(event, Progress)]
    assert (progress.values["stage"], progress.values["epoch"], progress.values["epochs"]) == ("train", 1, 2)


def test_a_cell_that_ignores_its_time_limit_is_stopped_and_recorded(small: Path, tmp_path: Path) -> None:
    (cell,) = cells_of(["sleeps"], small)
    (end,) = ends(run([cell], tmp_path, RunContext(plugins=CONTEXT.plugins, seconds=0.5), jobs=1))
    assert end.status == "timeout"
    assert mentions(end.reason, "time limit ... 0.5 s")
    assert Store(tmp_path).status(cell.identity.digest) == "timeout"


@pytest.mark.drill
def test_a_cell_over_its_memory_limit_is_recorded_with_the_limit(small: Path, tmp_path: Path) -> None:
    cells = cells_of(["hoards", "plain"], small)
    context = RunContext(plugins=CONTEXT.plugins, max_memory=400 << 20)
    execute = local_executor(local_slots(1, 1), max_memory=context.max_memory)
    run_cells(cells, Store(tmp_path), context, execute=execute, on_event=lambda event: None)
    records = {record.identity.method: record for record in Store(tmp_path).records()}
    assert records["plain"].status == "done"
    failure = records["hoards"].failure
    assert records["hoards"].status == "out-of-memory"
    assert failure is not None
    assert mentions(failure.reason, "400M ... --max-memory")
    assert "--max-memory 400M" in records["hoards"].environment.command


@pytest.mark.drill
def test_a_cell_whose_limit_is_less_than_libraries_take_to_load_does_not_hang(
    small: Path, tmp_path: Path
) -> None:
    (cell,) = cells_of(["mcca"], small)
    context = RunContext(plugins=CONTEXT.plugins, max_memory=25 << 20)
    execute = local_executor(local_slots(1, 1), max_memory=context.max_memory)
    run_cells([cell], Store(tmp_path), context, execute=execute, on_event=lambda event: None)
    assert Store(tmp_path).status(cell.identity.digest) in ("done", "out-of-memory")


@pytest.mark.parametrize(("device", "memory"), [("cpu", None), ("cuda:0", 5 << 30)])
def test_a_task_states_its_memory_where_it_runs_on_a_gpu(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, memory: int | None
) -> None:
    seen: list[Task] = []

    def watch(tasks: Sequence[Task], *_: Any) -> Any:
        seen.extend(tasks)
        yield from ()

    (cell,) = cells_of(["plain"], small)
    kind = device.partition(":")[0]
    cells = [replace(cell, identity=msgspec.structs.replace(cell.identity, device=kind))]
    expected = {cell.identity.digest: Expectation(7.0, "data", 5 << 30) for cell in cells}
    monkeypatch.setattr("bench.execution.grid_runner.expect", lambda cells, store: expected)
    run_cells(cells, Store(tmp_path), RunContext(device=device), execute=watch, on_event=lambda event: None)
    assert [(task.cost, task.memory) for task in seen] == [(7.0, memory)]


def test_without_cells_no_folder_is_made_and_an_unusable_one_stops_the_run_before_its_start(
    small: Path, tmp_path: Path
) -> None:
    assert run([], tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is a file"):
        run(cells_of(["plain"], small), tmp_path / "file")


def test_an_exception_of_the_event_handler_stops_the_run_and_keeps_its_records(
    small: Path, tmp_path: Path
) -> None:
    def stop(event: RunEvent) -> None:
        if isinstance(event, Ended):
            raise KeyboardInterrupt

    cells = cells_of(["plain", "twin"], small)
    with pytest.raises(KeyboardInterrupt):
        run_cells(cells, Store(tmp_path), CONTEXT, execute=run_inline, on_event=stop)
    assert len(remaining(cells, Store(tmp_path))) == 1


def test_counts_are_of_the_requested_cells(grid: Grid) -> None:
    cells = cells_of(["plain", "raises", "pairwise"], grid.small, seeds=(0, 1))
    counts = Counter(cell_statuses(cells, grid.store).values())
    assert counts == {"done": 2, "failed": 2, "missing": 2}
    unwritten = {cells[0].identity.digest, cells[-1].identity.digest}
    counts = Counter(cell_statuses(cells, grid.store, unwritten).values())
    assert counts == {"done": 1, "failed": 2, "missing": 1, "disk-full": 2}


@pytest.mark.parametrize("fields", [{"code": "plain 0"}, {"harness": "data 0"}, {"device": "cuda"}])
def test_a_cell_planned_with_other_code_or_for_another_device_does_not_run(
    small: Path, tmp_path: Path, fields: dict[str, str]
) -> None:
    (cell,) = cells_of(["plain"], small)
    other = replace(cell, identity=msgspec.structs.replace(cell.identity, **fields))
    if "device" in fields:
        with pytest.raises(UsageError, match="planned for cuda"):
            run([other], tmp_path)
        return
    (ended,) = ends(run([other], tmp_path))
    assert ended.status == "failed"
    assert mentions(ended.reason, f"{other.identity.title} ... code")
