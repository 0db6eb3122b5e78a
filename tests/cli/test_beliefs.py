"""A record whose values per query are not those of its metrics costs itself only, in every command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.records import Store
from bench.records.encoding import encode_per_query
from tests.grid import FAULTS, Grid, say
from tests.records.making import TRACE, values_of
from tests.records.test_checking import reseal


@pytest.fixture
def spoiled(grid: Grid, tmp_path: Path) -> tuple[Path, Path]:
    """Return a results folder with cells of four methods on one bundle, and a spoiled record of it."""
    store = Store(tmp_path / "results")
    for record in grid.store.records():
        who = record.identity
        if who.method in ("mcca", "sm", "plain", "sdml") and who.dataset == "small":
            arrays = {(*series,): ap for series, ap in grid.store.per_query(record.digest).items()}
            store.write(record, arrays, TRACE, "")
    (bad,) = (one for one in store.records() if (one.identity.method, one.identity.seed) == ("mcca", 0))
    other = {series: np.full_like(ap, 0.5) for series, ap in values_of(bad).items()}
    reseal(store.runs / bad.digest, "per_query.npz", encode_per_query(other))
    return store.root, store.runs / bad.digest


def test_report_leaves_it_out_of_every_number_and_names_it(
    spoiled: tuple[Path, Path], tmp_path: Path
) -> None:
    results, bad = spoiled
    words = ("--results", results, "--reports", tmp_path / "reports", "--only", "tables")
    said = say("report", *words)
    assert said.status == 1
    assert said.err.count("left out") == 1
    assert str(bad) in said.err
    page = (tmp_path / "reports" / "tables.md").read_text(encoding="utf-8")
    assert bad.name in page.partition("## Records left out")[2]
    rows = [line for line in page.splitlines() if line.startswith("| MCCA ")]
    assert len(rows) == 2  # a table for each protocol
    assert {row.split("|")[-2].strip() for row in rows} == {"1"}  # of two seeds


def test_compare_leaves_it_out_and_names_it(spoiled: tuple[Path, Path]) -> None:
    said = say("compare", "mcca", "sm", "--dataset", "small", "--results", spoiled[0])
    assert (said.status, "left out" in said.err) == (1, True)
    (line,) = (line for line in said.out.splitlines() if line.startswith("image→text"))
    assert line.split()[-1] == "1"  # of two seeds


def test_why_tells_the_story_of_the_others(spoiled: tuple[Path, Path]) -> None:
    results, bad = spoiled
    said = say("why", "sm", "small", "--seed", 0, "--results", results, "--plugin", FAULTS)
    assert said.status in (0, 1)
    assert str(bad) in said.err
    assert "sm" in said.out


def test_verify_says_that_it_cannot_be_believed(spoiled: tuple[Path, Path]) -> None:
    words = (
        "--results",
        spoiled[0],
        "--plugin",
        FAULTS,
        "--jobs",
        0,
        "--cells",
        9,
        "--methods",
        "mcca,plain",
    )
    said = say("verify", *words)
    assert said.status == 1
    assert "not checked: mcca on small (image+text), seed 0: " in said.out
    assert "cannot be believed" in said.out
    assert said.out.endswith("3 of 4 agree\n")
