"""Rows: one per cell, direction and protocol; nothing recorded is left out."""

from __future__ import annotations

import random

import msgspec
import pytest

from bench.analysis import COLUMNS, rows_of
from bench.records import Metric, Record
from tests.grid import Grid
from tests.records import making


def with_rules(record: Record, *rules: str) -> Record:
    assert record.result is not None
    metrics = [
        Metric(query=q, gallery=g, protocol=p, selection=rule, value=0.25, queries=3, items=4)
        for rule in rules
        for p in ("map@all", "map@50/hits")
        for q, g in (("image", "text"), ("text", "image"))
    ]
    return msgspec.structs.replace(record, result=msgspec.structs.replace(record.result, metrics=metrics))


def test_the_columns_are_those_that_others_rely_on() -> None:
    assert ",".join(COLUMNS) == (
        "method,variant,dataset,data_kind,modalities,seed,profile,query,gallery,protocol,selection,value,"
        "status,record,fingerprint,device,harness,code,threads,settings"
    )


def test_a_row_per_direction_and_protocol_and_one_for_a_cell_without_result(grid: Grid) -> None:
    records = list(grid.store.records())
    rows = rows_of(records)
    for record in records:
        own = [row for row in rows if row["record"] == record.digest]
        keys = {(row["query"], row["gallery"], row["protocol"]) for row in own}
        assert len(own) == len(keys) == (8 if record.status == "done" else 1)
        assert {row["status"] for row in own} == {record.status}
    assert all(tuple(row) == COLUMNS for row in rows)
    assert all((row["value"] == "") == (row["status"] != "done") for row in rows)


def test_the_order_of_records_does_not_matter(grid: Grid) -> None:
    records = list(grid.store.records())
    shuffled = random.Random(0).sample(records, len(records))
    assert rows_of(shuffled) == rows_of(records)


@pytest.mark.parametrize(
    ("selection", "rules"),
    [
        (None, {"best"}),
        ("best", {"best"}),
        ("last", {"last"}),
        ("oracle", {"oracle"}),
        ("every", {"best", "last", "oracle"}),
    ],
)
def test_a_selection_shows_its_own_numbers_and_those_of_closed_forms(
    selection: str | None, rules: set[str]
) -> None:
    deep = with_rules(making.record(), "best", "last", "oracle")
    closed = with_rules(making.record(seed=1), "none")
    assert closed.result is not None
    closed = msgspec.structs.replace(closed, result=msgspec.structs.replace(closed.result, selection="none"))
    rows = rows_of([deep, closed], selection)
    assert {row["selection"] for row in rows if row["seed"] == 0} == rules
    assert [row["selection"] for row in rows if row["seed"] == 1] == ["none"] * 4
