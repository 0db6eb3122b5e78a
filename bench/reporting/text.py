"""Captions, names of files, and any text as Markdown that shows it and nothing else."""

from __future__ import annotations

import re

from bench.analysis.groups import Data
from bench.analysis.tables import Table


def caption(table: Table) -> str:
    """Return what a table shows, in one line."""
    kind = "" if table.kind == "real" else " — LOOK-ALIKE, generated data, not the benchmark"
    return (
        f"{table.dataset}{kind} — {table.protocol}, {table.profile} profile, selection {table.selection}, "
        f"data {table.fingerprint[:8]}"
    )


def data_heading(data: Data) -> str:
    """Return what data a section of a page is about, as Markdown."""
    return escape_markdown(data_name(data))


def data_name(data: Data) -> str:
    """Return what data something is about, in one line of plain text."""
    kind = "" if data.kind == "real" else " — LOOK-ALIKE, generated data, not the benchmark"
    return f"{data.dataset}{kind} — {data.profile} profile, data {data.fingerprint[:8]}"


def stem_of(data: Data) -> str:
    """Return the name of a file about data, without an ending."""
    return file_stem(data.dataset, data.kind, data.profile, data.fingerprint[:8])


def file_stem(*parts: str) -> str:
    """Return the name of a file, without an ending, from any texts."""
    return re.sub(r"[^A-Za-z0-9.@_-]+", "-", "_".join(parts)).lstrip(".-")


def escape_markdown(text: str) -> str:
    """Return text in one line with everything escaped that Markdown or HTML would read as markup."""
    text = " ".join(text.split())
    for character in "\\`*_[]|#~$":
        text = text.replace(character, f"\\{character}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
