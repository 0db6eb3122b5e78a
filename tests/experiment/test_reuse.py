"""Nothing is trained twice that does not depend on the condition; the numbers are those of training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bench.execution.data_check import describe_sources
from bench.execution.grid_runner import run_cells
from bench.execution.local import run_inline
from bench.experiment.cost import expect
from bench.experiment.grid import Cell, Request, plan
from bench.experiment.reuse import clean_counterpart, reused
from bench.experiment.run_context import RunContext
from bench.experiment.running import run_cell
from bench.records import Store
from bench.records.files import record_files
from tests.experiment.running import done
from tests.grid import data_opened_here, write_bundle

PAIRS = ("unpaired@1", "wrong-pairs@0.4", "unpaired/same@0.5")
CONTEXT = RunContext()


class Made:
    """A results folder with clean cells and cells under conditions."""

    def __init__(self, folder: Path) -> None:
        bundle = write_bundle(folder / "mine.npz")
        with data_opened_here():
            sources = describe_sources([str(bundle)], Path("data"), "quick").usable
        asked = Request(["sm", "sdml", "mcca"], [str(bundle)], conditions=[*PAIRS, "label-noise@0.4", ""])
        changes = {"sdml": {"epochs": 3}}
        self.cells = plan(replace(asked, overrides=changes), sources)
        self.store = Store(folder / "results")
        run_cells(self.cells, self.store, CONTEXT, execute=run_inline, on_event=lambda _: None)

    def cell(self, method: str, condition: str) -> Cell:
        return next(
            cell
            for cell in self.cells
            if (cell.identity.method, cell.identity.condition) == (method, condition)
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("reuse"))


def test_cells_are_reused_of_methods_that_do_not_use_pairs_where_only_pairs_change(made: Made) -> None:
    for cell in made.cells:
        record = made.store.read(cell.identity.digest)
        spared = cell.identity.method != "mcca" and cell.identity.condition in PAIRS
        clean = made.cell(cell.identity.method, "").identity.digest
        assert record.environment.reused == (clean if spared else ""), cell.title
        assert ("not trained" in made.store.log(record.digest)) == spared


@pytest.mark.parametrize("condition", PAIRS)
@pytest.mark.parametrize("method", ["sm", "sdml"])
def test_what_is_taken_over_has_the_bytes_of_what_training_gives(
    made: Made, method: str, condition: str
) -> None:
    cell = made.cell(method, condition)
    trained, record = run_cell(cell, CONTEXT), made.store.read(cell.identity.digest)
    assert trained.record.environment.reused == ""
    assert done(record) == done(trained)
    assert done(record).effective is not None
    files = record_files(trained.record, trained.per_query, trained.trace, "", trained.view)
    for name in ("per_query.npz", "view.npz"):
        assert (made.store.runs / record.digest / name).read_bytes() == files[name], name
    clean = made.cell(method, "").identity.digest
    assert made.store.trace(cell.identity.digest) == made.store.trace(clean)


def test_it_is_trained_where_the_clean_record_lacks_something_or_is_of_another_machine(
    made: Made, tmp_path: Path
) -> None:
    cell = made.cell("sdml", "unpaired@1")
    assert reused(cell, CONTEXT, made.store) is not None
    assert reused(cell, CONTEXT, Store(tmp_path)) is None
    for more in ({"protocols": ("recall@10",)}, {"trace_test": True}, {"keep_models": True}):
        assert reused(cell, RunContext(**more), made.store) is None
    twin = clean_counterpart(cell)
    assert twin is not None
    record = made.store.read(twin.digest)
    elsewhere = msgspec.structs.replace(record.environment, host={**record.environment.host, "name": "other"})
    other = Store(tmp_path / "other")
    other.write(
        msgspec.structs.replace(record, environment=elsewhere),
        {(*series,): values for series, values in made.store.per_query(twin.digest).items()},
        made.store.trace(twin.digest),
        "",
        made.store.snapshot(twin.digest),
    )
    assert reused(cell, CONTEXT, other) is None
    assert clean_counterpart(made.cell("sdml", "label-noise@0.4")) is None
    assert clean_counterpart(made.cell("sdml", "")) is None
    assert clean_counterpart(made.cell("mcca", "unpaired@1")) is None


def test_such_cells_are_expected_to_take_little_and_to_start_last(made: Made) -> None:
    expected = expect(made.cells, Store(made.store.root / "none"))
    little = {digest for digest, one in expected.items() if one.basis == "clean"}
    spared = {cell.identity.digest for cell in made.cells if clean_counterpart(cell) is not None}
    assert little == spared
    others = [one.seconds for digest, one in expected.items() if digest not in little]
    assert max(expected[digest].seconds for digest in little) < min(others)
    alone = expect([made.cell("sdml", "unpaired@1")], Store(made.store.root / "none"))
    assert {one.basis for one in alone.values()} == {"prior"}
