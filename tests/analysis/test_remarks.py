"""What must stand beside a number: rows without a direction, refused states, results near chance."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis import AVERAGE, Row, Table, tables_of
from bench.analysis.chance import NEAR, advice, near_chance
from bench.analysis.results import Results
from bench.records import Record, Rows
from bench.report.topics.map_tables import table_exhibit
from bench.report.writers import csv, html, latex, markdown
from tests.analysis.cells_apart import SETTINGS, add
from tests.analysis.making import IT, Shelf, with_result
from tests.analysis.test_keys import LABELS

SIZES = {name: Rows(train=10, validation=2, test=50, dimension=5) for name in ("image", "text", "audio")}


def table(*records: Record, selection: str = "best") -> Table:
    (found,) = tables_of(Results(records, LABELS), ["map@all"], selection)
    return found


def row(*records: Record, selection: str = "best") -> Row:
    (found,) = table(*records, selection=selection).rows
    return found


def test_numbers_that_rest_on_rows_without_a_direction_say_which_and_how_many() -> None:
    shelf = Shelf()
    zeros = {"best": {"audio": 3}, "last": {"image": 9}}
    first = with_result(add(shelf, 0.5, modalities=("image", "text", "audio")), zero_rows=zeros, rows=SIZES)
    other = add(shelf, 0.6, modalities=("image", "text", "audio"), seed=1)
    entries = row(first, other).entries
    assert entries[IT].zeros == ()
    assert [one.words for one in entries["audio", "text"].zeros] == ["3 of 50 audio (seed 0)"]
    assert entries["image", "audio"].zeros == entries["audio", "text"].zeros == entries[AVERAGE].zeros
    last = row(first, other, selection="last").entries
    assert [one.words for one in last[IT].zeros] == ["9 of 50 image (seed 0)"]
    assert last["text", "audio"].zeros == ()


@pytest.mark.parametrize(
    ("write", "sign"), [(markdown.table, "‡"), (html.document, "‡"), (latex.table, r"$\ddagger$")]
)
def test_every_format_marks_them_and_explains_the_mark(write: Any, sign: str) -> None:
    shelf = Shelf()
    record = with_result(add(shelf, 0.5), zero_rows={"best": {"image": 5}}, rows=SIZES)
    plain, marked = (write(table_exhibit(table(one))) for one in (add(shelf, 0.4), record))
    assert sign not in plain
    assert marked.count(sign) == 4  # both directions, the average, and the note
    assert "5 of 50 image (seed 0)" in marked
    assert csv.table(table_exhibit(table(record))).count("5 of 50 image (seed 0)") == 3


def test_a_refused_state_is_the_reason_of_its_own_rule_only() -> None:
    shelf = Shelf()
    record = add(shelf, 0.5)
    assert record.result is not None
    kept = [metric for metric in record.result.metrics if metric.selection == "best"]
    record = with_result(record, metrics=kept, refused={"last": "all rows are equal\nmore"})
    assert row(record).entries[IT].mean == 0.5
    assert row(record).lacking == ()
    last = row(record, selection="last")
    assert {(entry.mean, entry.brief) for entry in last.entries.values()} == {(None, "refused")}
    reasons = [entry.reason for entry in last.entries.values()]
    assert all("all rows are equal" in reason and "more" not in reason for reason in reasons)
    both = row(record, add(shelf, 0.6, seed=1), selection="last")
    assert both.entries[IT].seeds == 1
    assert both.lacking == ("1 of 2 cells refused under the rule last: all rows are equal",)


@pytest.mark.parametrize(
    ("value", "near"), [(0.1, True), (0.17 + NEAR - 0.001, True), (0.17 + NEAR + 0.001, False)]
)
def test_a_result_is_near_chance_up_to_a_fixed_distance(value: float, near: bool) -> None:
    record = with_result(add(Shelf(), value), chance={"image>text": 0.16, "text>image": 0.18})
    found = near_chance([record])
    assert (found is not None) is near
    if found is not None:
        assert (found.value, found.chance) == pytest.approx((value, 0.17))
    assert near_chance([with_result(record, chance={})]) is None
    assert near_chance([]) is None


def test_tables_say_what_to_try_where_a_row_is_near_chance() -> None:
    shelf = Shelf()
    chance = {"image>text": 0.16, "text>image": 0.18}
    settings = {**SETTINGS, "scaling": "none"}
    low = with_result(add(shelf, 0.17, settings=settings), chance=chance)
    high = with_result(add(shelf, 0.9, method="mcca"), chance=chance)
    text = markdown.table(table_exhibit(table(low, high)))
    assert "within 0.03 of chance (0.170)" in text
    assert r"--set drcl.scaling=standard" in text
    assert text.count("of chance") == 1
    both = [add(Shelf(), value, seed=seed) for seed, value in enumerate((0.16, 0.5))]
    assert row(*(with_result(one, chance=chance) for one in both)).near is None  # the mean over seeds counts


def test_advice_names_only_settings_that_a_method_has() -> None:
    shelf = Shelf()
    both = advice(add(shelf, 0.1, settings={"scaling": "unit", "learning_rate": 0.001}).identity)
    assert "drcl.scaling=standard" in both
    assert "drcl.learning_rate=0.0001" in both
    assert "scaling=" not in advice(add(shelf, 0.1, settings={"scaling": "standard"}).identity)
    assert "--set" not in advice(add(shelf, 0.1, settings={}).identity)
