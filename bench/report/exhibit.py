"""Exhibits: tables and figures with titles and notes, before any file format; topics that group them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from bench.analysis.across_datasets import BlockKey
from bench.analysis.groups import Data
from bench.report.report_data import ReportData
from bench.report.text import condition_name, data_name, data_stem, dataset_title, made_by

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Emphasis = Literal["", "best", "second"]
Fold = Literal["", "numbers", "all"]
PartName = Literal["tables", "statistics", "figures", "page"]


class Subject(NamedTuple):
    """The data and protocol of an exhibit or a row; a field is empty if there are several."""

    dataset: str = ""  # registry name
    kind: str = ""  # ``real`` or ``look-alike``
    profile: str = ""  # ``quick`` or ``paper``
    protocol: str = ""  # id of the evaluation rule
    fingerprint: str = ""  # digest of the data
    made: str = ""  # device and versions, in words
    condition: str = ""  # of the data; empty for clean data, which is shown beside any condition


EVERYTHING: Final = Subject()
"""The subject of exhibits about several data and protocols."""
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
    """The head of a column."""

    heading: str  # printed above the cells
    meaning: str = ""  # the same in full, where the heading is an abbreviation
    group: str = ""  # common heading of this and the neighbouring columns of the same group; may be empty
    direction: str = ""  # direction of its mAP, or ``average``; empty where it holds something else


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str  # the number as printed, or in a few words why there is none
    emphasis: Emphasis = ""  # whether it is the best or the second of its column
    mark: str = ""  # superscript: a letter of significance, or a sign that a note explains
    missing: bool = False  # whether the text says why there is no number
    number: float | None = None  # the number in full precision, if any
    records: tuple[str, ...] = ()  # digests of the records of the number, or of those that lack it
    spread: str = ""  # the deviation over seeds as printed; empty where there is none


@dataclass(frozen=True)
class Line:
    """A row of a table."""

    label: str  # its name
    cells: tuple[Cell, ...]  # one per column
    search: str = ""  # text in which a filter by method looks; empty where that does not apply
    subject: Subject = EVERYTHING  # what it is about, where that differs from row to row
    anchor: str = ""  # id of the row on the page; empty where nothing links to it


class Values(NamedTuple):
    """The numbers of an exhibit in full precision: rows of a CSV file that several exhibits may share."""

    file: str  # path in the reports folder
    fields: tuple[str, ...]  # names of its columns
    rows: Sequence[Sequence[object]]  # a value per column; None is an empty field


@dataclass(frozen=True)
class TableExhibit:
    """A table."""

    name: str  # of its files, without an ending, and its id on the page; unlike any other's
    caption: str  # one line
    corner: str  # heading of the labels
    columns: tuple[Column, ...]  # heads of the other columns
    lines: tuple[Line, ...]  # rows
    notes: tuple[str, ...] = ()  # sentences below it
    title: str = ""  # short heading on the page, which shows the subject beside it; empty: the caption
    subject: Subject = EVERYTHING  # what it is about
    text: tuple[str, ...] = ()  # sentences before it
    fold: Fold = ""  # which part opens on request only
    values: tuple[Values, ...] = ()  # the numbers in full, for CSV files

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Return each group's heading and how many columns it spans; an ungrouped column is a group."""
        runs = groupby(enumerate(self.columns), lambda item: item[1].group or item[0])
        return [(key if isinstance(key, str) else "", len(list(members))) for key, members in runs]

    @property
    def words(self) -> list[bool]:
        """Return for each column whether it holds words: neither numbers nor reasons for their lack."""
        return [
            not any(line.cells[index].number is not None or line.cells[index].missing for line in self.lines)
            for index in range(len(self.columns))
        ]


@dataclass(frozen=True)
class FigureExhibit:
    """A figure that is not drawn yet."""

    name: str  # of its files, without an ending: letters, digits, ``.@_-``; unlike any other's
    title: str  # what it is, in a few words
    caption: str  # what it shows, of which data, seeds and selection
    alt: str  # alternative text for readers who cannot see it
    subject: Subject  # what it is about; look-alikes and the quick profile are named in the figure itself
    draw: Callable[[], Figure]  # draws it, possibly in another process: holds only the data to draw


Exhibit = TableExhibit | FigureExhibit


class Listing(NamedTuple):
    """A titled list of sentences, or of commands."""

    title: str
    items: Sequence[str]
    commands: bool = False


@dataclass(frozen=True)
class Part:
    """The content under one heading of a topic."""

    title: str = ""  # heading; empty for the content right below the topic's title
    text: Sequence[str] = ()  # paragraphs
    exhibits: Sequence[Exhibit] = ()  # tables and figures
    listings: Sequence[Listing] = ()  # lists, which the page opens on request
    notes: Sequence[str] = ()  # notes on several of the tables
    kind: str = ""  # ``real`` or ``look-alike`` where all of it is

    def __bool__(self) -> bool:
        """Return whether it has content besides notes."""
        return bool(self.exhibits or self.listings or self.text)

    @property
    def tables(self) -> list[TableExhibit]:
        """Return the exhibits that are tables."""
        return [exhibit for exhibit in self.exhibits if isinstance(exhibit, TableExhibit)]


@dataclass(frozen=True)
class Topic:
    """A topic of the report: computed once, written as a Markdown page, as files, and on the HTML page.

    A module of `bench.report.topics` defines it; nothing else names it.
    """

    name: str  # id of its section of the page
    title: str  # heading
    tables: Callable[[ReportData], list[Part]] = lambda _: []  # texts and tables; empty parts are left out
    figures: Callable[[ReportData], list[Part]] = lambda _: []  # gives its figures
    file: str = ""  # its Markdown page, which topics may share: by default ``NAME.md``; ``-`` for none
    folder: str = ""  # of its files; files of earlier reports are removed from it
    formats: tuple[str, ...] = ()  # of a file per table in that folder: ``.md``, ``.tex``, ``.html``
    part: PartName = "tables"  # ``tables`` or ``statistics``: with which part of the report it is written
    csv_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # path -> columns, even if empty
    files: Callable[[ReportData], Mapping[str, str]] = lambda _: {}  # gives further files, by path
    order: int = 1000  # position on the page, from low to high; equal ones are sorted by name


def data_figure(
    stem: str, data: Data, title: str, caption: str, alt: str, draw: Callable[[], Figure]
) -> FigureExhibit:
    """Return a figure about one data, which is named in its files' names, title and caption."""
    name = data_name(data)
    stem, title, caption = f"{stem}_{data_stem(data)}", f"{title}: {name}", f"{name}. {caption}"
    return FigureExhibit(stem, title, caption, alt, data_subject(data), draw)


def plain_table(
    name: str, caption: str, headings: Sequence[str], lines: Sequence[Line], **more: Any
) -> TableExhibit:
    """Return a table without groups; the first heading is that of the labels."""
    return TableExhibit(name, caption, headings[0], tuple(map(Column, headings[1:])), tuple(lines), **more)


def data_table(
    name: str, caption: str, data: Data, headings: Sequence[str], lines: Sequence[Line], **more: Any
) -> TableExhibit:
    """Return a `plain_table` about one data, which are its usual ``title``, and a ``protocol`` if given."""
    subject, title = data_subject(data, more.pop("protocol", "")), dataset_title(data.dataset, data.condition)
    return plain_table(name, caption, headings, lines, **{"title": title, "subject": subject, **more})
