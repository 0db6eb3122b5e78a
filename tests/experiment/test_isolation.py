"""A cell gets no test data, no writable array, and nothing that another cell left behind."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import registry
from bench.experiment.cell import Finished
from bench.experiment.running import run_cell
from tests.experiment.running import context, done, run, seen
from tests.grid import cells_of, only_plugins
from tests.probes import WAYS, settings_seen
from tests.wording import mentions

PROBES = Path(__file__).parents[1] / "probes.py"
KEEPING = ("remembers", "draws", "changes")


@pytest.fixture(autouse=True)
def _probes() -> Any:
    with only_plugins(PROBES):
        yield


def failure(finished: Finished) -> tuple[str, str]:
    assert finished.record.failure is not None, finished.log
    assert (finished.record.result, finished.per_query, finished.view) == (None, {}, None)
    return finished.record.failure.kind, finished.record.failure.reason


def numbers(finished: Finished) -> Any:
    result = done(finished)
    return result.metrics, result.notes, {key: ap.tobytes() for key, ap in finished.per_query.items()}


@pytest.mark.parametrize("where", ["init", *WAYS, "checkpoints", "notes", "restore", "embed"])
def test_test_data_opens_nowhere_in_a_methods_life_and_hiding_does_not_help(small: Path, where: str) -> None:
    kind, reason = failure(run("opens", small, where=where))
    assert kind == "SealedTestError"
    assert "test data" in reason


def test_test_data_does_not_open_in_a_similarity_or_while_test_rows_are_embedded(small: Path) -> None:
    assert failure(run("compares", small, where="similarity"))[0] == "SealedTestError"
    finished = run("late", small)
    assert failure(finished)[0] == "SealedTestError"
    assert mentions(finished.log, "test split ... after fit")  # it came that far
    for method in ("opens", "compares"):  # that open nothing are not suspected
        assert run(method, small).record.status == "done"


def test_test_data_does_not_open_when_the_module_is_executed(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = cells_of(["opens"], small)
    monkeypatch.setenv("OPEN_AT_IMPORT", "1")
    monkeypatch.setenv("BENCH_IMPORTED", "{}")  # what was found with the other value of that variable
    assert failure(run_cell(cells[0], context()))[0] == "SealedTestError"
    for name in [name for name in sys.modules if name.startswith("bench_plugin_probes")]:
        monkeypatch.delitem(sys.modules, name)
    registry.rescan()
    try:
        (reason,) = {problem.reason for problem in registry.registered().problems}
    finally:
        registry.rescan()
    assert "test data" in reason


@pytest.mark.parametrize("where", ["train", "labels", "embed"])
def test_an_array_that_a_method_writes_to_is_named_with_what_to_do(small: Path, where: str) -> None:
    kind, reason = failure(run("centres", small, where=where))
    assert kind == "ValueError"
    assert ("labels[0] = 0" if where == "labels" else "features -= features.mean(axis=0)") in reason
    assert "copy" in reason


@pytest.mark.parametrize("second", KEEPING)
def test_a_cell_gives_the_same_bytes_after_any_other(small: Path, second: str) -> None:
    alone = numbers(run(second, small))
    for first in KEEPING:
        run(first, small, seed=1)
        assert numbers(run(second, small)) == alone


def test_global_generators_start_from_the_seed_of_the_cell(small: Path) -> None:
    def values(seed: int) -> Any:
        return done(run("draws", small, seed=seed)).notes["values"]

    assert values(0) == values(0)
    assert not set(values(0)) & set(values(1))


def test_the_callers_process_is_as_before(small: Path) -> None:
    import torch

    def state() -> list[Any]:
        generators = random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()
        return [settings_seen(), torch.get_num_threads(), registry.method_class("changes"), *generators]

    before = state()
    for method in ("draws", "changes"):
        assert run(method, small).record.status == "done"
    assert state() == before


@pytest.mark.parametrize("method", ["batch_mean", "row_numbers", "worse_at_best"])
def test_a_method_that_mixes_rows_fails_before_the_test_split_opens(small: Path, method: str) -> None:
    finished = run(method, small)
    kind, reason = failure(finished)
    assert kind == "PluginError"
    assert "of image" in reason
    assert "batch statistics" in reason
    assert "test split opened" not in finished.log


def test_the_check_of_rows_changes_no_number(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def points(finished: Finished) -> bytes:
        space = seen(finished).space
        assert space is not None
        return b"".join(part.tobytes() for part in space.points.values())

    def every() -> list[Any]:
        cells = run("sdml", small, epochs=2), run("mcca", small), run("blurs", small)
        return [(numbers(finished), points(finished)) for finished in cells]

    with_check = every()
    monkeypatch.setattr("bench.experiment.cell.check_independence", lambda method, split: None)
    assert every() == with_check


@pytest.mark.parametrize("method", ["blurs", "counts"])
def test_the_oracle_moves_no_generator_and_no_attribute(small: Path, method: str) -> None:
    assert numbers(run(method, small)) == numbers(run(method, small, context(trace_test=True)))
