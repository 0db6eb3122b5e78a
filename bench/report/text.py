"""Captions, file names, and foreign text in one line without control characters."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

from bench.analysis.groups import Data
from bench.analysis.labels import EARLIER, short_versions
from bench.analysis.tables import Table

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def visible(text: str) -> str:
    """Return text in one line; what cannot be shown is replaced by a sign that says so.

    That is control characters, surrogates, and characters that turn the direction of writing.
    """
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(map(_visible, line))


def _visible(letter: str) -> str:
    hidden = unicodedata.category(letter) in ("Cc", "Cf", "Cs") or ord(letter) & 0xFFFE == 0xFFFE
    return _REPLACEMENT if hidden else letter


def table_caption(table: Table) -> str:
    """Return what a table shows, in one line."""
    data = table.data
    return (
        f"{data.dataset}{_unlike(data)} — {table.protocol}, {data.profile} profile, selection "
        f"{table.selection}, {_version(data)}"
    )


def data_name(data: Data) -> str:
    """Return what data something is about, in one line."""
    return f"{data.dataset}{_unlike(data)} — {data.profile} profile, {_version(data)}"


def kind_remark(kind: str) -> str:
    """Return what a title over several datasets says of their kind; nothing for real data."""
    return "" if kind == "real" else " — LOOK-ALIKES, generated data, not the benchmarks"


def made_by(device: str, harness: str) -> str:
    """Return the device of numbers, where it is no CPU, and the versions of the harness."""
    parts = [] if device == "cpu" else [f"device {device or 'unknown'}"]
    parts.append(f"harness {short_versions(harness)}" if harness else EARLIER)
    return ", ".join(parts)


def data_stem(data: Data) -> str:
    """Return the name of a file about data, without an ending; unlike that of any other data."""
    return file_stem(
        *(data.dataset, data.kind, data.profile, data.fingerprint[:8]),
        *made_by_stem(data.device, data.harness),
    )


def made_by_stem(device: str, harness: str) -> list[str]:
    """Return what the name of a file says of the device and the versions behind its numbers."""
    return [
        part for part in ("" if device == "cpu" else device or "unknown", short_versions(harness)) if part
    ]


def file_stem(*parts: str) -> str:
    """Return the name of a file, without an ending, from any texts."""
    return re.sub(r"[^A-Za-z0-9.@_-]+", "-", "_".join(parts)).lstrip(".-")


def study_stem(*parts: str, data: Data, protocol: str, selection: str, mark: str = "") -> str:
    """Return the name of files about variants or settings; ``mark`` tells apart what is spelled alike."""
    return file_stem(
        *(*parts, data.dataset, data.kind, data.profile, protocol, selection, data.fingerprint[:8]),
        *(*made_by_stem(data.device, data.harness), *([mark] if mark else [])),
    )


def short_hash(text: str) -> str:
    """Return six digits that other texts hardly share."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _unlike(data: Data) -> str:
    return "" if data.kind == "real" else " — LOOK-ALIKE, generated data, not the benchmark"


def _version(data: Data) -> str:
    return f"data {data.fingerprint[:8]}, {made_by(data.device, data.harness)}"
