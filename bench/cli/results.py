"""``results``: the results frame, one row per number."""

from __future__ import annotations

import csv
import io
import json
from typing import Literal

from bench.analysis.results import COLUMNS, FURTHER, rows_of
from bench.cli.formatting import say, table, write_data
from bench.cli.options import ResultsOption, make_command
from bench.cli.select_records import matching_names, read_records


@make_command("results")
def command(
    *,
    format_: Literal["table", "csv", "json"] = "table",
    methods: tuple[str, ...] = (),
    datasets: tuple[str, ...] = (),
    protocols: tuple[str, ...] = (),
    selection: Literal["own", "best", "last", "oracle", "every"] = "own",
    folder: ResultsOption,
) -> int:
    """Print one row per cell, direction and protocol.

    A cell without a result has one row without numbers. Exit status 0; 1 if a record is damaged; 2 for
    wrong usage or no records.

    Args:
        format_: Form of the output.
        methods: Only these; names or globs.
        datasets: Only these; names or globs.
        protocols: Only these; ids or globs, such as 'map@50*'.
        selection: Selection rule: each record's own, or another that was recorded.
        folder: of the records.
    """
    records, problems = read_records(folder.results)
    rows = rows_of(records, None if selection == "own" else selection)
    for column, patterns in (("method", methods), ("dataset", datasets), ("protocol", protocols)):
        names = matching_names(column, {row[column] for row in rows if row[column]}, patterns)
        rows = [row for row in rows if row[column] in names or not row[column]]
    if format_ == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_data(text.getvalue())
    elif format_ == "json":
        write_data(json.dumps(rows, indent=1))
    else:
        # What all rows share of the further columns is left out: lines are long enough.
        columns = [
            column for column in COLUMNS if column not in FURTHER or len({row[column] for row in rows}) > 1
        ]
        shown = [{**row, "value": f"{row['value']:.4f}" if row["value"] != "" else ""} for row in rows]
        say(*table([[row[column] for column in columns] for row in shown], columns))
    return int(bool(problems))
