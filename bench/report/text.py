"""Captions, names of files, and any text as Markdown that shows it and nothing else."""

from __future__ import annotations

import re

from bench.analysis.groups import Data
from bench.analysis.labels import EARLIER, short_versions
from bench.analysis.tables import Table


def caption(table: Table) -> str:
    """Return what a table shows, in one line."""
    data = table.data
    return (
        f"{data.dataset}{_unlike(data)} — {table.protocol}, {data.profile} profile, selection "
        f"{table.selection}, {_version(data)}"
    )


def data_heading(data: Data) -> str:
    """Return what data a section of a page is about, as Markdown."""
    return escape_markdown(data_name(data))


def data_name(data: Data) -> str:
    """Return what data something is about, in one line of plain text."""
    return f"{data.dataset}{_unlike(data)} — {data.profile} profile, {_version(data)}"


def made_by(device: str, harness: str) -> str:
    """Return what made numbers, as far as it is not the usual: another device than a CPU, which harness."""
    parts = [] if device == "cpu" else [f"device {device or 'unknown'}"]
    parts.append(f"harness {short_versions(harness)}" if harness else EARLIER)
    return ", ".join(parts)


def stem_of(data: Data) -> str:
    """Return the name of a file about data, without an ending; unlike that of any other data."""
    return file_stem(data.dataset, data.kind, data.profile, data.fingerprint[:8], *made_by_stem(*data[-2:]))


def made_by_stem(device: str, harness: str) -> list[str]:
    """Return what the name of a file says of what made its numbers."""
    return [
        part for part in ("" if device == "cpu" else device or "unknown", short_versions(harness)) if part
    ]


def _unlike(data: Data) -> str:
    return "" if data.kind == "real" else " — LOOK-ALIKE, generated data, not the benchmark"


def _version(data: Data) -> str:
    return f"data {data.fingerprint[:8]}, {made_by(data.device, data.harness)}"


def file_stem(*parts: str) -> str:
    """Return the name of a file, without an ending, from any texts."""
    return re.sub(r"[^A-Za-z0-9.@_-]+", "-", "_".join(parts)).lstrip(".-")


def escape_markdown(text: str) -> str:
    """Return text in one line with everything escaped that Markdown or HTML would read as markup."""
    text = " ".join(text.split())
    for character in "\\`*_[]|#~$":
        text = text.replace(character, f"\\{character}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
