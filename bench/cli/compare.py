"""``compare``: two methods on one dataset, paired by query."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import load_plugins, plugin_option, results_option
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.analysis.comparisons import PairwiseComparison
    from bench.analysis.per_query import PerQueryTable
    from bench.records.schema import Record


@click.command("compare", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--dataset",
    required=True,
    metavar="D",
    help="Name of the dataset in the records; of several of one name NAME@FINGERPRINT, or a bundle's path.",
)
@click.option("--protocol", default="map@all", show_default=True, help="Id of the protocol.")
@click.option(
    "--selection",
    type=click.Choice(("best", "last", "oracle")),
    default="best",
    show_default=True,
    help="Selection rule whose state is compared.",
)
@click.option(
    "--other-results",
    default=None,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the records of B, such as those from before a change; A is from --results. There the "
    "versions of the code may differ.",
)
@click.option(
    "--earlier-code",
    is_flag=True,
    help="Take the newest stale records, which other code made, for B: before and after a change of code.",
)
@results_option
@plugin_option
def command(
    first: str,
    second: str,
    dataset: str,
    protocol: str,
    selection: str,
    other_results: Path | None,
    earlier_code: bool,
    results: Path,
    plugin_files: Sequence[Path],
) -> int:
    """Test whether A and B differ on a dataset, in each direction and on average.

    A and B are methods such as drcl, ablations such as drcl/without_fa, or whole labels of the tables.
    Exit status 0; 1 if a record is damaged; 2 for wrong usage or no records.
    """
    from bench.analysis.comparisons import pairwise_comparisons

    load_plugins(plugin_files)
    apart = earlier_code or other_results is not None
    ours, problems = _fields(results, dataset, protocol, selection, [first] if apart else [first, second])
    theirs, names = ours, ("", "")
    if apart:
        folder = other_results or results
        theirs, more = _fields(folder, dataset, protocol, selection, [second], earlier=earlier_code)
        problems += more if other_results else 0
        names = f" in {results}", f" in {folder}{', earlier code' if earlier_code else ''}"
    sides = (first, names[0], ours), (second, names[1], theirs)
    for duel in pairwise_comparisons(*sides, across_code=apart):
        click.echo(_shown(duel))
    return int(problems > 0)


def _fields(
    results: Path,
    dataset: str,
    protocol: str,
    selection: str,
    names: Sequence[str],
    *,
    earlier: bool = False,
) -> tuple[list[PerQueryTable], int]:
    """Return what a folder has on a dataset, and how many of its records are damaged.

    Of a cell that several versions of the code have made, the newest record is taken; with ``earlier`` the
    newest that other code than that at hand has made.

    Raises:
        UsageError: if it has no such dataset or protocol, or one of the methods ``names`` failed there.
    """
    from bench.analysis.labels import registry_labels
    from bench.analysis.per_query import per_query_tables
    from bench.cli.finding import data_named
    from bench.cli.reading import evaluated, read_records, with_queries
    from bench.experiment.stale import newest
    from bench.records import Store
    from bench.registry.names import unknown

    records, problems = read_records(results)
    records = newest(records, earlier=earlier)
    if not records:
        raise UsageError(f"no record in {results} is stale: all were made by the code at hand")
    data = data_named(dataset, records)
    own = [record for record in records if data.fits(record.identity)]
    if not own:
        known = {record.identity.dataset for record in records}
        versions = {
            f"{record.identity.dataset}@{record.identity.fingerprint[:8]}"
            for record in records
            if record.identity.dataset == data.name
        }
        raise unknown(f"dataset in the records of {results}", dataset, versions or known)
    for name in names:
        _refuse_failed([record for record in own if record.identity.method == name], name, results)
    ids, labels = evaluated([protocol], own), registry_labels(records)
    found = with_queries(Store(results), own, lambda series: series.protocol in ids)
    fields = per_query_tables(found.records, labels, ids, selection, found.values.__getitem__)
    return list(fields), len(problems) + len(found.problems)


def _refuse_failed(records: Sequence[Record], name: str, results: Path) -> None:
    """Say why a method has no result.

    Raises:
        UsageError: if it has records, but none of them is of a finished cell.
    """
    failures = [record.failure for record in records if record.failure is not None]
    if failures and len(failures) == len(records):
        raise UsageError(
            f"{name} has no result on {records[0].identity.dataset} in {results}: {records[0].status}: "
            f"{failures[0].reason}; see why with: python -m bench status --results {results}"
        )


def _shown(duel: PairwiseComparison) -> str:
    from tabulate import tabulate

    from bench.analysis.findings import limits_of_seeds, verdict
    from bench.analysis.tables import direction_name
    from bench.cli.phrases import printable
    from bench.report.text import made_by

    field, data = duel.table, duel.table.data
    made = made_by(data.device, data.harness)
    if duel.other != data:
        made = f"A of {made}, B of {made_by(duel.other.device, duel.other.harness)}"
    kind = "real data" if data.kind == "real" else "LOOK-ALIKE, generated data, not the benchmark"
    rows = [
        [
            direction_name(one.direction),
            f"{one.means[0]:.4f}",
            f"{one.means[1]:.4f}",
            f"{one.difference:+.4f}",
            f"{one.interval.low:+.4f} to {one.interval.high:+.4f}",
            "" if one.effect is None else f"{one.effect:+.2f}",
            f"{one.p:.4f}",
            f"{one.adjusted:.4f}",
            one.queries,
            len(one.seeds),
        ]
        for one in duel.comparisons
    ]
    headings = [
        "direction",
        "A",
        "B",
        "A - B",
        "95 % interval",
        "effect",
        "p",
        "p (Holm)",
        "queries",
        "seeds",
    ]
    lines = [
        printable(f"A: {duel.first}"),
        printable(f"B: {duel.second}"),
        printable(
            f"{data.dataset} ({kind}), {data.profile} profile, data {data.fingerprint[:8]}, "
            f"{made}, {field.protocol}, selection {field.selection}"
        ),
        *(["", tabulate(rows, headers=headings, disable_numparse=True)] if rows else []),
        "",
        *(f"- {printable(verdict(one))}." for one in duel.comparisons),
        *(f"- {sentence}" for sentence in limits_of_seeds(duel.comparisons)),
        *(f"- Left out: {printable(reason)}." for reason in duel.omitted),
    ]
    return "\n".join([*lines, ""])
