"""``results``, ``status``, ``report``, ``list``: what is recorded and what there is, in forms to rely on."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.cli.results import FURTHER, PRINTED
from tests.grid import FAULTS, Grid, say
from tests.records import making
from tests.records.making import per_query


def test_csv_has_a_row_per_cell_direction_and_protocol(grid: Grid) -> None:
    said = say("results", "--format", "csv", "--results", grid.results)
    assert said.status == 0
    lines = said.out.splitlines()
    assert lines[0] == (
        "method,label,variant,dataset,kind,fingerprint,condition,modalities,device,code,harness,profile,seed,"
        "query,gallery,protocol,selection,value,status,record,threads,settings,reason"
    )
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert len(rows) == 22 * 8 + 19
    keys = {(row["record"], row["query"], row["gallery"], row["protocol"]) for row in rows}
    assert len(keys) == len(rows)
    stored = {record.digest: record for record in grid.store.records()}
    for row in rows:
        record = stored[row["record"]]
        assert row["status"] == record.status
        values = [
            metric.value
            for metric in (record.result.metrics if record.result else [])
            if (metric.query, metric.gallery, metric.protocol, metric.selection)
            == (row["query"], row["gallery"], row["protocol"], row["selection"])
        ]
        assert ([float(row["value"])] if row["value"] else []) == values


def test_json_and_csv_hold_the_same_rows_and_the_table_shows_them(grid: Grid) -> None:
    rows = json.loads(say("results", "--format", "json", "--results", grid.results).out)
    lines = list(
        csv.DictReader(io.StringIO(say("results", "--format", "csv", "--results", grid.results).out))
    )
    assert [{key: str(value) for key, value in row.items()} for row in rows] == lines
    table = say("results", "--results", grid.results).out.splitlines()
    assert len(table) == len(rows) + 2
    varying = [key for key in rows[0] if len({str(row[key]) for row in rows}) > 1]
    assert table[0].split() == [key for key in PRINTED if key not in FURTHER or key in varying]


def test_every_format_can_be_written_to_a_file(grid: Grid, tmp_path: Path) -> None:
    def write(form: str, name: str) -> Path:
        said = say(
            *("results", "--results", grid.results, "--format", form, "--output", tmp_path / "new" / name)
        )
        assert (said.status, said.out.splitlines()[:-1]) == (0, [])
        return tmp_path / "new" / name

    say("results", "--format", "parquet", "--results", grid.results).check(2, "--output")
    printed = say("results", "--format", "csv", "--results", grid.results).out
    assert write("csv", "rows.csv").read_text(encoding="utf-8") == printed
    pytest.importorskip("fastparquet")
    frame = pd.read_parquet(write("parquet", "rows.parquet"))
    expected = bench.results(grid.results)
    assert [*frame] == [*expected]
    assert frame["value"].equals(expected["value"].reset_index(drop=True))
    assert frame.drop(columns="value").astype(str).equals(expected.drop(columns="value").astype(str))


def test_rows_can_be_chosen_by_name_and_glob(grid: Grid) -> None:
    said = say(
        *("results", "--format", "json", "--results", grid.results, "--methods", "s*,mcca"),
        *("--datasets", "small", "--protocols", "map@50*"),
    )
    rows = json.loads(said.out)
    assert {row["method"] for row in rows} == {"sm", "sdml", "mcca", "single", "sneaks"}
    assert {row["dataset"] for row in rows} == {"small"}
    assert {row["protocol"] for row in rows} == {"map@50/hits", "map@50/min", "map@50/relevant", ""}


def test_status_counts_and_gives_every_reason(grid: Grid) -> None:
    said = say("status", "--results", grid.results)
    assert said.status == 0
    assert said.out.splitlines()[-1] == "41 records: 22 done, 1 exited, 12 failed, 4 refused, 2 skipped"
    for record in grid.store.records():
        if record.failure is not None:
            assert f"{record.status}: {record.identity.title}: {record.failure.reason} " in said.out
    answer = json.loads(say("status", "--results", grid.results, "--format", "json").out)
    assert sum(cell["cells"] for cell in answer["cells"]) == 41
    assert len(answer["failures"]) == 19
    assert answer["damaged"] == []


def test_a_name_made_of_digits_is_not_shown_as_a_number(tmp_path: Path) -> None:
    from bench.records import Store

    Store(tmp_path).write(making.record(dataset="007"), per_query(), [], "")
    assert "007 " in say("status", "--results", tmp_path).out
    assert " 007 " in say("results", "--results", tmp_path).out


def test_a_report_is_written_and_says_where(grid: Grid, tmp_path: Path) -> None:
    parts = (*TABLES, "--only", "statistics")
    said = say(*parts, "--results", grid.results, "--reports", tmp_path / "reports", "--plugin", FAULTS)
    assert said.status == 0
    count, rest = said.out.split(" ", 1)
    # Two pages, three files of statistics; two datasets and all of them, two protocols, four formats.
    assert int(count) >= 2 + 3 + 3 * 2 * 4
    assert rest == f"files from 41 records; read {tmp_path / 'reports' / 'tables.md'}\n"
    other = say(
        *(*TABLES, "--results", grid.results, "--reports", tmp_path / "reports"),
        *("--protocols", "map@all,map@50/min", "--protocols", "map@all", "--selection", "last"),
    )
    assert other.status == 0
    names = {path.name for path in (tmp_path / "reports" / "tables").glob("small*.csv")}
    assert {"_".join(name.split("_")[3:5]) for name in names} == {"map@all_last", "map@50-min_last"}


TABLES = ["report", "--only", "tables"]


def test_list_tells_all_there_is_and_where_it_comes_from() -> None:
    said = say("list", "--format", "json", "--plugin", FAULTS)
    assert said.status == 0
    everything = json.loads(said.out)
    assert set(everything) == {"methods", "datasets", "conditions", "profiles", "protocols", "encoders"}
    methods = {row["name"]: row for row in everything["methods"]}
    assert methods["plain"]["where"] == str(FAULTS)
    assert methods["plain"]["variants"] == ["loud"]
    assert methods["plain"]["settings"]["widths"] == [3, 2]
    assert methods["drcl"]["card"]["title"] == "DRCL"
    ids = [row["id"] for row in everything["protocols"]]
    assert ids[:4] == ["map@all", "map@50/hits", "map@50/min", "map@50/relevant"]
    assert {"recall@10", "medr"} < {*ids}
    only = json.loads(say("list", "datasets", "--format", "json").out)
    assert only == everything["datasets"]


def test_list_as_a_table_has_a_line_per_method() -> None:
    said = say("list", "methods").check(0, "Methods\n")
    assert {"drcl", "mcca", "sm"} <= {line.split()[0] for line in said.out.splitlines() if line}
