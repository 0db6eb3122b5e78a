"""``why``: show everything that is known about a cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from bench.analysis.comparisons import against_reference, with_marks
from bench.analysis.convergence import trace_summary
from bench.analysis.findings import row_with_record
from bench.analysis.groups import by_data, data_of, row_groups
from bench.analysis.labels import Labels, registry_labels
from bench.analysis.per_query import per_query_tables
from bench.analysis.results import Results
from bench.analysis.settings import changed_since
from bench.analysis.tables import tables_of
from bench.cli.formatting import bytes_of, print_lines
from bench.cli.options import ARGUMENT, ResultsOption, make_command
from bench.cli.select_records import RecordOptions, narrowing, read_records, select_records, with_queries
from bench.contract.errors import DataError
from bench.experiment.stale import stale_changes
from bench.records.protocols import base_of
from bench.records.schema import Record
from bench.records.store import Store
from bench.report.cell_report import CellContext, cell_report, overview_lines, position_lines

_TESTED: Final = 2_000  # with more queries, the tests behind the tables' marks are left to the report

PROTOCOL: Final = "map@all"


@make_command("why")
def command(
    method: Annotated[str, ARGUMENT],
    dataset: Annotated[str, ARGUMENT],
    options: RecordOptions,
    folder: ResultsOption,
) -> int:
    """Show everything that is known about a cell, from its record.

    The output has the data, every setting with its source, the selection, the numbers and their ranks among
    the other methods, or the reason for a failure; then times, memory, versions, and the command that runs
    the cell again.

    METHOD is a name such as drcl, or a variant such as drcl/without_fa; DATASET is a name, a name with the
    first digits of its fingerprint such as mine@0c2a5607, or the path of a file. If several cells match, each
    gets a line with the options that select it.

    Exit status 0; 1 if a record is damaged; 2 for wrong usage or no such cell.
    """
    records, problems = read_records(folder.results)
    chosen = select_records(records, method, dataset, options, folder.results)
    labels = registry_labels(records)
    if len(chosen) == 1:
        print_lines(*_report(chosen[0], records, Store(folder.results), labels))
    else:
        groups = by_data(records)
        rows = {record.digest: _label(record, groups[data_of(record)], labels) for record in chosen}
        narrowings = {record.digest: narrowing(record, chosen) for record in chosen}
        print_lines(*overview_lines(chosen, rows, narrowings))
    return int(bool(problems))


def _report(record: Record, records: Sequence[Record], store: Store, labels: Labels) -> Iterator[str]:
    peers = by_data(records)[data_of(record)]
    context = CellContext(
        label=_label(record, peers, labels),
        folder=str(store.runs / record.digest),
        trace=trace_summary(store.trace(record.digest), record.result),
        log=store.log(record.digest),
        position=tuple(_ranks(record, peers, store, labels)),
        stale=stale_changes(record),
        model=_model(record, store),
        since=changed_since(record),
    )
    for number, section in enumerate(cell_report(record, context)):
        yield from ([""] if number else [])
        yield section.title
        yield from (f"  {line}" for line in section.lines)


def _model(record: Record, store: Store) -> str:
    """Describe the stored model of a cell; empty if none was wanted."""
    try:
        card = store.models.card(record.digest)
    except DataError as error:
        return f"damaged: {error}"
    if card is None or card.reason:
        return "" if card is None else f"not kept: {card.reason}"
    return (
        f"{bytes_of(card.size)} in {store.models.root / record.digest}; "
        f'python -m bench search {record.digest[:8]} QUERY, or bench.load_method("{record.digest[:8]}")'
    )


def _ranks(record: Record, peers: Sequence[Record], store: Store, labels: Labels) -> Iterator[str]:
    """Yield how a record's row ranks in its table; nothing for a record without a result."""
    if record.result is None:
        return
    selection = "best" if record.result.selection == "none" else record.result.selection
    small = max(metric.queries for metric in record.result.metrics) <= _TESTED
    if small:
        sound = with_queries(store, peers, lambda series: base_of(series.protocol) == PROTOCOL)
        peers = sound.records
    tables = tables_of(Results(peers, labels), [PROTOCOL], selection)
    if small:
        fields = per_query_tables(Results(peers, labels), [PROTOCOL], selection, sound.values.__getitem__)
        tables = with_marks(tables, [against_reference(field, labels.reference) for field in fields])
    row = row_with_record(tables[0], record.digest) if tables else None
    if row is None:
        return
    yield from position_lines(tables[0], row)
    if not small:
        yield f"more than {_TESTED} queries: the marks of its tests are in the report"


def _label(record: Record, peers: Sequence[Record], labels: Labels) -> str:
    """Return the label of a record's row in the tables."""
    return next(line.label for line in row_groups(peers, labels) if record in line.records)
