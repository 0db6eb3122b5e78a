"""How long a report takes; promised from 400 records: all tables within 2 s, everything within 60 s.

The records have the shape of a full quick grid: all registered methods, four datasets of two modalities and
two of five, which methods for pairs take pair by pair; 400 queries, twenty epochs, two seeds in part.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations, cycle, islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bench import registry
from bench.records import Identity, Record, Series, Store
from bench.records.encoding import Value
from tests.records import making

ROOT = Path(__file__).resolve().parents[2]
RECORDS, QUERIES, EPOCHS = 400, 400, 20
PROTOCOLS = ("map@all", "map@50/hits", "map@50/min", "map@50/relevant")
DATASETS = ("emoji", "wikipedia", "nus_wide", "inria_websearch", "xmedia", "xmedianet")


def identities() -> Iterator[Identity]:
    """Yield the cells of one seed after another, endlessly."""
    for seed in range(RECORDS):
        for dataset in DATASETS:
            card = registry.dataset(dataset).card
            names = tuple(modality.name for modality in card.modalities)
            for method in registry.method_names():
                found = registry.method(method)
                fixed: dict[str, Any] = {
                    "seed": seed,
                    "method": method,
                    "dataset": dataset,
                    "settings": registry.resolve_settings(found, profile="quick", dataset=dataset),
                    "data_kind": "real" if dataset == "emoji" else "look-alike",
                }
                for modalities in [names] if found.card.any_modalities else combinations(names, 2):
                    yield making.identity(modalities=modalities, **fixed)


def record(
    identity: Identity, random: np.random.Generator
) -> tuple[Record, dict[tuple[str, str, str, str], Any]]:
    """Return a finished cell of a method whose level is as good as its name is long."""
    level = 1 + len(identity.method) / 3
    per_query: dict[tuple[str, str, str, str], Any] = {
        Series(selection, protocol, query, gallery): random.beta(level, 2, QUERIES)
        for selection in ("best", "last")
        for protocol in PROTOCOLS
        for one, other in combinations(identity.modalities, 2)
        for query, gallery in ((one, other), (other, one))
    }
    made = msgspec.structs.replace(making.record(), identity=identity)
    return making.measured(made, per_query, QUERIES), per_query


def trace(random: np.random.Generator) -> list[dict[str, Value]]:
    names = [f"{loss}/{name}" for loss in ("train_loss", "validation_loss") for name in ("image", "text")]
    return [
        {
            "stage": "train",
            "epoch": epoch + 1,
            **{name: random.random() for name in (*names, "validation_map")},
        }
        for epoch in range(EPOCHS)
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    store, random = Store(folder), np.random.default_rng(0)
    store.prepare()
    for identity in islice(identities(), RECORDS):
        made, per_query = record(identity, random)
        store.write(made, per_query, trace(random), "")
    assert len(list(store.records())) == RECORDS
    return folder


def report(results: Path, folder: Path, *words: str) -> None:
    given = ["--results", str(results), "--reports", str(folder), *words]
    command = [sys.executable, "-m", "bench", "report", *given]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


@pytest.mark.slow
def test_all_tables_of_400_records(benchmark: Any, results: Path, tmp_path: Path) -> None:
    folders = (tmp_path / str(number) for number in cycle(range(100)))
    benchmark.pedantic(lambda: report(results, next(folders), "--only", "tables"), rounds=5, warmup_rounds=1)


@pytest.mark.slow
def test_the_whole_report_of_400_records(benchmark: Any, results: Path, tmp_path: Path) -> None:
    benchmark.pedantic(lambda: report(results, tmp_path), rounds=1)
    assert (tmp_path / "tables.md").is_file()
    assert list((tmp_path / "figures").glob("*.svg"))
