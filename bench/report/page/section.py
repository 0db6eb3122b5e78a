"""What a section of the page is made of: headings over words, tables and figures, without markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.page.exhibits import Exhibit
from bench.report.page.figures import Drawing


@dataclass(frozen=True)
class Part:
    """What stands under one heading of a section.

    Attributes:
        title: heading; empty for what stands right under the section's own.
        said: paragraphs.
        exhibits: tables.
        drawings: figures.
        notes: what holds for several of the tables.
        lists: names and sentences of what opens on request.
        kind: ``real`` or ``look-alike`` where all of it is.
    """

    title: str = ""
    said: Sequence[str] = ()
    exhibits: Sequence[Exhibit] = ()
    drawings: Sequence[Drawing] = ()
    lists: Sequence[tuple[str, Sequence[str]]] = ()
    notes: Sequence[str] = ()
    kind: str = ""

    @property
    def empty(self) -> bool:
        """Whether it says and shows nothing."""
        return not (self.said or self.exhibits or self.drawings or self.lists)


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes:
        anchor: its id.
        title: its heading.
        parts: what stands in it.
    """

    anchor: str
    title: str
    parts: Sequence[Part]
