"""Keeps tables in a document up to date: a marked place is filled with the table of the records.

A place is a pair of HTML comments, invisible in Markdown::

    <!-- table: emoji map@all -->
    <!-- end of table -->
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.analysis.tables import Table
from bench.contract import UsageError
from bench.reporting.files import write_text
from bench.reporting.text import markdown

_PLACE = re.compile(
    r"(?P<start><!-- table: (?P<dataset>\S+) (?P<protocol>\S+) -->\n).*?(?P<end><!-- end of table -->)",
    re.DOTALL,
)


def fill(document: Path, tables: Sequence[Table]) -> int:
    """Fill every marked place of a document; returns how many there were.

    Raises:
        UsageError: if the document is absent or has no such place, or a table has no records, or more
            than one table fits (several profiles or data versions).
    """
    if not document.is_file():
        raise UsageError(f"there is no document {document} to fill")
    content, count = _PLACE.subn(lambda place: _filled(place, tables), document.read_text(encoding="utf-8"))
    if not count:
        raise UsageError(
            f"{document} has no place to fill; mark one with <!-- table: DATASET PROTOCOL --> and "
            "<!-- end of table --> on lines of their own"
        )
    write_text(document, content)
    return count


def _filled(place: re.Match[str], tables: Sequence[Table]) -> str:
    dataset, protocol = place["dataset"], place["protocol"]
    fitting = [table for table in tables if (table.dataset, table.protocol) == (dataset, protocol)]
    if len(fitting) != 1:
        raise UsageError(
            f"{len(fitting)} tables of the records are for {dataset} and {protocol}; one is needed"
        )
    return f"{place['start']}\n{markdown(fitting[0]).strip()}\n\n{place['end']}"
