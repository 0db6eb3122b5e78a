"""A table as the page shows it: what it is about, so that it can be filtered, and where its numbers lead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from bench.analysis.across_datasets import BlockKey
from bench.analysis.groups import Data
from bench.report.tables import Cell, Column, Line, Sheet
from bench.report.text import made_by

_COUNT: Final = re.compile(r"\d{1,4}(-\d{1,4})?")
"""Such as seeds: ``5`` or ``3-5``."""
WIDE: Final = 9
"""Columns from which a table has smaller letters."""


Fold = Literal["", "numbers", "all"]


class About(NamedTuple):
    """What something of the page is about; a field is empty where it is about several.

    Attributes:
        dataset: registry name.
        kind: ``real`` or ``look-alike``.
        profile: ``quick`` or ``paper``.
        protocol: id of the evaluation rule.
        fingerprint: digest of the data.
        made: device and versions, in words.
    """

    dataset: str = ""
    kind: str = ""
    profile: str = ""
    protocol: str = ""
    fingerprint: str = ""
    made: str = ""

    @property
    def attributes(self) -> list[tuple[str, str]]:
        """Return what the page can be narrowed down by: names and values, without empty ones."""
        shown_only = ("fingerprint", "made")
        return [item for item in self._asdict().items() if item[1] and item[0] not in shown_only]


NOTHING: Final = About()


@dataclass(frozen=True)
class Exhibit:
    """One table of the page.

    Attributes:
        sheet: its words and numbers.
        title: its heading; empty where it stands under a heading of its own.
        about: what all of it is about.
        methods: per line, the texts that a filter by method looks in; none where it does not apply.
        abouts: per line, what that is about; none where all are about the same.
        anchors: per line, the id of the row; none where nothing points to one.
        directions: per column, query and gallery of its numbers; none where they are no mAP.
        selection: rule that chose the state.
        said: sentences before it.
        fold: what opens on request only: nothing, its numbers, or all of it.
    """

    sheet: Sheet
    title: str = ""
    about: About = NOTHING
    methods: Sequence[str] = ()
    abouts: Sequence[About] = ()
    anchors: Sequence[str] = ()
    directions: Sequence[tuple[str, str]] = ()
    selection: str = ""
    said: Sequence[str] = ()
    fold: Fold = ""

    @property
    def wide(self) -> bool:
        """Whether it is wider than most screens."""
        return len(self.sheet.columns) >= WIDE

    @property
    def worded(self) -> list[bool]:
        """Return for each column whether it holds words, and neither numbers nor reasons for their lack."""
        return [
            not any(cell.number is not None or cell.missing or _COUNT.fullmatch(cell.text) for cell in cells)
            for cells in zip(*(line.cells for line in self.sheet.lines), strict=True)
        ]

    @property
    def varied(self) -> list[bool]:
        """Return for each column whether any of its numbers has a deviation."""
        return [
            any(cell.spread for cell in cells)
            for cells in zip(*(line.cells for line in self.sheet.lines), strict=True)
        ]

    @property
    def heads(self) -> list[tuple[Column, bool, str]]:
        """Return each column with whether it holds words, and its direction; empty where it has none."""
        directions = [f"{query}→{gallery}" if gallery else "" for query, gallery in self.directions]
        directions += [""] * (len(self.sheet.columns) - len(directions))
        return list(zip(self.sheet.columns, self.worded, directions, strict=True))

    @property
    def rows(self) -> list[tuple[Line, str, About, str]]:
        """Return each line with its method, what it is about and its id; empty where there is none."""
        count = len(self.sheet.lines)
        methods = self.methods or [""] * count
        abouts = self.abouts or [NOTHING] * count
        anchors = self.anchors or [""] * count
        return list(zip(self.sheet.lines, methods, abouts, anchors, strict=True))


def about_data(data: Data | None, protocol: str = "") -> About:
    """Return what is said of data, under a protocol if there is only one."""
    if data is None:
        return About(protocol=protocol)
    made = made_by(data.device, data.harness)
    return About(data.dataset, data.kind, data.profile, protocol, data.fingerprint, made)


def about_across(about: BlockKey) -> About:
    """Return what is said of something over several datasets."""
    return About("", about.kind, about.profile, about.protocol, made=made_by(about.device, about.harness))


def plain_sheet(name: str, headings: Sequence[str], lines: Iterable[Line], caption: str) -> Sheet:
    """Return a table without groups or notes; the first heading is that of the labels."""
    corner, *others = headings
    return Sheet(name, caption, corner, tuple(Column(heading) for heading in others), tuple(lines))


def number(value: float | None, digits: int = 2, records: Sequence[str] = ()) -> Cell:
    """Return a cell with a number, or a dash where there is none."""
    if value is None:
        return Cell("—", records=tuple(records))
    return Cell(f"{value:,.{digits}f}", number=float(value), records=tuple(records))
