"""``why``: the whole story of a cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bench.cli.finding import Which, which_options
from bench.cli.options import load_plugins, plugin_option, results_option

if TYPE_CHECKING:
    from bench.analysis.labels import Labels
    from bench.records.schema import Record
    from bench.records.store import Store

_TESTED: Final = 2_000
"""Queries up to which the tests behind the tables' marks are done at once; the report does the others."""

PROTOCOL: Final = "map@all"


@click.command("why", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("method")
@click.argument("dataset")
@which_options
@results_option
@plugin_option
def command(method: str, dataset: str, which: Which, results: Path, plugin_files: Sequence[Path]) -> int:
    """Tell the whole story of a cell, from its record.

    What it is and where its settings are from, its data, what was selected and by what, its numbers and how
    they stand among the others, why there are none, what it took, and the command that makes it again.

    METHOD is a name such as drcl, or an ablation such as drcl/without_fa; DATASET a name, a name with the
    first digits of its fingerprint such as mine@0c2a5607, or a bundle's path. Where several cells fit, each
    has a line, with the options that single it out.

    Exit status 0; 1 if a record is damaged; 2 for wrong usage or no such cell.
    """
    from bench.analysis.labels import registry_labels
    from bench.cli.finding import find
    from bench.cli.phrases import printable
    from bench.cli.reading import read_records
    from bench.records.store import Store

    load_plugins(plugin_files)
    records, problems = read_records(results)
    found = find(records, method, dataset, which, results)
    labels = registry_labels(records)
    lines = (
        _story(found[0], records, Store(results), labels)
        if len(found) == 1
        else _overview(found, records, labels)
    )
    for line in lines:
        click.echo(printable(line))
    return int(bool(problems))


def _story(record: Record, records: Sequence[Record], store: Store, labels: Labels) -> Iterator[str]:
    from bench.analysis.convergence import trace_summary
    from bench.analysis.settings import changed_since, settings_provenance
    from bench.experiment.stale import stale_changes
    from bench.report.story import Told, story_of

    peers = _peers(record, records)
    told = Told(
        record=record,
        label=_label(record, peers, labels),
        folder=str(store.runs / record.digest),
        origins=settings_provenance(record),
        trace=trace_summary(store.trace(record.digest), record.result),
        log=store.log(record.digest),
        standing=tuple(_standing(record, peers, store, labels)),
        stale=stale_changes(record),
        since=changed_since(record),
    )
    for number, section in enumerate(story_of(told)):
        yield from ([""] if number else [])
        yield section.title
        yield from (f"  {line}" for line in section.lines)


def _overview(found: Sequence[Record], records: Sequence[Record], labels: Labels) -> Iterator[str]:
    from bench.cli.finding import narrowing
    from bench.report.places import overview

    rows = {record.digest: _label(record, _peers(record, records), labels) for record in found}
    yield from overview(found, lambda record: rows[record.digest], lambda record: narrowing(record, found))


def _standing(record: Record, peers: Sequence[Record], store: Store, labels: Labels) -> Iterator[str]:
    """Yield how a record's row stands in its table; nothing for a record without a result."""
    from bench.analysis.comparisons import against_reference, with_marks
    from bench.analysis.per_query import per_query_tables
    from bench.analysis.tables import row_with_record, tables_of
    from bench.cli.reading import with_queries
    from bench.report.places import place_lines

    if record.result is None:
        return
    selection = "best" if record.result.selection == "none" else record.result.selection
    small = max(metric.queries for metric in record.result.metrics) <= _TESTED
    if small:
        found = with_queries(store, peers, lambda series: series.protocol == PROTOCOL)
        peers = found.records
    tables = tables_of(peers, labels, [PROTOCOL], selection)
    if small:
        fields = per_query_tables(peers, labels, [PROTOCOL], selection, found.values.__getitem__)
        tables = with_marks(tables, [against_reference(field, labels.reference) for field in fields])
    row = row_with_record(tables[0], record.digest) if tables else None
    if row is None:
        return
    yield from place_lines(tables[0], row)
    if not small:
        yield f"more than {_TESTED} queries: the marks of its tests are in the report"


def _peers(record: Record, records: Sequence[Record]) -> list[Record]:
    """Return the records that share a table with one."""
    from bench.analysis.groups import by_data, data_of

    return by_data(records)[data_of(record)]


def _label(record: Record, peers: Sequence[Record], labels: Labels) -> str:
    """Return the label of a record's row in the tables."""
    from bench.analysis.groups import row_groups

    return next(line.label for line in row_groups(peers, labels) if record in line.records)
