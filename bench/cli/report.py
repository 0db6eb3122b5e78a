"""``report``: tables, statistics, figures and the page, from the records alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from bench.analysis.labels import registry_labels
from bench.cli.formatting import print_lines
from bench.cli.options import FOLDER, ResultsOption, make_command
from bench.cli.select_records import evaluated_protocols, metrics_of, read_records, with_queries
from bench.contract.errors import UsageError
from bench.experiment.stale import sentences, stale_records
from bench.plural import counted
from bench.records.protocols import base_of
from bench.records.schema import Record
from bench.records.store import Store
from bench.records.trials import TrialStore
from bench.report import PARTS, PartName, ReportData, start_drawing, write_report


@make_command("report")
def command(
    *,
    protocols: tuple[str, ...] = ("map@all", "map@50/hits"),
    selection: Literal["best", "last", "oracle"] = "best",
    fill: tuple[Path, ...] = (),
    all_pairs: bool = False,
    only: tuple[PartName, ...] = (),
    reports: Annotated[Path, FOLDER] = Path("reports"),
    folder: ResultsOption,
) -> int:
    """Write tables, statistics, figures and an HTML page from the records.

    Exit status 0; 1 if a record is damaged; 2 for wrong usage or no records.

    Args:
        protocols: Ids of the protocols to tabulate.
        selection: Selection rule to tabulate.
        fill: A Markdown file to fill: tables replace what follows the marks <!-- table: DATASET PROTOCOL -->
            and <!-- exhibit: NAME -->.
        all_pairs: Test every pair of rows, not only pairs with the first method of the roster.
        only: Write only this part; may be repeated.  [default: all]
        reports: Folder to write into.
    """
    store, (records, problems) = _store_beside(folder.results, reports), read_records(folder.results)
    if not only or {"figures", "page"} & {*only}:
        start_drawing(records)
    ids = evaluated_protocols(protocols, records)
    if selection == "oracle":
        _require_oracle(records)
    rules, stale = (selection, "none"), sentences(stale_records(records))
    sound = with_queries(
        store, records, lambda series: base_of(series.protocol) in ids and series.selection in rules
    )
    data = ReportData(
        sound.records,
        labels=registry_labels(records),
        protocols=ids,
        selection=selection,
        problems=[*problems, *sound.problems],
        stale=stale,
        trials=list(TrialStore(folder.results).read()),
        trace=store.trace,
        per_query=sound.values.__getitem__,
        snapshot=store.snapshot,
        every_pair=all_pairs,
    )
    files = write_report(data, reports, parts=only or PARTS, documents=fill)
    count = f"{counted(len(files), 'file')} from {counted(len(sound.records), 'record')}"
    print_lines(*(f"note: {sentence}" for sentence in stale), f"{count}; read {files[0]}")
    return int(bool(data.problems))


def _require_oracle(records: Sequence[Record]) -> None:
    """Refuse records none of which has numbers of the oracle; the sentence says why they have none."""
    if any(metric.selection == "oracle" for metric in metrics_of(records)):
        return
    reasons = {each.result.refused.get("oracle", "") for each in records if each.result} - {""}
    why = f" ({'; '.join(sorted(reasons))})" if reasons else ""
    raise UsageError(f"no record has a test-oracle trace{why}; make some: python -m bench run --trace-test")


def _store_beside(results: Path, reports: Path) -> Store:
    """Return the records of a results folder.

    Raises:
        UsageError: if the reports are to be among them, where they would count as damaged records.
    """
    store = Store(results)
    if any(reports.resolve().is_relative_to(kept.resolve()) for kept in (store.runs, store.models.root)):
        raise UsageError(f"--reports {reports} is a folder of records; give another one")
    return store
