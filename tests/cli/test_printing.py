"""``results``, ``status``, ``report`` and ``list`` in their formats."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bench
from bench.cli.results import FURTHER, PRINTED
from bench.records import Store
from tests.grid import FAULTS, Grid, run_command
from tests.records import making
from tests.wording import mentions


def rows_of(grid: Grid, *words: object) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(
        run_command("results", "--format", "json", "--results", grid.results, *words).check(0).out
    )
    return rows


def test_csv_and_json_have_a_row_per_cell_direction_and_protocol_and_the_table_shows_them(grid: Grid) -> None:
    printed = run_command("results", "--format", "csv", "--results", grid.results).check(0).out
    assert printed.splitlines()[0] == (
        "method,label,variant,dataset,kind,fingerprint,condition,modalities,device,code,harness,profile,seed,"
        "query,gallery,protocol,selection,value,status,record,threads,settings,reason"
    )
    lines, rows = list(csv.DictReader(io.StringIO(printed))), rows_of(grid)
    assert [{key: str(value) for key, value in row.items()} for row in rows] == lines
    assert len(rows) == 22 * 8 + 19
    by_key = {
        (row["record"], row["selection"], row["protocol"], row["query"], row["gallery"]): row for row in rows
    }
    assert len(by_key) == len(rows)
    for record in grid.store.records():
        for metric in record.result.metrics if record.result else ():
            row = by_key.pop((record.digest, *metric.series), None)
            assert row is None or (row["value"], row["status"]) == (metric.value, "done")
    for row in by_key.values():
        assert (row["value"], row["status"] != "done") == ("", True)
        assert row["status"] == grid.store.status(row["record"])
    table = run_command("results", "--results", grid.results).out.splitlines()
    assert len(table) == len(rows) + 2
    varying = [key for key in rows[0] if len({str(row[key]) for row in rows}) > 1]
    assert table[0].split() == [key for key in PRINTED if key not in FURTHER or key in varying]


def test_every_format_can_be_written_to_a_file(grid: Grid, tmp_path: Path) -> None:
    results = ("results", "--results", grid.results, "--format")
    run_command(*results, "parquet").check(2, "--output")
    rows, table = (tmp_path / "new" / f"rows.{form}" for form in ("csv", "parquet"))
    assert run_command(*results, "csv", "--output", rows).check(0).out.count("\n") == 1
    assert rows.read_text(encoding="utf-8") == run_command(*results, "csv").out
    pytest.importorskip("fastparquet")
    assert run_command(*results, "parquet", "--output", table).check(0).out.count("\n") == 1
    frame, expected = pd.read_parquet(table), bench.results(grid.results)
    assert [*frame] == [*expected]
    assert frame["value"].equals(expected["value"].reset_index(drop=True))
    assert frame.drop(columns="value").astype(str).equals(expected.drop(columns="value").astype(str))


def test_rows_can_be_chosen_by_name_and_glob(grid: Grid) -> None:
    rows = rows_of(grid, "--methods", "s*,mcca", "--datasets", "small", "--protocols", "map@50*")
    assert {row["method"] for row in rows} == {"sm", "sdml", "mcca", "single", "sneaks"}
    assert {row["dataset"] for row in rows} == {"small"}
    assert {row["protocol"] for row in rows} == {"map@50/hits", "map@50/min", "map@50/relevant", ""}


def test_status_counts_and_gives_every_reason(grid: Grid) -> None:
    output = run_command("status", "--results", grid.results).check(0)
    counts = "41 records ... 22 done ... 1 exited ... 12 failed ... 4 refused ... 2 skipped"
    assert mentions(output.out.splitlines()[-1], counts)
    for record in grid.store.records():
        if record.failure is not None:
            assert f"{record.status}: {record.identity.title}: {record.failure.reason} " in output.out
    answer = json.loads(run_command("status", "--results", grid.results, "--format", "json").out)
    assert sum(cell["cells"] for cell in answer["cells"]) == 41
    assert len(answer["failures"]) == 19
    assert answer["damaged"] == []


def test_a_name_made_of_digits_is_not_shown_as_a_number(tmp_path: Path) -> None:
    Store(tmp_path).write(making.record(dataset="007"), making.per_query(), [], "")
    run_command("status", "--results", tmp_path).check(0, "007 ")
    run_command("results", "--results", tmp_path).check(0, " 007 ")


def test_a_report_is_written_and_says_where(grid: Grid, tmp_path: Path) -> None:
    where = ("--only", "tables", "--results", grid.results, "--reports", tmp_path / "reports")
    output = run_command("report", "--only", "statistics", *where, "--plugin", FAULTS).check(0)
    count, rest = output.out.split(" ", 1)
    # Two pages, three files of statistics; two datasets and all of them, two protocols, four formats.
    assert int(count) >= 2 + 3 + 3 * 2 * 4
    assert mentions(rest, f"41 records ... {tmp_path / 'reports' / 'tables.md'}")
    protocols = ("--protocols", "map@all,map@50/min", "--protocols", "map@all")
    run_command("report", *where, *protocols, "--selection", "last").check(0)
    names = {path.name for path in (tmp_path / "reports" / "tables").glob("small*.csv")}
    assert {"_".join(name.split("_")[3:5]) for name in names} == {"map@all_last", "map@50-min_last"}


def test_list_has_all_plug_ins_and_where_they_are_defined() -> None:
    everything = json.loads(run_command("list", "--format", "json", "--plugin", FAULTS).check(0).out)
    assert set(everything) == {"methods", "datasets", "conditions", "profiles", "protocols", "encoders"}
    methods = {row["name"]: row for row in everything["methods"]}
    plain = methods["plain"]
    assert (plain["where"], plain["variants"], plain["settings"]["widths"]) == (str(FAULTS), ["loud"], [3, 2])
    assert methods["drcl"]["card"]["title"] == "DRCL"
    ids = [row["id"] for row in everything["protocols"]]
    assert ids[:4] == ["map@all", "map@50/hits", "map@50/min", "map@50/relevant"]
    assert {"recall@10", "medr"} < {*ids}
    assert json.loads(run_command("list", "datasets", "--format", "json").out) == everything["datasets"]
    table = run_command("list", "methods").check(0, "Methods\n").out.splitlines()
    assert {"drcl", "mcca", "sm"} <= {line.split()[0] for line in table if line}
