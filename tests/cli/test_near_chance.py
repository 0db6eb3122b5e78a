"""What `run` says in the end where a method is hardly better than a random ranking."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli.summary import summarise
from bench.execution.progress import RunProgress
from bench.experiment.grid import Cell
from bench.records import Store
from tests.analysis.cells_apart import SETTINGS, add
from tests.analysis.making import Shelf, with_result
from tests.cli.test_compare import stored


@pytest.mark.parametrize(
    ("method", "value", "said"), [("drcl", 0.17, True), ("drcl", 0.5, False), ("sm", 0.17, False)]
)
def test_a_run_names_methods_near_chance_and_what_to_try(
    tmp_path: Path, method: str, value: float, said: bool
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
    found = [line for line in lines if "chance" in line]
    assert bool(found) is said
    if said:
        (line,) = found  # of both seeds one
        assert "--set drcl.scaling=standard" in line
        assert "0.170" in line
    again, _ = summarise(cells, store, RunProgress(2, 2), 0.1, stopped=False)
    assert not [line for line in again if "chance" in line]
