"""``report``: tables, statistics, figures and the page, from the records alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import load_plugins, plugin_option, reports_option, results_option
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.report import Part


@click.command("report", context_settings={"help_option_names": ["-h", "--help"]})
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
@click.option(
    "--all-pairs",
    "every_pair",
    is_flag=True,
    help="Test every pair of rows, not only the first method of the roster against each.",
)
@click.option(
    "--only",
    "parts",
    multiple=True,
    type=click.Choice(("tables", "statistics", "figures", "page")),
    help="Write only this part; may be given several times.  [default: all]",
)
@results_option
@reports_option
@plugin_option
def command(
    protocols: Sequence[str],
    selection: str,
    documents: Sequence[Path],
    every_pair: bool,
    parts: Sequence[Part],
    results: Path,
    reports: Path,
    plugin_files: Sequence[Path],
) -> int:
    """Write tables, statistics, figures and the page from the records; the same records give the same bytes.

    Exit status 0; 1 if a record is damaged; 2 for wrong usage or no records.
    """
    from bench.analysis.labels import registry_labels
    from bench.cli.reading import evaluated, metrics_of, read_records, with_queries
    from bench.experiment.stale import sentences, stale_records
    from bench.records import Store
    from bench.records.trials import TrialStore
    from bench.report import PARTS, Material, write_report

    load_plugins(plugin_files)
    store = Store(results)
    records, problems = read_records(results)
    ids = evaluated(protocols, records)
    if selection == "oracle" and not any(metric.selection == "oracle" for metric in metrics_of(records)):
        raise UsageError(
            "no record has a test-oracle trace; make some with: python -m bench run --trace-test"
        )
    stale = sentences(stale_records(records))
    found = with_queries(
        store, records, lambda series: series.protocol in ids and series.selection in (selection, "none")
    )
    problems += found.problems
    material = Material(
        found.records,
        labels=registry_labels(records),
        protocols=ids,
        selection=selection,
        problems=problems,
        stale=stale,
        trials=list(TrialStore(results).read()),
        trace=store.trace,
        per_query=found.values.__getitem__,
        view=store.snapshot,
        every_pair=every_pair,
    )
    files = write_report(material, reports, parts=parts or PARTS, documents=documents)
    for sentence in stale:
        click.echo(f"note: {sentence}")
    click.echo(f"{len(files)} files from {len(found.records)} records; read {files[0]}")
    return int(bool(problems))
