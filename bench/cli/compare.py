"""``compare``: two methods on one dataset, paired by query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from bench.analysis.findings import limits_of_seeds, verdict
from bench.analysis.labels import registry_labels
from bench.analysis.pairwise import PairwiseComparison, pairwise_comparisons
from bench.analysis.per_query import PerQueryTable, per_query_tables
from bench.analysis.results import Filter, Results
from bench.analysis.tables import direction_name
from bench.cli.formatting import print_lines, table
from bench.cli.options import ARGUMENT, FOLDER, ResultsOption, make_command
from bench.cli.select_records import (
    condition_words,
    dataset_named,
    evaluated_protocols,
    read_records,
    with_queries,
)
from bench.contract.errors import UsageError
from bench.experiment.stale import newest
from bench.records.protocols import base_of
from bench.records.store import Store
from bench.registry import unknown
from bench.report.text import made_by, under
from bench.signed import signed


@dataclass(frozen=True)
class CompareOptions:
    """Data and numbers of the comparison.

    Attributes:
        dataset: Name of the dataset in the records; where several have this name, NAME@FINGERPRINT or the
            path of the file.
        protocol: Id of the protocol.
        selection: Selection rule whose results are compared.
        conditions: Only these conditions, such as clean,label-noise@.4.
    """

    dataset: str
    protocol: str = "map@all"
    selection: Literal["best", "last", "oracle"] = "best"
    conditions: tuple[str, ...] = ()


@make_command("compare")
def command(
    a: Annotated[str, ARGUMENT],
    b: Annotated[str, ARGUMENT],
    *,
    options: CompareOptions,
    folder: ResultsOption,
    other_results: Annotated[Path | None, FOLDER] = None,
    earlier_code: bool = False,
) -> int:
    """Test whether A and B differ on a dataset, in each direction and on average.

    A and B are methods such as drcl, variants such as drcl/without_fa, or row labels of the tables.
    Exit status 0; 1 if a record is damaged; 2 for wrong usage or no records.

    Args:
        other_results: Results folder of B, such as one from before a change; A is read from --results. The
            versions of the code may differ.
        earlier_code: Compare with stale records: B is the newest record of another version of the code.
    """
    apart = earlier_code or other_results is not None
    results = folder.results
    ours, problems = _fields(results, options, [a] if apart else [a, b])
    theirs, sides = ours, ("", "")
    if apart:
        there = other_results or results
        theirs, more = _fields(there, options, [b], earlier=earlier_code)
        problems += more if other_results else 0
        sides = f" in {results}", f" in {there}{', earlier code' if earlier_code else ''}"
    for found in pairwise_comparisons((a, sides[0], ours), (b, sides[1], theirs), across_code=apart):
        print_lines(*_lines(found), "")
    return int(problems > 0)


def _fields(
    results: Path, options: CompareOptions, names: Sequence[str], *, earlier: bool = False
) -> tuple[list[PerQueryTable], int]:
    """Return a folder's values per query on a dataset, and the number of its damaged records.

    If several versions of the code have made a cell, the newest record is taken; with ``earlier`` the newest
    stale one.

    Raises:
        UsageError: if there is no such record, or a method has failed there.
    """
    records, problems = read_records(results)
    records = newest(records, earlier=earlier)
    if not records:
        raise UsageError(f"no record in {results} is stale: all were made by the present code")
    data = dataset_named(options.dataset, records)
    chosen = Filter(conditions=condition_words(options.conditions, records))
    chosen.require_known(records)
    admitted = [record for record in chosen.of(records) if data.admits(record.identity)]
    if not admitted:
        cells = [record.identity for record in records]
        versions = {f"{cell.dataset}@{cell.fingerprint[:8]}" for cell in cells if cell.dataset == data.name}
        known = versions or {cell.dataset for cell in cells}
        raise unknown(f"dataset in the records of {results}", options.dataset, known)
    for name in names:
        named = [record for record in admitted if record.identity.method == name]
        failures = [record.failure for record in named if record.failure is not None]
        if failures and len(failures) == len(named):
            raise UsageError(
                f"{name} has no result on {data.name} in {results}: {named[0].status}: "
                f"{failures[0].reason}; see why with: python -m bench status --results {results}"
            )
    ids = evaluated_protocols([options.protocol], admitted)
    sound = with_queries(Store(results), admitted, lambda series: base_of(series.protocol) in ids)
    labels, read = registry_labels(records), sound.values.__getitem__
    fields = per_query_tables(Results(sound.records, labels), ids, options.selection, read)
    return list(fields), len(problems) + len(sound.problems)


def _lines(found: PairwiseComparison) -> Iterator[str]:
    field, data = found.table, found.table.data
    made = made_by(data.device, data.harness)
    if found.other_data != data:
        made = f"A of {made}, B of {made_by(found.other_data.device, found.other_data.harness)}"
    kind = "real data" if data.kind == "real" else "LOOK-ALIKE, generated data, not the benchmark"
    yield f"A: {found.reference}"
    yield f"B: {found.other}"
    yield (
        f"{data.dataset} ({kind}), {under(data)}{data.profile} profile, data {data.fingerprint[:8]}, "
        f"{made}, {field.protocol}, selection {field.selection}"
    )
    rows = [
        {
            "direction": direction_name(comparison.direction),
            "A": f"{comparison.means[0]:.4f}",
            "B": f"{comparison.means[1]:.4f}",
            "A - B": signed(comparison.difference, "+.4f"),
            "95 % interval": " to ".join(signed(end, "+.4f") for end in comparison.interval[:2]),
            "effect": "" if comparison.effect is None else signed(comparison.effect, "+.2f"),
            "p": f"{comparison.p:.4f}",
            "p (Holm)": f"{comparison.adjusted:.4f}",
            "queries": comparison.queries,
            "seeds": len(comparison.seeds),
        }
        for comparison in found.comparisons
    ]
    if rows:
        yield from ["", *table(rows)]
    yield ""
    for comparison in found.comparisons:
        yield f"- {verdict(comparison)}."
    for sentence in limits_of_seeds(found.comparisons):
        yield f"- {sentence}"
    for reason in found.omitted:
        yield f"- Left out: {reason}."
