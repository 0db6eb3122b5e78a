"""The statistics in the report: numbers, words and marks that agree, escaped, the same bytes every time."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.analysis.comparisons import Family, against_reference, marks_note, with_marks
from bench.analysis.findings import findings, limits_of_seeds, verdict
from bench.analysis.per_query import per_query_tables
from bench.analysis.results import Results
from bench.analysis.tables import AVERAGE, Table, tables_of
from bench.report import ReportData, write_report
from bench.report.topics.map_tables import table_exhibit
from bench.report.writers import csv as csv_writer
from bench.report.writers import latex, markdown
from tests.analysis.making import IT, TI, Shelf
from tests.analysis.simulated import differences
from tests.analysis.test_tables import LABELS

LEVEL = {"drcl": 0.5, "better": 0.7, "same": 0.5, "torn": 0.6}


def shelf_of(seeds: int = 3, datasets: tuple[str, ...] = ("emoji",), **more: Any) -> Shelf:
    """Return records of four methods: one like the reference, one better, one whose seeds disagree."""
    shelf = Shelf()
    random = np.random.default_rng(0)
    for dataset in datasets:
        for method, level in LEVEL.items():
            noise = differences(random, seeds=seeds, queries=200, seed_spread=0.01) / 4
            for seed in range(seeds):
                values = level + noise[seed] + (0.3 * (seed - 1) if method == "torn" else 0.0)
                values = {IT: values, TI: np.full(200, 0.5)}
                shelf.add(values, seed=seed, method=method, dataset=dataset, **more)
    return shelf


def family_of(shelf: Shelf) -> Family:
    (field,) = per_query_tables(Results(shelf.records, LABELS), ["map@all"], "best", shelf.per_query)
    return against_reference(field, "drcl")


def table_of(shelf: Shelf) -> Table:
    (table,) = with_marks(tables_of(Results(shelf.records, LABELS), ["map@all"]), [family_of(shelf)])
    return table


def write(shelf: Shelf, folder: Path, **more: Any) -> str:
    material = ReportData(shelf.records, protocols=["map@all"], per_query=shelf.per_query, **more)
    write_report(material, folder, parts=("tables", "statistics"))
    return (folder / "statistics.md").read_text(encoding="utf-8")


def test_a_mark_says_what_differs_and_whether_it_holds_over_seeds() -> None:
    table = table_of(shelf_of())
    by_column = {
        column: {row.label: row.entries[column].mark for row in table.rows} for column in table.columns
    }
    marks = {"DRCL": "", "SAME": "", "TORN": "b", "BETTER": "a"}
    assert by_column == {IT: marks, TI: dict.fromkeys(marks, ""), AVERAGE: marks}
    assert table.reference == "DRCL"


def test_marks_stand_in_every_form_of_a_table_and_are_explained() -> None:
    table = table_of(shelf_of())
    shown = markdown.table(table_exhibit(table))
    assert "<sup>a</sup>" in shown
    assert "differs from DRCL in this column" in shown
    assert r"\textsuperscript{a}" in latex.table(table_exhibit(table))
    rows = list(csv.DictReader(csv_writer.table(table_exhibit(table)).splitlines()))
    assert {row["significance"] for row in rows if row["method"] == "better"} == {"a", ""}
    assert "With one seed" not in marks_note(table)
    assert "With one seed" in marks_note(table_of(shelf_of(seeds=1)))


def test_a_table_that_nothing_was_tested_in_has_no_marks_and_no_note() -> None:
    shelf = shelf_of()
    (plain,) = tables_of(Results(shelf.records, LABELS), ["map@all"])
    shown = markdown.table(table_exhibit(plain))
    assert "<sup>" not in shown
    assert "differs from" not in shown


def test_the_words_agree_with_the_numbers() -> None:
    family = family_of(shelf_of())
    first, second, average = findings(family)
    assert first == (
        "image→text: DRCL is below BETTER; different with these models, but not beyond what seeds vary, "
        "from TORN; not told apart from SAME."
    )
    assert second == "text→image: DRCL is not told apart from SAME, TORN, BETTER."
    assert average == first.replace("image→text", "average")
    by_name = {(one.second, one.direction): verdict(one) for one in family.comparisons}
    assert "DRCL is below by 0." in by_name["BETTER", IT]
    assert "may not come back with other seeds" in by_name["TORN", IT]
    assert "no proof of equality" in by_name["SAME", IT]
    assert "the same on every query" in by_name["SAME", TI]


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        (1, "rest on one seed: their intervals lack the variation over seeds"),
        (3, "3 seeds tell little about their spread"),
        (5, "the intervals also vary the seeds."),
    ],
)
def test_the_number_of_seeds_limits_what_is_claimed(seeds: int, words: str) -> None:
    assert words in " ".join(limits_of_seeds(family_of(shelf_of(seeds)).comparisons))
    assert limits_of_seeds([]) == []


def test_the_report_writes_a_page_and_files_with_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    shelf = shelf_of(2, ("a", "b", "c"))
    page = write(shelf, tmp_path / "one")
    shelf.records.reverse()
    assert write(shelf, tmp_path / "two") == page
    for name in ("paired.csv", "ranks.csv", "nemenyi.csv"):
        one, two = ((tmp_path / part / "statistics" / name).read_bytes() for part in ("one", "two"))
        assert one == two
        assert one.count(b"\n") > 1
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
    page = write(shelf, tmp_path / "all", every_pair=True)
    write(shelf, tmp_path / "one")
    assert "of 6 pairs" in page
    assert (tmp_path / "all/tables.md").read_bytes() == (tmp_path / "one/tables.md").read_bytes()


def test_a_report_without_results_says_so(tmp_path: Path) -> None:
    page = write(Shelf(), tmp_path)
    assert "No record has a result to compare." in page
    assert "No table has a number." in page
