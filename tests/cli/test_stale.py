"""Code changes between two runs: what it made is kept, named everywhere, and made again on request."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bench import registry
from bench.records import Store
from tests.grid import Said, say, write_bundle

METHOD = """
from dataclasses import dataclass

import numpy as np

from bench.contract import Method, MethodCard


@dataclass(frozen=True)
class Settings:
    size: int = 2


class Mine(Method):
    card = MethodCard("mine", "Mine", "A", 2025, "V", "F", deep=False, pairs="unused")
    Settings = Settings

    def fit(self, train, validation, context):
        self.means = {
            name: np.stack([part.features[part.labels == c].mean(0) for c in range(3)])
            for name, part in train.items()
        }

    def embed(self, modality, features):
        distances = ((features[:, None] - self.means[modality]) ** 2).sum(2)
        return np.exp(-distances / FACTOR).astype(np.float32) + 1e-3
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "small.npz")


@pytest.fixture
def edit(tmp_path: Path) -> Callable[[str], None]:
    """Write the method's file as a user would between two commands, each of which is a process of its own."""

    def write(factor: str) -> None:
        (tmp_path / "mine.py").write_text(METHOD.replace("FACTOR", factor))
        registry.rescan()
        for name in [name for name in sys.modules if name.startswith("bench_plugin_mine")]:
            del sys.modules[name]

    return write


def command(word: str, small: Path, *words: object) -> Said:
    folder = small.parent
    return say(word, *words, "--results", folder / "r", "--plugin", folder / "mine.py")


def run(small: Path, *words: object) -> Said:
    return command("run", small, "--methods", "mine", "--datasets", small, "--jobs", 0, "--seeds", 2, *words)


def test_an_edited_method_makes_its_records_stale_and_they_are_kept(
    small: Path, edit: Callable[[str], None]
) -> None:
    edit("10.0")
    assert "2 cells: 2 done; 2 run now" in run(small).out
    store = Store(small.parent / "r")
    old = {record.digest: record for record in store.records()}
    assert all(record.identity.code.startswith("mine ") for record in old.values())
    edit("(10.0)")
    again = run(small)
    assert "2 cells: 2 done; 0 run now" in again.out
    assert "stale" not in again.out

    edit("200.0")
    words = "2 records are stale (mine): mine ", "--retry stale makes them again"
    run(small).check(0, *words, "2 cells: 2 stale; 0 run now")
    assert "2 cells, 0 to run" in run(small, "--dry-run").out
    assert "stale    " in run(small, "--dry-run").out
    assert "2 records are stale (mine)" in command("status", small).out
    verify = command("verify", small)
    assert (verify.status, verify.err.count("are stale")) == (2, 1)
    why = command("why", small, "mine", small, "--seed", 0)
    assert "STALE, other code made it: mine " in why.out
    explain = command("explain", small, "mine", small, "--seed", 0)
    assert "STALE, other code made it" in explain.out
    assert "DRIFT" not in explain.out

    made = run(small, "--retry", "stale")
    assert "2 cells: 2 done; 2 run now" in made.out
    records = list(store.records())
    assert len(records) == 4
    assert {digest for digest in old if store.read(digest) == old[digest]} == old.keys()
    assert "2 cells: 2 done; 0 run now" in run(small, "--retry", "stale").out
    command("verify", small, "--jobs", 0).check(0, "2 records are stale", "2 of 2 agree", silent=True)
    assert "STALE" not in command("why", small, "mine", small, "--seed", 0).out


def test_before_and_after_a_change_can_be_compared_in_one_folder_and_in_two(
    small: Path, edit: Callable[[str], None]
) -> None:
    edit("10.0")
    run(small)
    nothing = command("compare", small, "mine", "mine", "--dataset", "small", "--earlier-code")
    assert (nothing.status, "made by the code at hand" in nothing.err) == (2, True)
    before = small.parent / "before"
    shutil.copytree(small.parent / "r", before)
    edit("200.0")
    run(small, "--retry", "stale")
    inside = command("compare", small, "mine", "mine", "--dataset", "small", "--earlier-code")
    outside = command("compare", small, "mine", "mine", "--dataset", "small", "--other-results", before)
    tables = []
    for said in (inside, outside):
        assert (said.status, said.err) == (0, "")
        tables.append([line.split()[1:8] for line in said.out.splitlines() if line[:10] == "image→text"])
    assert tables[0] == tables[1] != []
    assert float(tables[0][0][2]) != 0.0


def test_the_report_and_status_name_stale_records(small: Path, tmp_path: Path) -> None:
    said = say("run", "--methods", "chance", "--datasets", small, "--jobs", 0, "--results", tmp_path / "r")
    assert said.status == 0
    store = Store(tmp_path / "r")
    (record,) = store.records()
    old = msgspec.structs.replace(record, identity=msgspec.structs.replace(record.identity, harness="data 0"))
    per_query = {(*series,): values for series, values in store.per_query(record.digest).items()}
    store.write(old, per_query, [], "", store.snapshot(record.digest))
    say("status", "--results", tmp_path / "r").check(0, "1 record is stale (chance): data 0 → ")
    listed = json.loads(say("status", "--results", tmp_path / "r", "--format", "json").out)["stale"]
    assert [(one["record"], one["again"]) for one in listed] == [(old.digest, True)]
    where = ("--results", tmp_path / "r", "--reports", tmp_path / "reports")
    report = say("report", *where, "--only", "tables", "--only", "page")
    assert "note: 1 record is stale (chance): data 0 → " in report.out
    for name in ("tables.md", "index.html"):
        assert "1 record is stale" in (tmp_path / "reports" / name).read_text(encoding="utf-8")
