"""Blocks, tests and summary tables across datasets: complete, of one kind, and what is left out is named."""

from __future__ import annotations

import csv as files
import io
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.analysis import tables_of
from bench.analysis.across_datasets import (
    Block,
    BlockKey,
    DatasetTests,
    SummaryTable,
    blocks_of,
    dataset_tests_of,
    summary_tables_of,
)
from bench.analysis.findings import limits_of_datasets, ranking_findings
from bench.analysis.results import Results
from bench.records import Record
from bench.report.topics.map_tables import summary_exhibit
from bench.report.writers import csv, html, latex, markdown
from tests.analysis.test_ranking import random_scores
from tests.analysis.test_tables import LABELS, done
from tests.records import making
from tests.wording import mentions


def blocks(records: list[Record]) -> list[Block]:
    return blocks_of(tables_of(Results(records, LABELS), ["map@all"]), "drcl")


def summaries(records: list[Record]) -> list[SummaryTable]:
    return summary_tables_of(tables_of(Results(records, LABELS), ["map@all"]), blocks(records))


def grid(methods: list[str], datasets: list[str], **more: Any) -> list[Record]:
    return [
        done(0.1 * number + 0.01 * index, method=method, dataset=dataset, **more)
        for number, method in enumerate(methods)
        for index, dataset in enumerate(datasets)
    ]


def block(methods: int, datasets: int, kind: str = "real", seeds: int = 3) -> Block:
    names, data = tuple("abcdefghijklmnop"[:methods]), tuple(f"d{number}" for number in range(datasets))
    about = BlockKey(kind, "quick", "cpu", "", "map@all", "best")
    return Block(about, names, "a", data, random_scores(methods, datasets), (seeds, seeds), ())


def outcome_of(found: Block) -> DatasetTests:
    tests = dataset_tests_of(found)
    assert tests is not None
    return tests


def test_a_block_holds_the_averages_of_methods_with_all_datasets() -> None:
    (found,) = blocks(grid(["drcl", "rono", "mcca"], ["x", "y"]))
    assert (found.methods, found.datasets) == (("DRCL", "MCCA", "RONO"), ("x", "y"))
    assert found.scores == pytest.approx(np.array([[0.0, 0.01], [0.2, 0.21], [0.1, 0.11]]))
    assert (found.reference, found.seeds, found.omitted) == ("DRCL", (1, 1), ())


BOTH = ["x", "y"]


@pytest.mark.parametrize(
    ("records", "methods", "omitted"),
    [
        (
            [
                *grid(["drcl", "mcca", "rono"], BOTH),
                *(done(0.5, dataset="x", method="mars"), done(0.5, dataset="rare")),
            ],
            ("DRCL", "MCCA", "RONO"),
            ("rare: ... 1 of 4 methods", "MARS: ... y"),
        ),
        (
            [*grid(["drcl", "mcca"], BOTH), *grid(["rono", "mars"], ["x"])],  # half of them have y
            ("DRCL", "MCCA"),
            ("MARS: ... y", "RONO: ... y"),
        ),
        (
            [*grid(["drcl", "mcca", "sm"], BOTH), *grid(["drcl"], BOTH, variant="without_fa")],
            ("DRCL", "MCCA"),
            ("ablations ... settings ... DRCL without_fa",),
        ),
        (
            [*grid(["drcl", "mcca"], BOTH), *grid(["drcl"], ["x"], fingerprint="0" * 16)],
            ("DRCL", "MCCA"),
            ("x: ... version 00000000 ... ffffffff",),
        ),
    ],
    ids=["gaps", "half", "references and ablations", "versions of a dataset"],
)
def test_what_is_left_out_of_a_block_is_named(
    records: list[Record], methods: tuple[str, ...], omitted: tuple[str, ...]
) -> None:
    (found,) = blocks(records)
    assert (found.methods, found.datasets, len(found.omitted)) == (methods, ("x", "y"), len(omitted))
    assert all(map(mentions, found.omitted, omitted))


def test_a_block_is_tested_from_two_methods_and_datasets_on() -> None:
    for shape in ((3, 1), (1, 3), (0, 0)):
        assert dataset_tests_of(block(*shape)) is None
    (without,) = blocks(grid(["mcca", "rono"], BOTH))
    assert (without.reference, outcome_of(without).against) == ("", {})
    tests = outcome_of(block(5, 7))
    assert set(tests.against) == set("bcde")
    assert tests.average_ranks.sum() == pytest.approx(15)
    for test in tests.against.values():
        assert test.adjusted >= test.wilcoxon
        states = [one for one in (test.better, test.equivalent, test.worse) if one is not None]
        assert len(states) == 3
        assert sum(states) == pytest.approx(1)
    assert tests.against["c"].nemenyi == tests.nemenyi[0, 2]


def test_equivalence_in_map_is_not_tested_for_ranks() -> None:
    found = block(3, 6)
    ranked = replace(found, about=found.about._replace(protocol="medr"), scores=1 / found.scores)
    for test in outcome_of(ranked).against.values():
        assert (test.better, test.equivalent, test.worse) == (None, None, None)
        assert 0 < test.wilcoxon <= 1


def test_the_words_name_what_few_datasets_cannot_show() -> None:
    def limits(methods: int, datasets: int, **more: Any) -> str:
        found = block(methods, datasets, **more)
        return " ".join(limits_of_datasets(found, dataset_tests_of(found)))

    five = limits(16, 5)
    assert "test over datasets" in limits(4, 1)
    assert "nothing to compare" in limits(1, 4)
    assert "0.0625" in five
    assert mentions(five, "critical difference ... 10.3 ... rank ... 15")
    assert mentions(limits(16, 8), "Holm ... 15 comparisons")
    assert "smallest two-sided" not in limits(3, 8)
    assert "approximations" in five
    assert "approximations" not in limits(3, 10)
    assert "one seed" in limits(3, 8, seeds=1)
    assert "look-alikes" in limits(3, 8, kind="look-alike")
    assert ranking_findings(outcome_of(block(2, 7))) == []
    assert "Friedman" in ranking_findings(outcome_of(block(5, 7)))[0]


def ranks(summary: SummaryTable) -> dict[str, float | None]:
    return {line.label: line.rank for line in summary.lines}


@pytest.fixture(scope="module")
def gappy() -> SummaryTable:
    """Methods on two datasets, one of them on one, one that failed, and a reference point."""
    failed = making.record(dataset="y", method="mars", status="timeout", reason="60 s")
    rare = done(0.3, dataset="rare", pairing="class-matched")
    whole = [*grid(["mcca", "drcl", "rono"], BOTH), *grid(["sm"], BOTH)]
    (found,) = summaries([*whole, done(0.9, dataset="x", method="mars"), failed, rare])
    return found


def test_ranks_are_averages_over_the_datasets_with_ties_shared() -> None:
    numbers = {"x": (0.3, 0.2, 0.1), "y": (0.1, 0.2, 0.2)}
    records = [
        done(value, method=method, dataset=name)
        for name, values in numbers.items()
        for method, value in zip("abc", values, strict=True)
    ]
    (found,) = summaries(records)
    assert ranks(found) == {"A": 2.0, "B": (2 + 1.5) / 2, "C": (3 + 1.5) / 2}
    assert found.ranked == found.datasets == ("x", "y")


def test_what_lacks_numbers_is_shown_and_not_ranked(gappy: SummaryTable) -> None:
    assert ranks(gappy) == {"SM": None, "DRCL": 2.0, "MCCA": 3.0, "RONO": 1.0, "MARS": None}
    lines = {line.label: line for line in gappy.lines}
    assert lines["MARS"].entries["x"].mean == pytest.approx(0.9)
    assert lines["MARS"].entries["y"].reason == "timeout: 60 s"
    assert mentions(lines["MARS"].unranked, "number on y")
    assert mentions(lines["SM"].unranked, "reference")
    assert (gappy.datasets, gappy.ranked) == (("rare", "x", "y"), ("x", "y"))
    assert {label for label, line in lines.items() if line.entries["rare"].mean is not None} == {"DRCL"}


def test_one_dataset_has_no_summary() -> None:
    assert summaries(grid(["drcl", "mcca"], ["x"])) == []
    assert summaries([*grid(["drcl"], ["x"]), *grid(["drcl"], ["x"], fingerprint="0" * 16)]) == []


def test_labels_keep_the_rosters_order_whatever_datasets_they_are_on() -> None:
    records = [done(0.1, dataset="a", method="rono"), *grid(["drcl", "mcca", "rono"], ["b"])]
    assert [line.label for line in summaries(records)[0].lines] == ["DRCL", "MCCA", "RONO"]


def test_the_exhibit_states_what_ranks_are_over_and_why_numbers_are_missing(gappy: SummaryTable) -> None:
    shown = markdown.table(summary_exhibit(gappy))
    assert mentions(shown, "3 methods ... x, y")
    for missing in ("MARS: ... y", "rare: ... 1 of 4 methods", "MARS on y: timeout: 60 s"):
        assert mentions(shown, missing)
    assert "rare ffffffff, x ffffffff, y ffffffff" in shown
    lines = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in shown.splitlines() if "|" in line}
    cells = {name: [cell.strip() for cell in line] for name, line in lines.items()}
    assert cells["RONO"] == ["*not run*", "<u>0.200</u>", "**0.210**", "**1.00**"]
    assert cells["DRCL"][0::3] == ["**0.300**<sup>†</sup>", "<u>2.00</u>"]
    assert cells["MARS"] == ["*not run*", "**0.900**", "*time limit*", "*not ranked*"]
    unranked = summaries([done(dataset="x", method="mcca"), done(dataset="y", method="drcl")])
    assert set(ranks(unranked[0]).values()) == {None}
    assert mentions(markdown.table(summary_exhibit(unranked[0])), "No method")


def test_every_format_has_every_method_and_dataset(gappy: SummaryTable) -> None:
    exhibit, count = summary_exhibit(gappy), len(gappy.lines)
    element = ElementTree.fromstring(html.table(exhibit))
    assert [row.findtext("th") for row in element.findall("tbody/tr")] == [line.label for line in gappy.lines]
    assert latex.table(exhibit).count(r"\\") == 1 + count
    rows = list(files.DictReader(io.StringIO("".join(csv.files([exhibit]).values()))))
    assert len(rows) == count * 3
    by_cell = {(row["method"], row["dataset"]): row for row in rows}
    assert by_cell["drcl", "rare"]["pairing"] == "class-matched"
    assert (by_cell["rono", "x"]["average_rank"], by_cell["rono", "x"]["ranked_over"]) == ("1.0", "x y")
    assert (by_cell["mars", "y"]["mean"], by_cell["mars", "y"]["reason"]) == ("", "timeout: 60 s")
    assert by_cell["mars", "x"]["unranked_because"].endswith(" y")
