"""Fills marked sections of a document with tables of the report.

A section is between two HTML comments, invisible in Markdown. The first names a dataset and a protocol, for
the table of clean data (the profile may be left out), or any table of the report by the name of its files,
with ``*``::

    <!-- table: emoji map@all quick -->
    <!-- end of table -->
    <!-- exhibit: drops_emoji_real_* -->
    <!-- end of table -->
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from bench.analysis.groups import CLEAN
from bench.analysis.labels import newest_first
from bench.analysis.tables import Table
from bench.atomic import read_state
from bench.contract import UsageError
from bench.records.protocols import base_of
from bench.report.exhibit import TableExhibit
from bench.report.files import write_file
from bench.report.text import table_caption
from bench.report.topics.map_tables import table_exhibit
from bench.report.writers import markdown

_SECTION = re.compile(
    r"(?P<start><!-- (?:table: (?P<dataset>\S+) (?P<protocol>\S+)(?: (?P<profile>(?!--)\S+))?"
    r"|exhibit: (?P<exhibit>\S+)) -->\n)"
    r"(?:(?!<!-- (?:table|exhibit): ).)*?(?P<end><!-- end of table -->)",
    re.DOTALL,
)


def fill(
    document: Path, tables: Sequence[Table], exhibits: Callable[[], Sequence[TableExhibit]] = tuple
) -> int:
    """Fill every marked section of a text file with a mAP table, or one of all exhibits; returns how many.

    ``exhibits`` is called only if a section names one.

    Raises:
        UsageError: if the document is absent, no text or has no such section, or a table has no records, or
            more than one table fits (several profiles, devices or data versions).
    """
    try:
        text = read_state(document).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UsageError(f"cannot fill {document}: {reason}") from error
    plain = text.replace("\r\n", "\n")

    def filled(section: re.Match[str]) -> str:
        table = _named(section["exhibit"], exhibits()) if section["exhibit"] else _of_data(section, tables)
        return f"{section['start']}\n{markdown.table(table).strip()}\n\n{section['end']}"

    content, count = _SECTION.subn(filled, plain)
    if not count:
        raise UsageError(
            f"{document} has no section to fill; mark one with the lines <!-- table: DATASET PROTOCOL --> "
            "and <!-- end of table -->"
        )
    write_file(document, content if plain == text else content.replace("\n", "\r\n"), durable=True)
    return count


def _of_data(section: re.Match[str], tables: Sequence[Table]) -> TableExhibit:
    dataset, protocol, profile = section["dataset"], section["protocol"], section["profile"]
    fitting = [
        table
        for table in tables
        if (table.data.dataset, table.data.condition) == (dataset, CLEAN)
        and base_of(table.protocol) == base_of(protocol)
        and profile in (None, table.data.profile)
    ]
    if not fitting:
        raise UsageError(
            f"the document names a table of {dataset} under {protocol}, but no record has such a result"
        )
    newest = min(newest_first(table.data.harness) for table in fitting)  # earlier code is not quoted
    fitting = [table for table in fitting if newest_first(table.data.harness) == newest]
    if len(fitting) > 1:
        found = "; ".join(table_caption(table) for table in fitting)
        raise UsageError(f"{len(fitting)} tables match {dataset} {protocol}, but one is needed: {found}")
    return table_exhibit(fitting[0])


def _named(pattern: str, exhibits: Sequence[TableExhibit]) -> TableExhibit:
    fitting = [one for one in exhibits if fnmatchcase(one.name, pattern)]
    if len(fitting) != 1:
        found = f": {'; '.join(one.name for one in fitting)}" if fitting else ""
        raise UsageError(f"{len(fitting)} tables match {pattern}, but one is needed{found}")
    return fitting[0]
