"""Writes the reports folder from the records alone: tables, statistics, figures, pages.

Beside the tables stand a page per registered method and the references of what the tables use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Literal

from bench.analysis.convergence import curves_of
from bench.analysis.labels import cards_of
from bench.analysis.settings import trials_csv
from bench.records.schema import Record
from bench.report import text
from bench.report.ablations import ablation_files, ablations_page
from bench.report.citations import citations
from bench.report.convergence import convergence_page
from bench.report.costs import costs_page
from bench.report.files import fill_folder, write_file
from bench.report.fill import fill
from bench.report.ledger import ledger_csv, ledger_page
from bench.report.material import Material
from bench.report.method_pages import method_pages
from bench.report.optimism import optimism_csv, optimism_page
from bench.report.statistics import statistics_page
from bench.report.statistics_files import statistics_files
from bench.report.tables import shown_tables, table_files
from bench.report.tuning import tuning_page

Part = Literal["tables", "statistics", "figures", "page"]
PARTS: Final[tuple[Part, ...]] = ("tables", "statistics", "figures", "page")

PAGE: Final = "index.html"
ROSTER_NOTE = (
    "The 15 baselines are this project's roster: the DRCL paper's own list of baselines "
    "is not public in the sources used."
)


def write_report(
    material: Material,
    folder: Path,
    *,
    parts: Collection[Part] = PARTS,
    documents: Sequence[Path] = (),
) -> list[Path]:
    """Write the parts of a report into ``folder``; returns their files, the page first, then overviews.

    Files that an earlier report wrote for records that are gone are removed, so that the folder shows the
    records as they are; parts that are not asked for stay as they were.

    Args:
        material: what to report.
        folder: created where absent.
        parts: which parts.
        documents: files whose marked places are filled with tables, see `bench.report.fill`.
    """
    written: list[Path] = []
    if "tables" in parts:
        written += _write_tables(material, folder)
        _write_pages(material, folder)
        _write_trials(material, folder / "tuning")
    if "statistics" in parts:
        written += _write_statistics(material, folder)
    if "figures" in parts or "page" in parts:
        written += _write_drawn(material, folder, parts)
    for document in documents:
        fill(document, material.tables)
    return sorted(written, key=lambda path: path.name != PAGE)


def _write_tables(material: Material, folder: Path) -> list[Path]:
    shown = shown_tables(material)
    files = table_files(shown)
    overview = folder / "tables.md"
    texts = [(table.kind, files[f"{table.sheet.name}.md"]) for table in shown]
    write_file(overview, _overview(material, texts))
    fill_folder(folder / "tables", files)
    return [overview, *(folder / "tables" / name for name in files)]


def _write_pages(material: Material, folder: Path) -> None:
    records, labels = material.records, material.labels
    write_file(folder / "citations.bib", citations(records))
    write_file(folder / "costs.md", costs_page(material.results))
    write_file(folder / "convergence.md", convergence_page(curves_of(material.results, material.trace)))
    write_file(folder / "ablations.md", ablations_page(material))
    fill_folder(folder / "ablations", ablation_files(material))
    write_file(folder / "ledger.md", ledger_page(material.ledger, labels))
    write_file(folder / "ledger.csv", ledger_csv(material.ledger))
    write_file(folder / "optimism.md", optimism_page(material.optimism))
    write_file(folder / "optimism.csv", optimism_csv(material.optimism))
    fill_folder(folder / "methods", method_pages())


def _write_trials(material: Material, folder: Path) -> None:
    tunings = material.tunings
    pages = {"trials.md": tuning_page(tunings, material.labels), "trials.csv": trials_csv(tunings)}
    fill_folder(folder, pages if tunings else {})


def _write_statistics(material: Material, folder: Path) -> list[Path]:
    page = folder / "statistics.md"
    write_file(page, statistics_page(material.shown_families, material.standings))
    possible = [standing for _, standing in material.standings if standing is not None]
    files = statistics_files(material.shown_families, possible)
    fill_folder(folder / "statistics", files)
    return [page, *(folder / "statistics" / name for name in files)]


def _write_drawn(material: Material, folder: Path, parts: Collection[Part]) -> list[Path]:
    """Write the figures, and the page that holds them; what both need is drawn once."""
    from bench.report.figures import figures_page, pictures_of
    from bench.report.figures.saving import ENDINGS, rendered
    from bench.report.page import page_html

    pictures = pictures_of(material)
    beside = "figures" in parts
    files = rendered(pictures, ENDINGS if beside else ("svg",))
    written: list[Path] = []
    if "page" in parts:
        drawn = [(picture, files[f"{picture.stem}.svg"].decode("utf-8")) for picture in pictures]
        written.append(folder / PAGE)
        write_file(written[0], page_html(material, drawn, "figures" if beside else ""))
    if beside:
        written.append(folder / "figures.md")
        write_file(written[-1], figures_page(pictures))
        fill_folder(folder / "figures", files)
        written += [folder / "figures" / name for name in files]
    return written


def _overview(material: Material, tables: Sequence[tuple[str, str]]) -> str:
    """Return the page of all tables, which are given by kind and as Markdown."""
    records, problems = material.records, material.problems
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
        "Published values beside ours: [ledger.md](ledger.md). "
        "What choosing the epoch on test data would have added: [optimism.md](optimism.md). "
        "What parts and settings of methods matter: [ablations.md](ablations.md). "
        "What to cite: [citations.bib](citations.bib)."
        + (" What `tune` tried: [tuning/trials.md](tuning/trials.md)." if material.tunings else ""),
    ]
    if material.stale:
        lines = "\n".join(f"- {text.escape_markdown(sentence)}" for sentence in material.stale)
        parts.append(
            f"**Records of other code are among these** (`run --retry stale` makes them again):\n\n{lines}"
        )
    for kind, title in (("real", "## Real data"), ("look-alike", "## Look-alikes")):
        chosen = [table for own, table in tables if own == kind]
        if chosen:
            parts += [title, *chosen]
    parts += _without_result(records)
    parts += _without_snapshot(records)
    parts += _departures(records)
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


def _without_snapshot(records: Sequence[Record]) -> list[str]:
    """Return how many finished cells are in no figure of single cells, a line per reason."""
    reasons = Counter(record.result.snapshot_error for record in records if record.result is not None)
    del reasons[""]
    lines = [f"- {number} cells: {text.escape_markdown(reason)}" for reason, number in reasons.most_common()]
    return ["## Cells without a snapshot for figures", "\n".join(lines)] if lines else []


def _departures(records: Sequence[Record]) -> list[str]:
    """Return where each method departs from its paper and from its released code, by its card."""
    found = cards_of(records)
    present = {record.identity.method for record in records} & found.keys()
    lines = []
    for name in sorted(present, key=lambda name: (found[name].position, name)):
        card = found[name]
        for origin, items in (("the paper", card.from_paper), ("the released code", card.from_release)):
            head = f"- **{text.escape_markdown(card.title)}**, from {origin}: "
            lines += [head + text.escape_markdown(item) for item in items]
    return ["## Where the methods depart from their sources", "\n".join(lines)] if lines else []
