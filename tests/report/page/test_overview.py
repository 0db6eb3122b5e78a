"""The head of the page and its statistics: counts and numbers agree with the records and the tests."""

from __future__ import annotations

import pytest

from bench.analysis import AVERAGE
from bench.report.page.overview import overview_of
from bench.report.topics import map_tables, statistics
from tests.analysis.cells_apart import add, changes
from tests.analysis.making import Shelf
from tests.report.page.making import Arrays, data_of, done, full


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([0], "1 (seed 0)"), ([3], "1 (seed 3)"), ([0, 1, 2], "3 (0-2)"), ([0, 1, 4], "3 (0-1, 4)")],
)
def test_seeds_are_counted_and_listed(seeds: list[int], words: str) -> None:
    arrays: Arrays = {}
    records = [done(0.5, arrays, seed=seed, method=name) for seed in seeds for name in ("drcl", "sdml")]
    overview = overview_of(data_of(records, arrays))
    assert dict(overview.facts)["Seeds"] == [words]
    (line,) = overview.exhibits[0].lines
    assert [cell.number for cell in line.cells if cell.text == words] == [len(seeds)]


def test_clean_data_comes_before_its_conditions_and_conditions_are_no_further_datasets() -> None:
    arrays: Arrays = {}
    clean = {"harness": "data 1, evaluation 1", "device": "cpu"}
    under = {"harness": f"{clean['harness']}, conditions 2", "device": "cpu"}
    records = [done(0.5, arrays, condition=f"label-noise@{level}", **under) for level in (0.4, 0.2)]
    records += [done(0.5, arrays, **clean), done(0.5, arrays, dataset="other", **clean)]
    overview = overview_of(data_of(records, arrays))
    assert ("2", "real datasets") in overview.counts
    assert ("2", "conditions") in overview.counts
    levels = [
        line.label.partition("@")[2] for line in overview.exhibits[0].lines if "other" not in line.label
    ]
    assert levels == ["", "0.2", "0.4"]


def test_numbers_of_the_statistics_are_those_of_the_tests_in_full() -> None:
    data = full()
    parts = {part.title: part.tables for part in statistics.parts(data)}
    families = [one for one in data.families if one.comparisons or one.omitted]
    checked = 0
    for exhibit, family in zip(parts["Paired by query"], families, strict=True):
        few = len(family.table.directions) <= 2
        shown = [one for one in family.comparisons if few or one.direction == AVERAGE]
        for line, one in zip(exhibit.lines, shown, strict=True):
            numbers = [cell.number for cell in line.cells]
            assert numbers == [None, one.difference, None, one.effect, one.p, one.adjusted, 3, 40]
            checked += 1
    assert checked > 10
    for exhibit, (block, tests) in zip(parts["Over datasets"], data.dataset_tests, strict=True):
        for line in exhibit.lines:
            assert tests is not None
            assert line.cells[0].number == tests.average_ranks[block.methods.index(line.label)]


def test_no_two_tables_of_the_page_share_an_id_or_records_of_different_cells() -> None:
    shelf = Shelf()
    for index, change in enumerate(changes()):
        if len(change) < 2:
            add(shelf, 0.1 + index / 100, **change)
    data = data_of(shelf.records, {}, per_query=shelf.per_query, protocols=("map@all",))
    exhibits = [one for part in map_tables.parts(data) for one in part.tables]
    names = [one.name for one in exhibits]
    assert len(names) == len(set(names))
    heads = [(one.title, one.subject, one.caption) for one in exhibits]
    assert len(heads) == len(set(heads))
    identities = {record.digest: record.identity for record in shelf.records}
    for exhibit in exhibits:
        for line in exhibit.lines:
            for cell in line.cells:
                found = [identities[digest] for digest in cell.records]
                assert len({(one.method, one.code, one.device, one.harness) for one in found}) <= 1
