"""``report``: the tables, from the records alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bench.commands.options import plugin_option, reports_option, results_option


@click.command("report")
@click.option(
    "--protocols",
    multiple=True,
    default=("map@all", "map@50/hits"),
    show_default=True,
    help="Ids of the protocols to tabulate.",
)
@click.option(
    "--selection",
    type=click.Choice(("best", "last", "oracle")),
    default="best",
    show_default=True,
    help="Selection rule to print.",
)
@click.option(
    "--fill",
    "documents",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A document of yours whose marked places (<!-- table: DATASET PROTOCOL -->) get their tables.",
)
@results_option
@reports_option
@plugin_option
def command(
    protocols: Sequence[str],
    selection: str,
    documents: Sequence[Path],
    results: Path,
    reports: Path,
    plugin_files: Sequence[Path],
) -> int:
    """Write mAP tables in Markdown, LaTeX and CSV; the same records give the same bytes."""
    from bench.commands.options import load_plugins
    from bench.commands.reading import read_records
    from bench.evaluation import Protocol
    from bench.reporting import write_report

    load_plugins(plugin_files)
    records, problems = read_records(results)
    ids = [Protocol.parse(word).id for word in protocols]
    files = write_report(
        records, reports, protocols=ids, selection=selection, problems=problems, documents=documents
    )
    click.echo(f"{len(files)} files from {len(records)} records; read {files[0]}")
    return int(bool(problems))
