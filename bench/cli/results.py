"""``results``: the records as rows."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bench.cli.options import results_option

_SELECTIONS = ("own", "best", "last", "oracle", "every")


@click.command("results", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--format", "form", type=click.Choice(("table", "csv", "json")), default="table", show_default=True
)
@click.option("--methods", multiple=True, help="Only these; names or globs.")
@click.option("--datasets", multiple=True, help="Only these; names or globs.")
@click.option("--protocols", multiple=True, help="Only these; ids or globs, such as 'map@50*'.")
@click.option(
    "--selection",
    type=click.Choice(_SELECTIONS),
    default="own",
    show_default=True,
    help="Whose state: each record's own rule, or another one that was recorded.",
)
@results_option
def command(
    form: str,
    methods: Sequence[str],
    datasets: Sequence[str],
    protocols: Sequence[str],
    selection: str,
    results: Path,
) -> int:
    """Print one row per cell, direction and protocol.

    A cell without a result has one row without numbers. Exit status 0; 1 if a record is damaged; 2 for
    wrong usage or no records.
    """
    from bench.analysis.results import rows_of
    from bench.cli.reading import chosen, read_records

    records, problems = read_records(results)
    rows = rows_of(records, None if selection == "own" else selection)
    for column, patterns in (("method", methods), ("dataset", datasets), ("protocol", protocols)):
        names = chosen(column, {row[column] for row in rows if row[column]}, patterns)
        rows = [row for row in rows if row[column] in names or not row[column]]
    _print(rows, form)
    return int(bool(problems))


def _print(rows: list[dict[str, Any]], form: str) -> None:
    from bench.analysis.results import COLUMNS, FURTHER

    if form == "csv":
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif form == "json":
        click.echo(json.dumps(rows, indent=1))
    else:
        from tabulate import tabulate

        # What all rows share of the further columns is left out: lines are long enough.
        plain = [
            column for column in COLUMNS if column not in FURTHER or len({row[column] for row in rows}) > 1
        ]
        # A digest or a name may look like a number; only the last step decides how numbers look.
        values = [f"{row['value']:.4f}" if row["value"] != "" else "" for row in rows]
        shown = [
            {column: value if column == "value" else row[column] for column in plain}
            for row, value in zip(rows, values, strict=True)
        ]
        click.echo(tabulate(shown, headers="keys", disable_numparse=True))
