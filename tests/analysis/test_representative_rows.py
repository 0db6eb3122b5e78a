"""Which rows represent their methods: by what was usual when their records were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bench import registry
from bench.analysis import AVERAGE, Labels, Row, registry_labels, tables_of
from bench.analysis.comparisons import against_reference
from bench.analysis.per_query import per_query_tables
from bench.analysis.results import Results
from bench.analysis.sensitivity import sensitivities_of
from bench.records import Failure, Record
from bench.records.schema import MethodSnapshot
from tests.analysis.cells_apart import SETTINGS, add
from tests.analysis.making import Shelf
from tests.analysis.test_keys import LABELS

EDITED = replace(LABELS, usual=lambda _: {**SETTINGS, "epochs": 99})  # after an edit of a settings file
CHANGED = {**SETTINGS, "epochs": 5}


def made(
    shelf: Shelf, value: float, day: int = 1, usual: dict[str, Any] | None = SETTINGS, **fields: Any
) -> Record:
    """Add a record that was made on a day of January, with what was usual then; None for layout 1."""
    record = add(shelf, value, **fields)
    run = msgspec.structs.replace(record.environment, started=f"2026-01-{day:02}T00:00:00.000+00:00")
    snapshot = None if usual is None else MethodSnapshot(card={}, usual=usual, origins={})
    shelf.records[-1] = msgspec.structs.replace(record, environment=run, method=snapshot)
    return shelf.records[-1]


def rows(records: Sequence[Record], labels: Labels = LABELS) -> dict[str, Row]:
    (table,) = tables_of(Results(records, labels), ["map@all"])
    return {row.label: row for row in table.rows}


def test_an_edited_settings_file_changes_nothing_about_the_tables_of_earlier_records() -> None:
    shelf = Shelf()
    for seed in range(2):
        made(shelf, 0.5 + seed / 100, seed=seed)
        made(shelf, 0.4, seed=seed, method="mcca")
        made(shelf, 0.3, seed=seed, settings=CHANGED)
    tables, comparisons, points = [], [], []
    for results in (Results(shelf.records, labels) for labels in (LABELS, EDITED)):
        tables.append(tables_of(results, ["map@all"]))
        (per_query,) = per_query_tables(results, ["map@all"], "best", shelf.per_query)
        comparisons.append(against_reference(per_query, "drcl", 20).comparisons)
        (sensitivity,) = sensitivities_of(results, ["map@all"])
        points.append([point.usual for point in sensitivity.points])
    assert tables[0] == tables[1]
    assert [row.label for row in tables[0][0].competing] == ["DRCL", "MCCA"]
    assert comparisons[0] == comparisons[1]
    assert (len(comparisons[0]), *points) == (3, [False, True], [False, True])


def test_records_of_layout_1_are_compared_with_what_is_usual_today() -> None:
    shelf = Shelf()
    made(shelf, 0.5, usual=None)
    assert [row.usual for row in rows(shelf.records).values()] == [True]
    assert list(rows(shelf.records, EDITED)) == ["DRCL [epochs=20]"]


def test_of_several_usual_rows_the_one_made_last_competes_and_the_others_name_what_differs() -> None:
    shelf = Shelf()
    made(shelf, 0.7, day=1)
    made(shelf, 0.5, day=2, usual=CHANGED, settings=CHANGED)
    made(shelf, 0.4, method="mcca")
    (table,) = tables_of(Results(shelf.records, LABELS), ["map@all"])
    usual = {row.label: row.usual for row in table.rows}
    assert usual == {"DRCL": True, "DRCL [epochs=20]": False, "MCCA": True}
    assert [row.label for row in table.competing] == ["DRCL", "MCCA"]
    assert table.rows[0].entries[AVERAGE].mean == pytest.approx(0.5)


def test_old_settings_run_again_on_purpose_do_not_represent_the_method() -> None:
    shelf = Shelf()
    made(shelf, 0.7, day=1)
    made(shelf, 0.5, day=2, usual=CHANGED, settings=CHANGED)
    made(shelf, 0.9, day=3, usual=CHANGED, seed=1)  # typed: not usual any more on that day
    found = rows(shelf.records)
    assert found["DRCL"].entries[AVERAGE].mean == pytest.approx(0.5)
    assert found["DRCL [epochs=20]"].entries[AVERAGE].seeds == 2


def test_the_row_of_the_present_code_comes_before_a_later_one_of_other_code() -> None:
    shelf = Shelf()
    present = made(shelf, 0.5, day=1)
    made(shelf, 0.7, day=2, code="training 1, drcl 1+ab12cd34")  # an edit that was taken back
    labels = replace(LABELS, code=lambda _: present.identity.code)
    (table,) = tables_of(Results(shelf.records, labels), ["map@all"])
    (usual,) = (row for row in table.rows if row.usual)
    assert usual.label == "DRCL"
    assert usual.entries[AVERAGE].mean == pytest.approx(0.5)


def test_a_row_with_a_result_comes_before_one_without() -> None:
    shelf = Shelf()
    made(shelf, 0.5, day=1)
    failed = made(shelf, 0.1, day=2, code="training 1, drcl 2")
    why = Failure(reason="why", kind="exit")
    failure = msgspec.structs.replace(failed, status="failed", result=None, failure=why)
    found = rows([shelf.records[0], failure])
    assert found["DRCL"].entries[AVERAGE].mean == pytest.approx(0.5)


def test_rows_with_other_settings_are_in_the_order_of_their_numbers() -> None:
    shelf = Shelf()
    for epochs in (10, 100, 2, 0.5, 5):
        made(shelf, 0.4, settings={**SETTINGS, "epochs": epochs})
    assert list(rows(shelf.records)) == [f"DRCL [epochs={value}]" for value in (0.5, 2, 5, 10, 100)]


def test_what_a_variant_sets_is_no_other_choice_of_settings() -> None:
    shelf = Shelf()
    made(shelf, 0.5)
    record = made(shelf, 0.4, variant="without_fa", settings={**SETTINGS, "epochs": 1})
    origins = {"epochs": "variant", "learning_rate": "quick"}
    snapshot = MethodSnapshot(card={}, usual=SETTINGS, origins=origins)
    shelf.records[-1] = msgspec.structs.replace(record, method=snapshot)
    usual = {label: row.usual for label, row in rows(shelf.records).items()}
    assert usual == {"DRCL": True, "DRCL without_fa": False}


def test_a_method_that_is_gone_has_the_card_in_its_last_record() -> None:
    shelf = Shelf()
    record = add(shelf, 0.5, method="gone")
    card = {"name": "gone", "authors": "A", "year": 1999, "venue": "V", "family": "f", "unheard_of": 1}
    card |= {"role": "reference", "position": 3}

    def carrying(card: dict[str, Any], year: str) -> Record:
        run = msgspec.structs.replace(record.environment, started=year)
        snapshot = MethodSnapshot(card=card, usual=SETTINGS, origins={})
        return msgspec.structs.replace(record, method=snapshot, environment=run)

    first, later = carrying({**card, "title": "Old"}, "2026"), carrying({**card, "title": "Last"}, "2027")
    labels = registry_labels([first])
    found = labels.title("gone"), labels.role("gone"), labels.order("gone")
    assert found == ("Old", "reference", (3, "gone"))
    assert registry_labels([later, first]).title("gone") == "Last"
    assert registry_labels([first]).title("drcl") == registry.method("drcl").card.title
    assert registry_labels([carrying({"x": 1}, "2026")]).title("gone") == "gone"
