"""Costs order the cells: what is recorded tells, near kin first, else a prior."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.experiment.cost import PRIOR_SECONDS, estimate
from bench.experiment.grid import Cell
from bench.records import Store
from tests.records import making


def cell(**changes: Any) -> Cell:
    return Cell(making.identity(**changes), "x")


def write(store: Store, seconds: dict[str, float], **changes: Any) -> None:
    record = making.record(**changes)
    circumstances = msgspec.structs.replace(record.circumstances, seconds=seconds)
    store.write(msgspec.structs.replace(record, circumstances=circumstances), {}, [], "")


def test_the_median_of_the_nearest_kin_counts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed, total in enumerate((1.0, 2.0, 9.0)):
        write(store, {"total": total}, seed=seed)
    write(store, {"total": 50.0}, dataset="xmedia")
    write(store, {"total": 70.0}, status="failed", seed=9)
    near, other = cell(seed=4), cell(seed=4, dataset="nus_wide")
    costs = estimate([near, other], store)
    assert costs[near.identity.digest] == 2.0
    assert costs[other.identity.digest] == pytest.approx(5.5)


def test_without_records_deep_methods_and_more_modalities_cost_more(tmp_path: Path) -> None:
    deep, linear = cell(), cell(method="mcca", modalities=("image", "text", "audio"))
    costs = estimate([deep, linear], Store(tmp_path))
    assert costs[deep.identity.digest] == 2 * PRIOR_SECONDS[True]
    assert costs[linear.identity.digest] == 3 * PRIOR_SECONDS[False]


def test_a_record_without_a_total_is_no_obstacle(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store, {}, seed=1)
    near = cell()
    assert estimate([near], store)[near.identity.digest] == 0.0
