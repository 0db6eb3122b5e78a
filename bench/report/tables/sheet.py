"""A table before it has a format: words, numbers and what stands out, ready to be written in any."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

Place = Literal["", "best", "second"]


@dataclass(frozen=True)
class Column:
    """The head of a column; all text is plain.

    Attributes:
        heading: what stands above the numbers.
        meaning: the same in full, where the heading is an abbreviation.
        group: what stands above this and the neighbouring columns of the same group; may be empty.
    """

    heading: str
    meaning: str = ""
    group: str = ""


@dataclass(frozen=True)
class Cell:
    """One place of a table; all text is plain.

    Attributes:
        text: the number, or in a few words why there is none.
        place: whether it is the best or the second of its column.
        mark: set above the text: a letter of significance or a sign that a note explains.
        missing: whether the text says why there is no number.
        number: the same in full precision, to sort by; None where there is none.
        records: digests of the records behind it, or of those that say why there is no number.
        spread: the deviation over seeds; empty where there is none.
    """

    text: str
    place: Place = ""
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
    """A row: its label and a cell per column."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Sheet:
    """A table that `markdown`, `latex` and `table_element` write.

    Attributes:
        name: of its files, without an ending; unlike any other's.
        caption: what it shows, in one line.
        corner: heading of the labels.
        columns: heads.
        lines: rows.
        notes: sentences below it.
    """

    name: str
    caption: str
    corner: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Return each group's heading and how many columns it spans; ungrouped columns stand alone."""
        runs = groupby(enumerate(self.columns), lambda item: item[1].group or item[0])
        found = [(key, len(list(members))) for key, members in runs]
        return [(key if isinstance(key, str) else "", count) for key, count in found]

    @property
    def grouped(self) -> bool:
        """Whether any columns have a common heading."""
        return any(column.group for column in self.columns)
