"""All datasets at a glance: nothing mixed, ranks over the same datasets for all, and gaps that say why."""

from __future__ import annotations

import csv as files
import io
from xml.etree import ElementTree

import pytest

from bench.analysis import tables_of
from bench.analysis.across_datasets import SummaryTable, blocks_of, summary_tables_of
from bench.analysis.results import Results
from bench.records import Record
from bench.report.topics.map_tables import summary_exhibit
from bench.report.writers import csv, html, latex, markdown
from tests.analysis.test_across import grid
from tests.analysis.test_tables import LABELS, done
from tests.records import making


def overalls(records: list[Record]) -> list[SummaryTable]:
    tables = tables_of(Results(records, LABELS), ["map@all"])
    return summary_tables_of(tables, blocks_of(tables, "drcl"))


def ranks(overall: SummaryTable) -> dict[str, float | None]:
    return {line.label: line.rank for line in overall.lines}


def gappy() -> list[Record]:
    """Return methods on two datasets, one of them on one, one that failed, and a reference point."""
    failed = making.record(dataset="y", method="mars", status="timeout", reason="60 s")
    rare = done(0.3, dataset="rare", pairing="class-matched")
    whole = [*grid(["mcca", "drcl", "rono"], ["x", "y"]), *grid(["sm"], ["x", "y"])]
    return [*whole, done(0.9, dataset="x", method="mars"), failed, rare]


def test_ranks_are_averages_over_the_datasets_with_ties_shared() -> None:
    numbers = {"x": (0.3, 0.2, 0.1), "y": (0.1, 0.2, 0.2)}
    records = [
        done(value, method=method, dataset=name)
        for name, values in numbers.items()
        for method, value in zip("abc", values, strict=True)
    ]
    (found,) = overalls(records)
    assert ranks(found) == {"A": 2.0, "B": (2 + 1.5) / 2, "C": (3 + 1.5) / 2}
    assert found.ranked == found.datasets == ("x", "y")


def test_a_method_that_lacks_a_dataset_shows_what_it_has_and_is_not_ranked() -> None:
    (found,) = overalls(gappy())
    assert ranks(found) == {"SM": None, "DRCL": 2.0, "MCCA": 3.0, "RONO": 1.0, "MARS": None}
    mars = next(line for line in found.lines if line.label == "MARS")
    assert mars.entries["x"].mean == pytest.approx(0.9)
    assert (mars.entries["y"].reason, mars.entries["y"].brief) == ("timeout: 60 s", "time limit")
    assert mars.unranked == "no number on y"
    assert next(line for line in found.lines if line.label == "SM").unranked == "a reference point"


def test_a_dataset_that_few_have_stands_in_the_table_and_counts_for_no_rank() -> None:
    (found,) = overalls(gappy())
    assert found.datasets == ("rare", "x", "y")
    assert found.ranked == ("x", "y")
    assert {line.label for line in found.lines if line.entries["rare"].mean is not None} == {"DRCL"}


def test_one_dataset_is_not_looked_at_overall() -> None:
    assert overalls(grid(["drcl", "mcca"], ["x"])) == []
    assert overalls([*grid(["drcl"], ["x"]), *grid(["drcl"], ["x"], fingerprint="0" * 16)]) == []


def test_labels_keep_the_rosters_order_whatever_datasets_they_are_on() -> None:
    records = [done(0.1, dataset="a", method="rono"), *grid(["drcl", "mcca", "rono"], ["b"])]
    (found,) = overalls(records)
    assert [line.label for line in found.lines] == ["DRCL", "MCCA", "RONO"]


def test_the_sheet_says_what_ranks_are_over_and_why_numbers_are_missing() -> None:
    (found,) = overalls(gappy())
    shown = markdown.table(summary_exhibit(found))
    assert "among the 3 methods with a number on each of x, y; 1 is best" in shown
    assert "Not ranked: MARS: no number on y." in shown
    assert "Not ranked: rare: only 1 of 4 methods have a number on it." in shown
    assert "MARS on y: timeout: 60 s" in shown
    assert "Data: rare ffffffff, x ffffffff, y ffffffff." in shown
    lines = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in shown.splitlines() if "|" in line}
    cells = {name: [cell.strip() for cell in line] for name, line in lines.items()}
    assert cells["RONO"] == ["*not run*", "<u>0.200</u>", "**0.210**", "**1.00**"]
    assert cells["DRCL"][0::3] == ["**0.300**<sup>†</sup>", "<u>2.00</u>"]
    assert cells["MARS"] == ["*not run*", "**0.900**", "*time limit*", "*not ranked*"]


def test_every_format_of_it_has_every_method_and_dataset() -> None:
    (found,) = overalls(gappy())
    sheet = summary_exhibit(found)
    element = ElementTree.fromstring(html.table(sheet))
    assert [row.findtext("th") for row in element.findall("tbody/tr")] == [line.label for line in found.lines]
    assert latex.table(sheet).count(r"\\") == 1 + len(found.lines)
    rows = list(files.DictReader(io.StringIO(csv.table(summary_exhibit(found)))))
    assert len(rows) == len(found.lines) * 3
    by_place = {(row["method"], row["dataset"]): row for row in rows}
    assert by_place["drcl", "rare"]["pairing"] == "class-matched"
    assert by_place["rono", "x"]["average_rank"] == "1.0"
    assert by_place["rono", "x"]["ranked_over"] == "x y"
    assert (by_place["mars", "y"]["mean"], by_place["mars", "y"]["reason"]) == ("", "timeout: 60 s")
    assert by_place["mars", "x"]["unranked_because"] == "no number on y"


def test_without_a_method_on_every_dataset_nobody_is_ranked_and_the_sheet_says_so() -> None:
    records = [done(0.5, dataset="x", method="mcca"), done(0.5, dataset="y", method="drcl")]
    (found,) = overalls(records)
    assert set(ranks(found).values()) == {None}
    assert "No method is ranked" in markdown.table(summary_exhibit(found))
