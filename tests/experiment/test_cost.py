"""Expected costs rest on records, the most similar first, else on a prior."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.experiment.cost import MEMORY_BESIDES, MEMORY_FACTOR, PRIOR_SECONDS, Expectation, expect
from bench.experiment.grid import Cell
from bench.records import Store
from tests.records import making


def write(
    store: Store, total: float | None, *, rows: int = 10, peak: int | None = None, **changes: Any
) -> None:
    """Record a cell: its seconds, its training rows in each modality, and its peak on the GPU."""
    record = making.record(**changes)
    seconds = {} if total is None else {"total": total}
    environment = msgspec.structs.replace(record.environment, seconds=seconds, peak_device_memory=peak)
    result = record.result
    if result is not None:
        sizes = {name: msgspec.structs.replace(part, train=rows) for name, part in result.rows.items()}
        result = msgspec.structs.replace(result, rows=sizes)
    record = msgspec.structs.replace(record, environment=environment, result=result)
    store.write(record, making.values_of(record), [], "")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def expected(store: Store, **changes: Any) -> Expectation:
    cell = Cell(making.identity(**{"device": "cpu", **changes}), "x")
    return expect([cell], store)[cell.identity.digest]


def test_the_median_of_the_most_similar_cells_counts(store: Store) -> None:
    for seed, total in enumerate((1.0, 2.0, 9.0)):
        write(store, total, seed=seed)
    write(store, 50.0, dataset="xmedia")
    write(store, 70.0, status="failed", seed=9)
    write(store, 80.0, seed=9, profile="paper")
    write(store, 90.0, modalities=("image", "text", "audio"))
    assert expected(store, seed=4) == Expectation(2.0, "data")


def test_records_of_another_kind_of_device_do_not_count(store: Store) -> None:
    write(store, 2.0, device="cuda", peak=1 << 30)
    write(store, 3.0)  # of layout 1: its environment names the device
    assert expected(store) == Expectation(3.0, "data")
    assert expected(store, device="cuda").seconds == 2.0


def test_other_data_counts_in_proportion_to_its_training_rows(store: Store) -> None:
    write(store, 2.0, rows=100)
    write(store, 9.0, rows=300, dataset="xmedia")
    assert expected(store, dataset="nus_wide") == Expectation(5.5, "method")
    write(
        store, 0.1, rows=1000, dataset="nus_wide", method="mcca"
    )  # a record of any method states a dataset's rows
    near = expected(store, dataset="nus_wide")
    assert near.seconds == pytest.approx(25.0)
    assert near.basis == "rows"
    # More modalities have more rows.
    write(store, 0.1, rows=1000, dataset="xmedianet", method="mcca", modalities=("image", "text", "audio"))
    three = expected(store, dataset="xmedianet", modalities=("image", "text", "audio"))
    assert three.seconds == pytest.approx(37.5)


def test_without_records_deep_methods_and_more_modalities_cost_more(store: Store) -> None:
    assert expected(store) == Expectation(2 * PRIOR_SECONDS[True], "prior")
    linear = expected(store, method="mcca", modalities=("image", "text", "audio"))
    assert linear == Expectation(3 * PRIOR_SECONDS[False], "prior")
    write(store, None, seed=1)  # a record without a total is no obstacle
    assert expected(store).seconds == 0.0


def test_the_largest_peak_seen_counts_with_a_margin(store: Store) -> None:
    for seed, peak in enumerate((4 << 30, 5 << 30, None, 3 << 30, 2 << 30, 1 << 30)):
        write(store, 1.0, seed=seed, peak=peak)
    write(store, 1.0, peak=50 << 30, dataset="xmedia")
    write(store, 1.0, peak=60 << 30, profile="paper")
    assert expected(store, seed=7).memory == int(MEMORY_FACTOR * (5 << 30)) + MEMORY_BESIDES
    assert expected(store, seed=7, method="mcca").memory is None
    write(store, 1.0, peak=70 << 30, seed=8, status="out-of-memory")
    assert expected(store, seed=7).memory is None
