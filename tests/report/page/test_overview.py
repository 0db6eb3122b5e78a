"""The head of the page and its statistics: counts that say what they count, numbers from their sources."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis import AVERAGE
from bench.report.page import page_html
from bench.report.page.findings import _cell, statistics
from bench.report.page.overview import overview_of
from bench.report.page.results import results
from bench.report.tables import Cell
from tests.analysis.cells_apart import add, changes
from tests.analysis.making import Shelf
from tests.report.page.making import Arrays, done, full, material_of


def facts(seeds: list[int]) -> tuple[dict[str, tuple[str, ...]], list[Cell]]:
    arrays: Arrays = {}
    records = [done(0.5, arrays, seed=seed, method=name) for seed in seeds for name in ("drcl", "sdml")]
    found = overview_of(material_of(records, arrays))
    (line,) = found.exhibits[0].sheet.lines
    return dict(found.facts), list(line.cells)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([0], "1 (seed 0)"), ([3], "1 (seed 3)"), ([0, 1, 2], "3 (0-2)"), ([0, 1, 4], "3 (0-1, 4)")],
)
def test_seeds_say_how_many_and_which(seeds: list[int], words: str) -> None:
    known, cells = facts(seeds)
    assert known["Seeds"] == (words,)
    assert [cell.number for cell in cells if cell.text == words] == [len(seeds)]


def test_numbers_of_the_statistics_are_those_of_the_tests_in_full() -> None:
    material = full()
    parts = {part.title: part.exhibits for part in statistics(material).parts}
    families = [one for one in material.families if one.comparisons or one.omitted]
    checked = 0
    for exhibit, family in zip(parts["Paired by query"], families, strict=True):
        for line, one in zip(exhibit.sheet.lines, _shown(family), strict=True):
            numbers = [cell.number for cell in line.cells]
            assert numbers == [None, one.difference, None, one.effect, one.p, one.adjusted, 3, 40]
            checked += 1
    assert checked > 10
    for exhibit, (block, standing) in zip(parts["Over datasets"], material.standings, strict=True):
        for line in exhibit.sheet.lines:
            assert standing is not None
            assert line.cells[0].number == standing.average_ranks[block.methods.index(line.label)]


def _shown(family: Any) -> list[Any]:
    few = len(family.table.directions) <= 2
    return [one for one in family.comparisons if few or one.direction == AVERAGE]


@pytest.mark.parametrize("text", ["nan", "inf", "1_0"])
def test_words_are_no_numbers_however_they_are_spelled(text: str) -> None:
    assert _cell(text, None, ("r",)) == Cell(text)
    assert _cell(text, math.nan, ("r",)).number is None
    assert _cell("0.3", 1 / 3, ("r",)) == Cell("0.3", number=1 / 3, records=("r",))


def test_no_two_tables_of_the_page_share_an_id_or_records_of_different_cells() -> None:
    shelf = Shelf()
    for place, change in enumerate(changes()):
        if len(change) < 2:
            add(shelf, 0.1 + place / 100, **change)
    material = material_of(shelf.records, {}, per_query=shelf.per_query, protocols=("map@all",))
    exhibits = [one for part in results(material).parts for one in part.exhibits]
    names = [one.sheet.name for one in exhibits]
    assert len(names) == len(set(names))
    heads = [(one.title, one.about, one.sheet.caption) for one in exhibits]
    assert len(heads) == len(set(heads))
    who = {record.digest: record.identity for record in shelf.records}
    for exhibit in exhibits:
        for line in exhibit.sheet.lines:
            for cell in line.cells:
                own = [who[digest] for digest in cell.records]
                assert len({(one.method, one.code, one.device, one.harness) for one in own}) <= 1
    page = page_html(replace(material, records=shelf.records[:4]))
    for name in ("harness", "code", "device"):
        assert f'"{name}":' in page
