"""A damaged record costs itself only, in every command that reads: it is named and gives status 1."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.records import Store
from bench.records.encoding import encode_per_query
from tests.grid import FAULTS, Grid, Said, make_newer, say
from tests.records.making import TRACE, values_of
from tests.records.test_checking import reseal


def truncate(folder: Path) -> None:
    (folder / "record.json").write_bytes((folder / "record.json").read_bytes()[:30])


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def edit(folder: Path) -> None:
    path = folder / "record.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"seed": ', '"seed": 1'), encoding="utf-8")


def edit_log(folder: Path) -> None:
    (folder / "log.txt").write_text("edited")


def move(folder: Path) -> None:
    folder.rename(folder.with_name("0" * 20))


@pytest.fixture
def small(grid: Grid, tmp_path: Path) -> Store:
    """Return a results folder with cells of four methods on one bundle."""
    store = Store(tmp_path / "results")
    for record in grid.store.records():
        cell = record.identity
        if cell.method in ("mcca", "sm", "plain", "sdml") and cell.dataset == "small":
            arrays = {(*series,): ap for series, ap in grid.store.per_query(record.digest).items()}
            store.write(record, arrays, TRACE, "")
    return store


def first_of(store: Store, method: str) -> Path:
    (record,) = (one for one in store.records() if (one.identity.method, one.identity.seed) == (method, 0))
    return store.runs / record.digest


COMMANDS = {
    "results": "results --format csv",
    "status": "status",
    "report": "report --only tables --reports REPORTS",
    "compare": "compare sm sdml --dataset small",
    "why": "why sm small --seed 0",
    "verify": f"verify --plugin {FAULTS} --jobs 0 --methods sm --cells 1",
    "explain": f"explain sm small --plugin {FAULTS}",
    "merge": "merge RESULTS --results OTHER",
}


def run(line: str, store: Store, tmp_path: Path) -> Said:
    folders = {"REPORTS": tmp_path / "reports", "RESULTS": store.root, "OTHER": tmp_path / "other"}
    words = [folders.get(word, word) for word in line.split()]
    return say(*words, *(() if "--results" in words else ("--results", store.root)))


@pytest.mark.parametrize("damage", [truncate, empty, edit, move, edit_log, make_newer])
def test_every_command_names_it_once_and_goes_on(
    small: Store, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = first_of(small, "mcca")
    damage(folder)
    folder = small.runs / ("0" * 20) if damage is move else folder
    for line in COMMANDS.values():
        said = run(line, small, tmp_path)
        assert said.status == 1, line
        assert said.out
        assert folder.name not in said.out
        (warning,) = said.err.splitlines()
        assert warning.startswith(f"warning: left out: {folder}: ")
        assert ("layout version 99" in warning) == (damage is make_newer)
    overview = (tmp_path / "reports" / "tables.md").read_text(encoding="utf-8")
    assert folder.name in overview.split("## Records left out")[1]
    assert "of 7 recorded cells are done" in overview


@pytest.mark.parametrize("line", COMMANDS.values(), ids=COMMANDS)
def test_nothing_but_damage_is_a_failure_not_an_absence(small: Store, tmp_path: Path, line: str) -> None:
    for record in list(small.records()):
        (truncate if record.identity.method == "mcca" else shutil.rmtree)(small.runs / record.digest)
    said = run(line, small, tmp_path)
    assert said.status == 1
    assert "merge" in line or f"none of the 2 records in {small.root} can be read" in said.err


@pytest.fixture
def contradicted(small: Store) -> Path:
    """Return the folder of a record whose values per query are not those of its metrics."""
    folder = first_of(small, "mcca")
    (record,) = (one for one in small.records() if one.digest == folder.name)
    other = {series: np.full_like(ap, 0.5) for series, ap in values_of(record).items()}
    reseal(folder, "per_query.npz", encode_per_query(other))
    return folder


def test_values_per_query_that_contradict_the_metrics_leave_it_out_of_every_number(
    small: Store, contradicted: Path, tmp_path: Path
) -> None:
    words = ("--results", small.root, "--reports", tmp_path / "reports", "--only", "tables")
    said = say("report", *words)
    assert (said.status, said.err.count("left out"), str(contradicted) in said.err) == (1, 1, True)
    page = (tmp_path / "reports" / "tables.md").read_text(encoding="utf-8")
    assert contradicted.name in page.partition("## Records left out")[2]
    rows = [line for line in page.splitlines() if line.startswith("| MCCA ")]
    assert len(rows) == 2  # a table for each protocol
    assert {row.split("|")[-2].strip() for row in rows} == {"1"}  # of two seeds

    said = say("compare", "mcca", "sm", "--dataset", "small", "--results", small.root)
    assert (said.status, "left out" in said.err) == (1, True)
    (line,) = (line for line in said.out.splitlines() if line.startswith("image→text"))
    assert line.split()[-1] == "1"  # of two seeds

    said = say("why", "sm", "small", "--seed", 0, "--results", small.root, "--plugin", FAULTS)
    assert str(contradicted) in said.err
    assert "sm" in said.out

    chosen = ("--plugin", FAULTS, "--jobs", 0, "--cells", 9, "--methods", "mcca,plain")
    said = say("verify", "--results", small.root, *chosen)
    assert said.status == 1
    assert "not checked: mcca on small (image+text), seed 0: " in said.out
    assert "cannot be believed" in said.out
    assert said.out.endswith("3 of 4 agree\n")
