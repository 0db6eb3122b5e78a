"""Exhibits: tables and figures with titles and notes, before any file format; topics that group them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from bench.analysis.across_datasets import BlockKey
from bench.analysis.groups import Data
from bench.report.report_data import ReportData
from bench.report.text import condition_name, data_name, data_stem, made_by

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Emphasis = Literal["", "best", "second"]
Fold = Literal["", "numbers", "all"]
PartName = Literal["tables", "statistics", "figures", "page"]


class Subject(NamedTuple):
    """What an exhibit or a row is about; a field is empty where it is about several.

    Attributes:
        dataset: registry name.
        kind: ``real`` or ``look-alike``.
        profile: ``quick`` or ``paper``.
        protocol: id of the evaluation rule.
        fingerprint: digest of the data.
        made: device and versions, in words.
        condition: of the data; empty for clean data, which stands beside those under any condition.
    """

    dataset: str = ""
    kind: str = ""
    profile: str = ""
    protocol: str = ""
    fingerprint: str = ""
    made: str = ""
    condition: str = ""

    @property
    def filters(self) -> dict[str, str]:
        """Return the fields that the page can be filtered by, without empty ones."""
        return {name: value for name in FILTERS if (value := getattr(self, name))}


EVERYTHING: Final = Subject()
"""Of what is about nothing in particular."""
FILTERS: Final = ("dataset", "kind", "profile", "protocol", "condition")


def data_subject(data: Data, protocol: str = "") -> Subject:
    """Return the subject of numbers on one data."""
    made = made_by(data.device, data.harness)
    about = data.dataset, data.kind, data.profile, protocol, data.fingerprint, made
    return Subject(*about, condition=condition_name(data))


def block_subject(key: BlockKey) -> Subject:
    """Return the subject of numbers over several datasets."""
    made = made_by(key.device, key.harness)
    return Subject("", key.kind, key.profile, key.protocol, made=made, condition=condition_name(key))


class Column(NamedTuple):
    """The head of a column.

    Attributes:
        heading: what stands above the cells.
        meaning: the same in full, where the heading is an abbreviation.
        group: common heading of this and the neighbouring columns of the same group; may be empty.
        direction: direction of its mAP, or ``average``; empty where it holds something else.
    """

    heading: str
    meaning: str = ""
    group: str = ""
    direction: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: the number as printed, or in a few words why there is none.
        emphasis: whether it is the best or the second of its column.
        mark: superscript: a letter of significance, or a sign that a note explains.
        missing: whether the text says why there is no number.
        number: the number in full precision; None where there is none.
        records: digests of the records behind it, or of those that say why there is no number.
        spread: the deviation over seeds as printed; empty where there is none.
    """

    text: str
    emphasis: Emphasis = ""
    mark: str = ""
    missing: bool = False
    number: float | None = None
    records: tuple[str, ...] = ()
    spread: str = ""

    @property
    def shown(self) -> str:
        """Return the text with its spread."""
        return f"{self.text} ± {self.spread}" if self.spread else self.text


@dataclass(frozen=True)
class Line:
    """A row of a table.

    Attributes:
        label: its name.
        cells: one per column.
        search: text in which a filter by method looks; empty where that does not apply.
        subject: what it is about, where that differs from row to row.
        anchor: id of the row on the page; empty where nothing links to it.
    """

    label: str
    cells: tuple[Cell, ...]
    search: str = ""
    subject: Subject = EVERYTHING
    anchor: str = ""


class Values(NamedTuple):
    """The numbers of an exhibit in full precision: rows of a CSV file, which several exhibits may share.

    Attributes:
        file: path in the reports folder.
        fields: names of its columns.
        rows: a value per column; None is written as nothing.
    """

    file: str
    fields: tuple[str, ...]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class TableExhibit:
    """A table.

    Attributes:
        name: of its files, without an ending, and its id on the page; unlike any other's.
        caption: what it shows, in one line.
        corner: heading of the labels.
        columns: heads of the other columns.
        lines: rows.
        notes: sentences below it.
        title: short heading on the page, which shows the subject beside it; empty: the caption.
        subject: what it is about.
        text: sentences before it.
        fold: what of it opens on request only: nothing, the numbers, or all of it.
        values: the numbers in full, for CSV files.
    """

    name: str
    caption: str
    corner: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    title: str = ""
    subject: Subject = EVERYTHING
    text: tuple[str, ...] = ()
    fold: Fold = ""
    values: tuple[Values, ...] = ()

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Return each group's heading and how many columns it spans; ungrouped columns stand alone."""
        runs = groupby(enumerate(self.columns), lambda item: item[1].group or item[0])
        return [(key if isinstance(key, str) else "", len(list(members))) for key, members in runs]

    @property
    def grouped(self) -> bool:
        """Whether any columns have a common heading."""
        return any(column.group for column in self.columns)

    @property
    def words(self) -> list[bool]:
        """Return for each column whether it holds words: neither numbers nor reasons for their lack."""
        return [
            not any(line.cells[place].number is not None or line.cells[place].missing for line in self.lines)
            for place in range(len(self.columns))
        ]


@dataclass(frozen=True)
class FigureExhibit:
    """A figure that is not drawn yet.

    Attributes:
        name: of its files, without an ending: letters, digits, ``.@_-``; unlike any other's.
        title: what it is, in a few words.
        caption: what it shows, of which data, seeds and selection.
        alt: what a reader who cannot see it needs to know.
        subject: what it is about; look-alikes and the quick profile are named in the figure itself.
        draw: draws it, possibly in another process: it holds what it draws and no more.
    """

    name: str
    title: str
    caption: str
    alt: str
    subject: Subject
    draw: Callable[[], Figure]


Exhibit = TableExhibit | FigureExhibit


class Listing(NamedTuple):
    """A titled list of sentences, or of commands."""

    title: str
    items: Sequence[str]
    commands: bool = False


@dataclass(frozen=True)
class Part:
    """What stands under one heading of a topic.

    Attributes:
        title: heading; empty for what stands right under the topic's title.
        text: paragraphs.
        exhibits: tables and figures.
        listings: lists, which the page opens on request.
        notes: what holds for several of the tables.
        kind: ``real`` or ``look-alike`` where all of it is.
    """

    title: str = ""
    text: Sequence[str] = ()
    exhibits: Sequence[Exhibit] = ()
    listings: Sequence[Listing] = ()
    notes: Sequence[str] = ()
    kind: str = ""

    @property
    def tables(self) -> list[TableExhibit]:
        """Return the exhibits that are tables."""
        return [exhibit for exhibit in self.exhibits if isinstance(exhibit, TableExhibit)]


@dataclass(frozen=True)
class Topic:
    """A topic of the report: computed once, written as a Markdown page, as files, and on the HTML page.

    Attributes:
        name: id of its section of the page.
        title: heading.
        tables: gives its texts and tables; an empty list leaves it out.
        figures: gives its figures.
        file: of its Markdown page; several topics may share one. By default ``NAME.md``; ``-`` for none.
        folder: where its files are; whatever an earlier report left there is removed.
        formats: in which each table is a file of its own in that folder: ``.md``, ``.tex``, ``.html``.
        part: ``tables`` or ``statistics``: with which part of the report it is written.
        csv_files: path -> columns of CSV files that are written even without a row.
        files: gives further files, by path.
    """

    name: str
    title: str
    tables: Callable[[ReportData], list[Part]] = lambda _: []
    figures: Callable[[ReportData], list[Part]] = lambda _: []
    file: str = ""
    folder: str = ""
    formats: tuple[str, ...] = ()
    part: PartName = "tables"
    csv_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Callable[[ReportData], Mapping[str, str]] = lambda _: {}

    @property
    def markdown_file(self) -> str:
        """Return the path of its Markdown page; empty where it has none."""
        return "" if self.file == "-" else self.file or f"{self.name}.md"


def data_figure(
    stem: str, data: Data, title: str, caption: str, alt: str, draw: Callable[[], Figure]
) -> FigureExhibit:
    """Return a figure about one data, which is named in its files' names, title and caption."""
    name = data_name(data)
    stem, title, caption = f"{stem}_{data_stem(data)}", f"{title}: {name}", f"{name}. {caption}"
    return FigureExhibit(stem, title, caption, alt, data_subject(data), draw)


def plain_table(
    name: str, caption: str, headings: Sequence[str], lines: Sequence[Line], **more: object
) -> TableExhibit:
    """Return a table without groups; the first heading is that of the labels."""
    columns = tuple(map(Column, headings[1:]))
    return TableExhibit(name, caption, headings[0], columns, tuple(lines), **more)  # type: ignore[arg-type]
