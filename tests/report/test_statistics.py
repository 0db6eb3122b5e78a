"""The statistics in the report: numbers, words and marks that agree, the same bytes every time."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.analysis.comparisons import Family, against_reference, marks_note, with_marks
from bench.analysis.findings import findings, limits_of_seeds, verdict
from bench.analysis.per_query import per_query_tables
from bench.analysis.results import Results
from bench.analysis.tables import AVERAGE, tables_of
from bench.report import ReportData, write_report
from bench.report.topics.map_tables import table_exhibit
from tests.analysis.making import IT, TI, Shelf
from tests.analysis.simulated import differences
from tests.analysis.test_tables import LABELS
from tests.wording import mentions

LEVEL = {"drcl": 0.5, "better": 0.7, "same": 0.5, "torn": 0.6}


def shelf_of(seeds: int = 3, datasets: tuple[str, ...] = ("emoji",)) -> Shelf:
    """Return records of four methods: one like the reference, one better, one whose seeds disagree."""
    shelf = Shelf()
    random = np.random.default_rng(0)
    for dataset in datasets:
        for method, level in LEVEL.items():
            noise = differences(random, seeds=seeds, queries=200, seed_spread=0.01) / 4
            for seed in range(seeds):
                values = level + noise[seed] + (0.3 * (seed - 1) if method == "torn" else 0.0)
                shelf.add({IT: values, TI: np.full(200, 0.5)}, seed=seed, method=method, dataset=dataset)
    return shelf


def family_of(shelf: Shelf) -> Family:
    (table,) = per_query_tables(Results(shelf.records, LABELS), ["map@all"], "best", shelf.per_query)
    return against_reference(table, "drcl")


def write(shelf: Shelf, folder: Path, **more: Any) -> str:
    data = ReportData(shelf.records, protocols=["map@all"], per_query=shelf.per_query, **more)
    write_report(data, folder, parts=("tables", "statistics"))
    return (folder / "statistics.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def family() -> Family:
    return family_of(shelf_of())


def test_a_mark_shows_what_differs_and_whether_it_holds_over_seeds(family: Family) -> None:
    (plain,) = tables_of(Results(shelf_of().records, LABELS), ["map@all"])
    (table,) = with_marks([plain], [family])
    by_column = {
        column: {row.label: row.entries[column].mark for row in table.rows} for column in table.columns
    }
    marks = {"DRCL": "", "SAME": "", "TORN": "b", "BETTER": "a"}
    assert by_column == {IT: marks, TI: dict.fromkeys(marks, ""), AVERAGE: marks}
    assert table.reference == "DRCL"
    rows = [row for values in table_exhibit(table).values for row in values.rows]
    assert {row[-5] for row in rows if "BETTER" in row} == {"a", ""}
    assert not any("differs from" in note for note in table_exhibit(plain).notes)
    shelf = shelf_of(seeds=1)
    (single,) = with_marks(tables_of(Results(shelf.records, LABELS), ["map@all"]), [family_of(shelf)])
    assert ["one seed" in marks_note(found) for found in (table, single)] == [False, True]


def test_rows_that_share_one_seed_alone_have_intervals_without_seeds() -> None:
    """The numbers of both rows are of two seeds; only the comparison is of one."""
    shelf = Shelf()
    for method, seeds in (("drcl", (0, 1)), ("better", (1, 2))):
        for seed in seeds:
            shelf.add({IT: np.full(20, LEVEL[method]), TI: np.full(20, 0.5)}, seed=seed, method=method)
    (table,) = with_marks(tables_of(Results(shelf.records, LABELS), ["map@all"]), [family_of(shelf)])
    assert {entry.seeds for row in table.rows for entry in row.entries.values()} == {2}
    assert {row.label: row.entries[IT].mark for row in table.rows} == {"DRCL": "", "BETTER": "a"}
    assert "one seed in common" in marks_note(table)


def test_the_words_agree_with_the_numbers(family: Family) -> None:
    first, second, average = findings(family)
    below, with_these_models, no_difference = first.split(";")
    assert below.endswith("below BETTER")
    assert {"seeds", "TORN"} <= set(re.findall(r"\w+", with_these_models))
    assert {"not", "significantly", "SAME"} <= set(re.findall(r"\w+", no_difference))
    assert {"not", "significantly", "SAME", "TORN", "BETTER"} <= set(re.findall(r"\w+", second))
    assert average == first.replace("image→text", "average")
    by_name = {(one.second, one.direction): verdict(one) for one in family.comparisons}
    assert mentions(by_name["BETTER", IT], "DRCL ... below ... 0.")
    assert "other seeds" in by_name["TORN", IT]
    assert "equality" in by_name["SAME", IT]
    assert mentions(by_name["SAME", TI], "same ... query")


def test_the_number_of_seeds_limits_what_is_claimed() -> None:
    limits = [" ".join(limits_of_seeds(family_of(shelf_of(seeds)).comparisons)) for seeds in (1, 3, 5)]
    assert limits[0].count("one seed") == 1
    assert limits[1].count("3 seeds") == 1
    assert "vary the seeds" in limits[2]
    assert limits_of_seeds([]) == []


def test_the_report_writes_a_page_and_files_with_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    shelf = shelf_of(2, ("a", "b", "c"))
    page = write(shelf, tmp_path / "one")
    shelf.records.reverse()
    assert write(shelf, tmp_path / "two") == page
    for name in ("paired.csv", "ranks.csv", "nemenyi.csv"):
        first, second = ((tmp_path / part / "statistics" / name).read_bytes() for part in ("one", "two"))
        assert first == second
        assert first.count(b"\n") > 1
    assert "critical difference" in page
    paired = list(csv.DictReader((tmp_path / "one/statistics/paired.csv").read_text().splitlines()))
    assert len(paired) == 3 * 3 * 3  # datasets, both directions and the average, other methods
    assert sum(row["query"] == "average" for row in paired) == 9
    for row in paired:
        assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])
        assert float(row["p"]) <= float(row["p_holm"])
        gap = float(row["first_mean"]) - float(row["second_mean"])
        assert gap == pytest.approx(float(row["difference"]), abs=1e-8)


def test_every_pair_is_tested_on_request_and_the_marks_stay(tmp_path: Path) -> None:
    shelf = shelf_of()
    assert "of 6 pairs" in write(shelf, tmp_path / "all", every_pair=True)
    write(shelf, tmp_path / "one")
    assert (tmp_path / "all/tables.md").read_bytes() == (tmp_path / "one/tables.md").read_bytes()


def test_a_report_without_results_has_no_table_of_tests(tmp_path: Path) -> None:
    page = write(Shelf(), tmp_path)
    assert "result" in page
    assert "|" not in page
