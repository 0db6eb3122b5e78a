"""``results``: the records as rows."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bench.commands.options import results_option

_SELECTIONS = ("own", "best", "last", "oracle", "every")


@click.command("results")
@click.option("--format", "form", type=click.Choice(("table", "csv", "json")), default="table")
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
    """Print one row per cell, direction and protocol."""
    from bench.analysis import COLUMNS, rows_of
    from bench.commands.reading import matches, read_records

    records, problems = read_records(results)
    rows = [
        row
        for row in rows_of(records, None if selection == "own" else selection)
        if matches(row["method"], methods)
        and matches(row["dataset"], datasets)
        and (matches(row["protocol"], protocols) or row["status"] != "done")
    ]
    if form == "csv":
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif form == "json":
        click.echo(json.dumps(rows, indent=1))
    else:
        from tabulate import tabulate

        click.echo(tabulate(rows, headers="keys", floatfmt=".4f"))
    return int(bool(problems))
