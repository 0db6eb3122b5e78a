"""Two data of one name, and two versions of the code, are told apart wherever a command names cells."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from bench.data import fingerprint_of
from bench.records import Record, Rows, Store
from tests.analysis.cells_apart import add
from tests.analysis.making import Shelf
from tests.cli.test_compare import stored
from tests.grid import Said, say, write_bundle
from tests.records import making

ONE, TWO = "1" * 16, "2" * 16


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Records of one method on two bundles of one name."""
    shelf = Shelf()
    for fingerprint, value in ((ONE, 0.4), (TWO, 0.6)):
        for method in ("drcl", "mcca"):
            add(shelf, value, method=method, dataset="emoji", fingerprint=fingerprint)
    return stored(tmp_path / "results", shelf)


def compare(results: Path, *words: object) -> Said:
    return say("compare", "drcl", "mcca", *words, "--results", results)


def test_why_lists_cells_of_both_and_how_to_name_one(results: Path) -> None:
    say("why", "drcl", "emoji", "--results", results).check(
        0, "--data-version 11111111", "--data-version 22222222"
    )
    for way in (("emoji@1111",), ("emoji", "--data-version", "1111")):
        one = say("why", "drcl", *way, "--results", results)
        assert f"fingerprint {ONE}" in one.out
        assert "0.4000" in one.out
        assert "0.6000" not in one.out


def test_compare_asks_which_of_the_two_is_meant(results: Path) -> None:
    said = compare(results, "--dataset", "emoji")
    assert (said.status, said.out) == (2, "")
    assert "emoji@11111111, emoji@22222222" in said.err
    compare(results, "--dataset", "emoji@2222").check(0, "data 22222222")
    compare(results, "--dataset", "emoji@3333").check(2, "emoji@11111111")


def test_the_path_of_a_bundle_means_its_content(tmp_path: Path) -> None:
    shelf, paths = Shelf(), []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        paths.append(write_bundle(tmp_path / str(number) / "mine.npz", seed=number))
        fingerprint = fingerprint_of(paths[-1])[1]
        for method in ("drcl", "mcca"):
            add(shelf, 0.4 + number / 5, method=method, fingerprint=fingerprint)
    for place, record in enumerate(shelf.records):
        who = msgspec.structs.replace(record.identity, dataset="mine")
        shelf.arrays[who.digest] = shelf.arrays[record.digest]
        shelf.records[place] = msgspec.structs.replace(record, identity=who)
    results = stored(tmp_path / "results", shelf)
    for number, path in enumerate(paths):
        why = say("why", "drcl", path, "--results", results)
        assert f"{0.4 + number / 5:.4f}" in why.out
        assert f"{0.6 - number / 5:.4f}" not in why.out
        assert compare(results, "--dataset", path).status == 0
    elsewhere = say("why", "drcl", "elsewhere/mine.npz", "--results", results)
    assert elsewhere.out.startswith("2 cells fit")


def test_results_has_a_column_for_everything_that_sets_cells_apart(results: Path) -> None:
    said = say("results", "--format", "csv", "--results", results)
    header, *lines = said.out.splitlines()
    assert {"fingerprint", "device", "harness", "code", "threads", "settings"} <= set(header.split(","))
    assert {line.split(",")[header.split(",").index("fingerprint")] for line in lines} == {ONE, TWO}
    table = say("results", "--results", results).out.splitlines()[0].split()
    assert "fingerprint" in table
    assert "harness" not in table  # the same everywhere


def remarked(record: Record) -> Record:
    assert record.result is not None
    metrics = [
        msgspec.structs.replace(metric, queries=497, items=497)
        for metric in record.result.metrics
        if metric.selection != "last"
    ]
    result = msgspec.structs.replace(
        record.result,
        metrics=metrics,
        zero_rows={"best": {"image": 5}},
        rows={name: Rows(train=9, validation=3, test=497, dimension=4) for name in ("image", "text")},
        refused={"last": "all rows are equal"},
        chance={"image>text": 0.38, "text>image": 0.39},
        snapshot_error="no room",
    )
    return msgspec.structs.replace(record, result=result)


def test_why_says_what_stands_beside_the_numbers(tmp_path: Path) -> None:
    shelf = Shelf()
    record = remarked(add(shelf, 0.4, settings={"scaling": "none"}))
    Store(tmp_path).write(record, making.values_of(record), [], "")
    say("why", "drcl", "emoji", "--results", tmp_path).check(
        0,
        "5 of 497 image",
        "all rows are equal",
        "within 0.03 of chance",
        "--set drcl.scaling=standard",
        "no room",
        "evaluation 1",
    )


def test_status_counts_cells_of_each_content_apart(results: Path) -> None:
    cells = json.loads(say("status", "--format", "json", "--results", results).out)["cells"]
    assert {(row["fingerprint"], row["method"], row["cells"]) for row in cells} == {
        (fingerprint[:8], method, 1) for fingerprint in (ONE, TWO) for method in ("drcl", "mcca")
    }
