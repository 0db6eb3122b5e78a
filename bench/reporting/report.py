"""Writes the reports folder: a table per dataset, protocol and profile, and one page with all of them.

Beside them stand a page per registered method and the references of what the tables use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import registry
from bench.analysis.across import blocks_of
from bench.analysis.convergence import Trace, curves_of
from bench.analysis.marks import marked
from bench.analysis.naming import Naming, registry_naming
from bench.analysis.paired import Family, against_reference, all_pairs
from bench.analysis.queries import PerQuery, fields_of
from bench.analysis.standing import standing_of
from bench.analysis.tables import Table, tables_of
from bench.analysis.trials import Tuning, trials_csv, tunings_of
from bench.records.schema import Record
from bench.records.trials import Trial
from bench.reporting import text
from bench.reporting.citations import citations
from bench.reporting.convergence import convergence_page
from bench.reporting.costs import costs_page
from bench.reporting.files import fill_folder, write_text
from bench.reporting.fill import fill
from bench.reporting.method_pages import method_pages
from bench.reporting.statistics import statistics_page
from bench.reporting.statistics_files import statistics_files
from bench.reporting.tuning import tuning_page

PROTOCOLS = ("map@all", "map@50/hits")

ROSTER_NOTE = (
    "The 15 baselines are this project's roster: the DRCL paper's own list of baselines "
    "is not public in the sources used."
)


def write_report(
    records: Sequence[Record],
    folder: Path,
    *,
    protocols: Sequence[str] = PROTOCOLS,
    selection: str = "best",
    problems: Sequence[tuple[str, str]] = (),
    documents: Sequence[Path] = (),
    trials: Sequence[Trial] = (),
    trace: Callable[[str], Trace] = lambda _: (),
    per_query: PerQuery = lambda _: {},
    every_pair: bool = False,
) -> list[Path]:
    """Write all tables for ``records`` into ``folder`` and return their files, the overview first.

    Files that an earlier report wrote for tables whose records are gone are removed, so that the folder
    shows the records as they are.

    Args:
        records: of any status.
        folder: created where absent.
        protocols: ids of the protocols to tabulate.
        selection: selection rule to print.
        problems: damaged records (folder, sentence), to be named in the overview.
        documents: files whose marked places are filled with tables, see `bench.reporting.fill`.
        trials: of `tune`, for a page of their own.
        trace: gives a record's trace by its digest, for the page about convergence.
        per_query: gives a record's average precisions per query by its digest, for the tests.
        every_pair: whether every row is compared with every other, and not with the reference alone; the
            marks in the tables stay those of the reference.
    """
    naming = registry_naming()
    fields = list(fields_of(records, naming, protocols, selection, per_query))
    families = [against_reference(field, naming.reference) for field in fields]
    plain = tables_of(records, naming, protocols, selection)
    tables = marked(plain, families)
    files = {
        f"{_stem(table)}{ending}": render(table)
        for table in tables
        for ending, render in ((".md", text.markdown), (".tex", text.latex), (".csv", text.csv_text))
    }
    tunings = tunings_of(trials)
    overview = folder / "tables.md"
    write_text(overview, _overview(tables, records, problems, bool(tunings)))
    fill_folder(folder / "tables", files)
    _write_pages(folder, records, naming, trace)
    _write_trials(folder / "tuning", tunings, naming)
    shown = [all_pairs(field) for field in fields] if every_pair else families
    _write_statistics(folder, shown, plain, naming)
    for document in documents:
        fill(document, tables)
    return [overview, *(folder / "tables" / name for name in files)]


def _write_pages(
    folder: Path, records: Sequence[Record], naming: Naming, trace: Callable[[str], Trace]
) -> None:
    write_text(folder / "citations.bib", citations(records))
    write_text(folder / "costs.md", costs_page(records, naming))
    write_text(folder / "convergence.md", convergence_page(curves_of(records, naming, trace)))
    fill_folder(folder / "methods", method_pages())


def _write_trials(folder: Path, tunings: Sequence[Tuning], naming: Naming) -> None:
    pages = {"trials.md": tuning_page(tunings, naming), "trials.csv": trials_csv(tunings)}
    fill_folder(folder, pages if tunings else {})


def _write_statistics(
    folder: Path, families: Sequence[Family], tables: Sequence[Table], naming: Naming
) -> None:
    standings = [(block, standing_of(block)) for block in blocks_of(tables, naming.reference)]
    write_text(folder / "statistics.md", statistics_page(families, standings))
    possible = [standing for _, standing in standings if standing is not None]
    fill_folder(folder / "statistics", statistics_files(families, possible))


def _overview(
    tables: Sequence[Table], records: Sequence[Record], problems: Sequence[tuple[str, str]], tuned: bool
) -> str:
    done = sum(record.status == "done" for record in records)
    parts = [
        "# mAP tables",
        f"{done} of {len(records)} recorded cells are done. {ROSTER_NOTE}",
        "Mean and sample standard deviation over seeds; best bold, second underlined; reference points "
        "(chance, semantic matching) do not compete. Selection uses validation data only unless a table "
        "says oracle. Look-alikes are generated data that only have a benchmark's shape: their numbers "
        "say nothing about the benchmark.",
        "What each method is and is set to: [methods/index.md](methods/index.md). Time and memory: "
        "[costs.md](costs.md). Whether training had come to rest: [convergence.md](convergence.md). "
        "What differs, and what cannot be shown: [statistics.md](statistics.md). "
        "What to cite: [citations.bib](citations.bib)."
        + (" What `tune` tried: [tuning/trials.md](tuning/trials.md)." if tuned else ""),
    ]
    for kind, title in (("real", "## Real data"), ("look-alike", "## Look-alikes")):
        chosen = [text.markdown(table) for table in tables if table.kind == kind]
        if chosen:
            parts += [title, *chosen]
    parts += _without_result(records)
    parts += _departures({record.identity.method for record in records})
    if problems:
        lines = "\n".join(f"- {text.escape_markdown(reason)}" for _, reason in problems)
        parts.append(f"## Records left out\n\n{lines}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _without_result(records: Sequence[Record]) -> list[str]:
    lines = [
        f"- {text.escape_markdown(record.identity.title)}: {record.status}: "
        f"{text.escape_markdown(record.failure.reason)} (record {record.digest})"
        for record in sorted(records, key=lambda record: (record.identity.title, record.digest))
        if record.failure is not None
    ]
    return ["## Cells without a result", "\n".join(lines)] if lines else []


def _departures(methods: set[str]) -> list[str]:
    """Return where each method departs from its paper and from its released code, by its card."""
    found = registry.registered().methods
    lines = []
    for name in sorted(methods & found.keys(), key=lambda name: (found[name].card.position, name)):
        card = found[name].card
        for origin, items in (("the paper", card.from_paper), ("the released code", card.from_release)):
            head = f"- **{text.escape_markdown(card.title)}**, from {origin}: "
            lines += [head + text.escape_markdown(item) for item in items]
    return ["## Where the methods depart from their sources", "\n".join(lines)] if lines else []


def _stem(table: Table) -> str:
    parts = [table.dataset, table.kind, table.profile, table.protocol, table.selection, table.fingerprint[:8]]
    return re.sub(r"[^A-Za-z0-9.@_-]+", "-", "_".join(parts)).lstrip(".-")
