"""Conditions: a drop is measured from clean cells of the same data, and nothing else is mixed in."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, Final

import msgspec
import pytest

from bench.analysis.condition_levels import drops_of, flexibility, level_series
from bench.analysis.results import Results
from bench.records.schema import Rows
from bench.report import ReportData
from bench.report.exhibit import TableExhibit
from bench.report.topics.conditions import figures, parts
from tests.analysis.making import IT, TI, Shelf, with_result
from tests.records import making
from tests.report.figuring import ROSTER, drawn, figures_of, report_data, words_of

HARNESS: Final = "data 1, evaluation 1"
UNDER: Final = f"{HARNESS}, conditions 2"


def _add(
    shelf: Shelf, value: float, method: str = "sdml", seed: int = 0, condition: str = "", **more: Any
) -> Any:
    fields = {"harness": UNDER if condition else HARNESS, "device": "cpu", "condition": condition, **more}
    spread = [value - 0.01, value, value + 0.01]
    return shelf.add({IT: spread, TI: spread}, method=method, seed=seed, **fields)


@pytest.fixture
def shelf() -> Shelf:
    found = Shelf()
    levels = {"drcl": (0.9, 0.8, 0.7), "sdml": (0.8, 0.6, 0.2), "sm": (0.4, 0.4, 0.4)}
    for seed in (0, 1):
        for method, (clean, low, high) in levels.items():
            _add(found, clean + 0.02 * seed, method, seed)
            _add(found, low, method, seed, "label-noise@0.2")
            _add(found, high, method, seed, "label-noise@0.8")
            _add(found, low - 0.05, method, seed, "label-noise/same@0.2")
    return found


def _data(shelf: Shelf) -> ReportData:
    labels = report_data(("drcl",), seeds=1).labels
    return ReportData(shelf.records, labels=labels, protocols=["map@all"], per_query=shelf.per_query)


def _tables(shelf: Shelf) -> dict[str, TableExhibit]:
    """Return the tables by their names without the data."""
    tables = [table for part in parts(_data(shelf)) for table in part.tables]
    return {table.name.partition("_emoji")[0]: table for table in tables}


def test_the_drop_is_paired_by_seed_with_the_clean_cells_of_the_same_data(shelf: Shelf) -> None:
    changes: list[dict[str, Any]] = [{"fingerprint": "0" * 16}, {"profile": "paper"}]
    for change in [*changes, {"device": "cuda"}, {"harness": "data 2"}]:
        _add(shelf, 0.1, "sdml", **change)
    _add(shelf, 0.1, "sdml", 7)  # a clean seed that no level has
    data = _data(shelf)
    noise, same = level_series(data.plain_tables)
    assert (noise.name, [*noise.levels], same.name) == ("label-noise", ["0.2", "0.8"], "label-noise/same")
    drops = {one.key.method: one for one in drops_of(noise, data.results)}
    mean, drop = drops["sdml"].mean, drops["sdml"].drop
    assert mean is not None
    assert drop is not None
    assert (mean.mean, drop.mean, drop.seeds) == pytest.approx((0.4, 0.41, 2))
    assert drops["sdml"].percent == pytest.approx(100 * 0.41 / 0.81)


def test_nothing_is_a_drop_where_the_queries_are_others(shelf: Shelf) -> None:
    _add(shelf, 0.7, condition="unseen@0.2")
    record = shelf.records[-1]
    assert record.result is not None
    (rows,) = set(record.result.rows.values())
    fewer = dict.fromkeys(record.result.rows, msgspec.structs.replace(rows, test=rows.test - 1))
    for changed, comparable in ((record, True), (with_result(record, rows=fewer), False)):
        shelf.records[-1] = changed
        data = _data(shelf)
        unseen = level_series(data.plain_tables)[-1]
        (drop,) = drops_of(unseen, data.results)
        assert drop.entries["clean"].mean is not None
        assert drop.comparable == comparable
        assert (drop.drop is not None, bool(drop.drops)) == (comparable, comparable)


def test_levels_are_ranked_tested_and_compared_with_validation_alike(shelf: Shelf) -> None:
    exhibits = _tables(shelf)
    lines = {line.label: line.cells for line in exhibits["levels_label-noise"].lines}
    headings = [column.heading for column in exhibits["levels_label-noise"].columns]
    assert headings[:4] == ["clean", "0.2", "0.8", "mean over levels"]
    assert [lines["DRCL"][at].text for at in (0, 3, 4, 7)] == ["0.910", "0.750", "1", "1"]
    assert [lines["SDML"][at].text for at in (4, 5, 7)] == ["2", "+0.410", "2"]
    assert lines["SM"][4].text == "—"  # reference points are not ranked
    (sdml,) = (line for line in exhibits["tests_label-noise"].lines if line.label == "SDML")
    assert [cell.text for cell in sdml.cells] == ["+0.200", "+0.500"]
    optimism = {line.label: line.cells[0].text for line in exhibits["clean-validation_label-noise"].lines}
    assert optimism == {"DRCL": "+0.050", "SDML": "+0.050", "SM": "+0.050"}
    csv = [row for table in exhibits.values() for one in table.values for row in one.rows]
    assert {row[4] for row in csv} == {"label-noise@0.2", "label-noise@0.8", "label-noise/same@0.2"}


def test_what_is_lost_stands_in_one_table_with_intervals_and_in_one_grid(shelf: Shelf) -> None:
    _add(shelf, 0.5, "sdml", 0, "unpaired@1")
    table = _tables(shelf)["drops"]
    assert [column.heading for column in table.columns][1:3] == ["label-noise@0.2", "label-noise@0.8"]
    lines = {line.label: line.cells for line in table.lines}
    assert (lines["DRCL"][0].text, lines["DRCL"][0].spread) == ("0.910", "0.014")
    assert lines["DRCL"][1].text == "+0.110"
    assert lines["DRCL"][1].spread == f"{12.706 * 0.01:.3f}"  # t(1) at .975, deviation / sqrt(2)
    assert [cells[-1].text for cells in lines.values()] == ["not run", "+0.300", "not run"]
    words = words_of(figures_of(figures(_data(shelf)))[0])
    assert {"DRCL", "12", "23", "38"} <= {*words}  # per cent: .11 of .91, .21 of .91, .3 of .8


def test_levels_that_were_reached_are_noted_where_they_are_not_the_nominal_ones(shelf: Shelf) -> None:
    for condition, reached in (("few-labels@0.1", 0.16), ("few-labels@0.5", 0.4997), ("late@last", "last")):
        _add(shelf, 0.5, condition=condition)
        shelf.records[-1] = with_result(shelf.records[-1], effective=reached)
    tables = _tables(shelf)
    note = "Levels that the training rows reached: few-labels@0.1 0.16."
    assert tables["drops"].notes == (note,) == tables["levels_few-labels"].notes
    assert tables["levels_late"].notes == () == tables["levels_label-noise"].notes


def test_choices_among_modalities_stand_beside_each_other_under_every_condition() -> None:
    shelf = Shelf()
    notes = {"quality": {"image": 0.5, "text": 0.7}, "prior": "text"}
    for seed, (condition, value) in product((0, 1), (("", 0.9), ("label-noise@0.2", 0.8))):
        _add(shelf, value, "drcl", seed, condition, settings={"prior": "selected"})
        shelf.records[-1] = with_result(shelf.records[-1], notes=notes)
        _add(shelf, 0.7, "drcl", seed, condition, settings={"prior": "image"}, variant="prior_image")
    table = _tables(shelf)["choices-by-condition_drcl"]
    assert {line.label: [cell.text for cell in line.cells] for line in table.lines} == {
        "clean": ["text 2", "0.900", "0.500", "0.700", "-0.200"],
        "label-noise@0.2": ["text 2", "0.800", "0.500", "0.700", "-0.100"],
    }


def test_the_flexibility_table_says_how_a_method_took_a_condition(shelf: Shelf) -> None:
    _add(shelf, 0.5, "sdml", 0, "unpaired@1")
    rows = {"image": Rows(train=2, given=3, validation=1, test=3, dimension=2)}
    rows["text"] = rows["image"]
    shelf.records[-1] = with_result(shelf.records[-1], pairing="natural", rows=rows)
    _add(shelf, 0.5, "sdml", 0, "unpaired@0.5")
    shelf.records[-1] = with_result(shelf.records[-1], pairing="class-matched")
    _add(shelf, 0.5, "drcl", 0, "unpaired@1")
    shelf.records[-1] = with_result(shelf.records[-1], pairing="class-matched")
    late: dict[str, Any] = {"condition": "late@text", "harness": UNDER, "device": "cpu"}
    shelf.records.append(making.record(status="skipped", reason="joint", method="drcl", **late))
    ((_, found),) = flexibility(Results(shelf.records, _data(shelf).labels)).items()
    assert found["sdml"]["unpaired"].how == {"native, in part": ("1",), "pseudo-pairs": ("0.5",)}
    assert [*found["drcl"]["unpaired"].how] == ["pseudo-pairs"]
    lines = {line.label: line.cells for line in _tables(shelf)["flexibility"].lines}
    assert [cell.missing for cell in lines["SDML"] if "pseudo-pairs at 0.5" in cell.text] == [False]
    assert (found["drcl"]["late"].how, found["drcl"]["late"].reasons) == ({"skipped": ("text",)}, ("joint",))
    assert "late: joint (DRCL)" in _tables(shelf)["flexibility"].notes


def test_levels_are_in_the_order_of_what_they_change(shelf: Shelf) -> None:
    orders = {"few-labels": ["0.5", "0.1", "0.05"], "long-tail": ["10", "50", "100"]}
    for name, order in orders.items():
        for level in sorted(order):
            _add(shelf, 0.5, "sdml", 0, f"{name}@{level}")
    exhibits = _tables(shelf)
    for name, order in orders.items():
        assert [column.heading for column in exhibits[f"levels_{name}"].columns[1:4]] == order


def test_the_figure_names_the_method_of_the_best_mean_also_where_lower_is_better() -> None:
    shelf = Shelf()
    for method, clean in (("drcl", 3.0), ("sdml", 2.0)):
        for condition in ("", "label-noise@0.2", "label-noise@0.8"):
            _add(shelf, clean, method, 0, condition, protocol="medr")
    data = replace(_data(shelf), protocols=["medr"])
    (picture,) = [one for one in figures_of(figures(data)) if "Curves" in one.alt]
    assert "lowest mean over levels: SDML (2.000)" in picture.alt
    assert "medr" in words_of(picture)
    assert not any("mAP" in text for text in (picture.title, picture.caption, *words_of(picture)))


@pytest.mark.parametrize(
    ("spread", "seeds", "output"), [(0.0, 1, ""), (0.001, 2, "t interval"), (0.1, 2, "cut off")]
)
def test_the_caption_says_what_the_bands_are_and_whether_the_axis_cuts_them(
    spread: float, seeds: int, output: str
) -> None:
    shelf = Shelf()
    for seed, (condition, value) in product(
        range(seeds), {"": 0.9, "label-noise@0.2": 0.6, "label-noise@0.8": 0.3}.items()
    ):
        _add(shelf, value + spread * seed, "drcl", seed, condition)
    (caption,) = [one.caption for one in figures_of(figures(_data(shelf))) if "Curves" in one.alt]
    assert f" and {seeds} seed{'s' * (seeds > 1)}, by nominal level" in caption
    assert ("t interval" in caption, "cut off" in caption) == (bool(output), output == "cut off")


def test_a_figure_of_many_methods_has_a_panel_for_each_and_clean_cells_alone_have_no_figure() -> None:
    levels = [report_data(ROSTER, condition=name) for name in ("", "label-noise@0.2", "label-noise@0.4")]
    assert not any([*parts(levels[0]), *figures(levels[0])])
    data = replace(levels[0], records=[record for one in levels for record in one.records])
    grid, figure = figures_of(figures(data))
    with drawn(figure) as picture:
        assert len(picture.axes) == len(ROSTER)
        assert all(len(axis.lines) == len(ROSTER) for axis in picture.axes)
    assert {"label-noise", "0.2", "0.4"} <= {*words_of(grid)}


def test_a_condition_under_which_a_method_has_variants_only_has_neither_levels_nor_figure() -> None:
    shelf = Shelf()
    for condition in ("", "label-noise@0.2", "label-noise@0.8"):
        _add(shelf, 0.8, "drcl", condition=condition, variant="without_spl")
    data = _data(shelf)
    assert not any(part.exhibits for part in figures(data))
    assert all(table.lines for part in parts(data) for table in part.tables)
