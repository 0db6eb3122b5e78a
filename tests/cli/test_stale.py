"""Records of changed code are kept, named in every command, and made again on request."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from bench import registry
from bench.records import Store
from tests.grid import Output, run_command, write_bundle
from tests.wording import mentions

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


def edit(small: Path, factor: str) -> None:
    """Write the method's file beside the data, as a user would between two commands."""
    (small.parent / "mine.py").write_text(METHOD.replace("FACTOR", factor))
    registry.rescan()
    for name in [name for name in sys.modules if name.startswith("bench_plugin_mine")]:
        del sys.modules[name]


def command(word: str, small: Path, *words: object) -> Output:
    folder = small.parent
    return run_command(word, *words, "--results", folder / "r", "--plugin", folder / "mine.py")


def run(small: Path, *words: object) -> Output:
    return command("run", small, "--methods", "mine", "--datasets", small, "--jobs", 0, "--seeds", 2, *words)


def test_an_edited_method_makes_its_records_stale_and_they_are_kept(small: Path) -> None:
    edit(small, "10.0")
    run(small).check(0, "2 cells ... 2 done ... 2 run")
    store = Store(small.parent / "r")
    old = {record.digest: record for record in store.records()}
    assert all(record.identity.code.startswith("mine ") for record in old.values())
    edit(small, "(10.0)")
    assert "stale" not in run(small).check(0, "2 cells ... 2 done ... 0 run").out

    edit(small, "200.0")
    cell, stale = ("mine", small, "--seed", 0), "2 records ... stale ... mine"
    run(small).check(0, stale, "--retry stale", "2 cells ... 2 stale ... 0 run")
    run(small, "--dry-run").check(0, "2 cells ... 0 to run", "stale ")
    command("status", small).check(0, stale)
    assert command("verify", small).check(2).err.count("are stale") == 1
    command("why", small, *cell).check(0, "STALE ... mine")
    assert "DRIFT" not in command("explain", small, *cell).check(0, "STALE").out

    run(small, "--retry", "stale").check(0, "2 cells ... 2 done ... 2 run")
    assert len(list(store.records())) == 4
    assert {digest: store.read(digest) for digest in old} == old
    run(small, "--retry", "stale").check(0, "2 cells ... 2 done ... 0 run")
    command("verify", small, "--jobs", 0).check(0, stale, "2 of 2 agree", silent=True)
    assert "STALE" not in command("why", small, *cell).out


def test_before_and_after_a_change_can_be_compared_in_one_folder_and_in_two(small: Path) -> None:
    edit(small, "10.0")
    run(small)
    compare = ("compare", small, "mine", "mine", "--dataset", "small")
    command(*compare, "--earlier-code").check(2, "record ... stale")
    before = small.parent / "before"
    shutil.copytree(small.parent / "r", before)
    edit(small, "200.0")
    run(small, "--retry", "stale")
    tables = []
    for words in (("--earlier-code",), ("--other-results", before)):
        output = command(*compare, *words).check(0, silent=True)
        tables.append([line.split()[1:8] for line in output.out.splitlines() if line[:10] == "image→text"])
    assert tables[0] == tables[1] != []
    assert float(tables[0][0][2]) != 0.0


def test_the_report_and_status_name_stale_records(small: Path, tmp_path: Path) -> None:
    where = ("--results", tmp_path / "r")
    run_command("run", "--methods", "chance", "--datasets", small, "--jobs", 0, *where).check(0)
    store = Store(tmp_path / "r")
    (record,) = store.records()
    old = msgspec.structs.replace(record, identity=msgspec.structs.replace(record.identity, harness="data 0"))
    per_query = {(*series,): values for series, values in store.per_query(record.digest).items()}
    store.write(old, per_query, [], "", store.snapshot(record.digest))
    run_command("status", *where).check(0, "1 record ... stale ... chance ... data 0 →")
    listed = json.loads(run_command("status", *where, "--format", "json").out)["stale"]
    assert [(row["record"], row["again"]) for row in listed] == [(old.digest, True)]
    report = run_command(
        "report", *where, "--reports", tmp_path / "reports", "--only", "tables", "--only", "page"
    )
    report.check(0, "note: ... 1 record ... stale ... chance ... data 0 →")
    for name in ("tables.md", "index.html"):
        text = (tmp_path / "reports" / name).read_text(encoding="utf-8")
        assert mentions(text, "1 record ... stale ... chance")
