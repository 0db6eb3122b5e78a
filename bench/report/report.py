"""Writes the reports folder from the records alone: every topic in its formats, figures, the page."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, get_args

from bench.records.schema import Record
from bench.report.exhibit import FigureExhibit, Part, PartName, TableExhibit, Topic
from bench.report.files import fill_folder, write_file
from bench.report.fill import fill
from bench.report.report_data import ReportData
from bench.report.topics import TOPICS
from bench.report.writers import csv, html, latex, markdown

PARTS: Final[tuple[PartName, ...]] = get_args(PartName)
PAGE: Final = "index.html"
FIGURES: Final = "figures.md"
_FIGURES: Final = (
    "Every figure is an SVG and a PDF for papers, letters as text, at most 3.4 inches wide for one "
    "column and 7 for two, and a PNG for slides. A method has one colour, marker and line everywhere; "
    "marker and filling tell it apart in black and white."
)
_FIGURES_EACH: Final = 6
"""Figures that a dataset has at least, if its records keep snapshots and traces."""
_WRITERS: Final = {".md": markdown.table, ".tex": latex.table, ".html": html.document}

Content = dict[str, str | bytes]
"""Path in the reports folder -> content."""


def write_report(
    data: ReportData,
    folder: Path,
    *,
    parts: Collection[PartName] = PARTS,
    documents: Sequence[Path] = (),
    topics: Sequence[Topic] = TOPICS,
) -> list[Path]:
    """Write the parts of a report into ``folder``; returns their files, the page first, then the overviews.

    Files that an earlier report wrote for records that are gone are removed, so that the folder shows the
    records as they are; other parts stay as they were. Marked sections of ``documents`` are filled with
    tables, see `bench.report.fill`.
    """
    written = [topic for topic in topics if topic.part in parts]
    figures: dict[str, list[Part]] = {}
    drawings: Iterable[dict[str, bytes]] = ()
    with ExitStack() as stack:
        if "figures" in parts or "page" in parts:
            formats = markdown.FIGURE_FORMATS if "figures" in parts else ("svg",)
            figures, begun = _drawn(data, topics, formats)
            drawings = stack.enter_context(closing(begun))
        tables = {topic.name: topic.tables(data) for topic in (topics if "page" in parts else written)}
        content: Content = dict(topic_files(written, tables, data))
        files = {name: file for one in drawings for name, file in one.items()}
    if "figures" in parts:
        opening = [Part(text=(_FIGURES if files else "These records give no figure.",))]
        named = [(topic.title, figures[topic.name]) for topic in topics if topic.name in figures]
        drawn = {f"{markdown.FIGURES}/{name}": file for name, file in files.items()}
        content = {FIGURES: markdown.page([("Figures", opening), *named]), **drawn, **content}
    if "page" in parts:
        from bench.report.page import page_html

        sections = [(topic, [*tables[topic.name], *figures.get(topic.name, [])]) for topic in topics]
        images = {name.removesuffix(".svg"): file for name, file in files.items() if name.endswith(".svg")}
        beside = markdown.FIGURES if "figures" in parts else ""
        content = {PAGE: page_html(data, sections, images, beside), **content}
    folders = {topic.folder for topic in written if topic.folder}
    _write(folder, content, folders | ({markdown.FIGURES} if "figures" in parts else set()))

    def exhibits() -> list[TableExhibit]:  # also of topics that are not written
        every = [part for topic in topics for part in tables.get(topic.name) or topic.tables(data)]
        return [exhibit for part in every for exhibit in part.tables]

    for document in documents:
        fill(document, data.tables, exhibits)
    return [folder / path for path in content]


def start_drawing(records: Sequence[Record]) -> None:
    """Load what the figures of these records need in another process, while they are read and analysed."""
    from bench.report.figures.saving import start_workers

    start_workers(_FIGURES_EACH * len({record.identity.dataset for record in records}))


def _drawn(
    data: ReportData, topics: Sequence[Topic], formats: Sequence[str]
) -> tuple[dict[str, list[Part]], Generator[dict[str, bytes], None, None]]:
    """Return the figures of each topic that has any, and their files, which are being drawn."""
    from bench.report.figures.saving import draw_all

    start_drawing(data.records)
    figures = {topic.name: found for topic in topics if any(found := topic.figures(data))}
    shown = [one for found in figures.values() for part in found for one in part.exhibits]
    return figures, draw_all([one for one in shown if isinstance(one, FigureExhibit)], formats)


def _write(folder: Path, content: Content, folders: Collection[str]) -> None:
    """Write files, and remove earlier files from the folders of the report."""
    for path, text in content.items():
        if path.partition("/")[0] not in folders:
            write_file(folder / path, text)
    for name in folders:
        inside = {path: text for path, text in content.items() if path.startswith(f"{name}/")}
        fill_folder(folder / name, {path.partition("/")[2]: text for path, text in inside.items()})


def topic_files(
    topics: Sequence[Topic], tables: Mapping[str, list[Part]], data: ReportData
) -> dict[str, str]:
    """Return path -> content of the files of topics but figures: pages, single tables, CSV files."""
    singles: dict[str, str] = {}
    pages: dict[str, list[Topic]] = {}
    linked: dict[str, list[str]] = {}
    for topic in topics:
        parts = tables[topic.name]
        exhibits = [exhibit for part in parts for exhibit in part.tables]
        for ending in topic.formats:
            write = _WRITERS[ending]
            singles |= {f"{topic.folder}/{one.name}{ending}": write(one) for one in exhibits}
        values = {path: csv.text(fields, []) for path, fields in topic.csv_files.items()}
        values |= csv.files(exhibits)
        singles |= values | dict(topic.files(data))
        page = "" if topic.file == "-" else topic.file or f"{topic.name}.md"
        if page and (any(parts) or not (pages.get(page) or "/" in page)):
            pages.setdefault(page, []).append(topic)
            linked.setdefault(page, []).extend([] if ".md" in topic.formats else values)
    written: dict[str, str] = {}
    for page, members in pages.items():
        opening = _links(page, pages, linked[page])
        written[page] = markdown.page([(topic.title, tables[topic.name]) for topic in members], opening)
    return written | singles


def _links(page: str, pages: Mapping[str, Sequence[Topic]], files: Sequence[str]) -> list[str]:
    """Return links to the CSV files of a page, and from the first page to all others."""
    here = page.rpartition("/")[0]
    links = [f"[{path}]({path.removeprefix(f'{here}/')})" for path in files]
    opening = [f"Every number: {', '.join(links)}."] if links else []
    if page == next(iter(pages)) and len(pages) > 1:
        others = [f"[{topics[0].title}]({path})" for path, topics in pages.items() if path != page]
        beside = ["[a page per method](methods/index.md)", "[what to cite](citations.bib)"]
        opening.append(f"See also: {', '.join([*others, *beside])}.")
    return opening
