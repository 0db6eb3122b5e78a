"""Captions, file names, and foreign text in one line without control characters."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from bench.analysis.across_datasets import BlockKey
from bench.analysis.groups import CLEAN, Data
from bench.analysis.labels import EARLIER, short_versions
from bench.analysis.statistics import LEVEL
from bench.analysis.tables import Table
from bench.conditions.names import validation_rows

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def visible(text: str) -> str:
    """Return text in one line; characters that cannot be shown are replaced by U+FFFD.

    These are control characters, surrogates, and characters that turn the direction of writing.
    """
    line = " ".join(text.split())
    if line.isprintable():
        return line
    hidden = (unicodedata.category(one) in ("Cc", "Cf", "Cs") or ord(one) & 0xFFFE == 0xFFFE for one in line)
    return "".join(_REPLACEMENT if one else letter for one, letter in zip(hidden, line, strict=True))


def table_caption(table: Table) -> str:
    """Return the caption of a table."""
    data = table.data
    return (
        f"{data.dataset}{_unlike(data)} — {table.protocol}, {data.profile} profile, selection "
        f"{table.selection}, {under(data, table.effective)}{_version(data)}"
    )


def data_name(data: Data) -> str:
    """Return data with profile, condition and versions, for captions."""
    return f"{data.dataset}{_unlike(data)} — {data.profile} profile, {under(data)}{_version(data)}"


def condition_name(about: Data | BlockKey) -> str:
    """Return the condition of data; empty for clean data."""
    return "" if about.condition == CLEAN else about.condition


def under(about: Data | BlockKey, effective: str = "") -> str:
    """Return the condition, its effective level and validation rows for a caption; empty for clean data."""
    if not (name := condition_name(about)):
        return ""
    facts = ", ".join(filter(None, (f"effective {effective}" if effective else "", validation_rows(name))))
    return f"under {name} ({facts}), " if facts else f"under {name}, "


def dataset_title(dataset: str, condition: str) -> str:
    """Return a dataset with its condition, as a heading."""
    return f"{dataset} under {condition}" if condition not in ("", CLEAN) else dataset


def kind_remark(kind: str) -> str:
    """Return the kind of several datasets for a title; empty for real data."""
    return "" if kind == "real" else " — LOOK-ALIKES, generated data, not the benchmarks"


def made_by(device: str, harness: str) -> str:
    """Return the device of numbers, where it is no CPU, and the versions of the harness."""
    parts = [] if device == "cpu" else [f"device {device or 'unknown'}"]
    parts.append(f"harness {short_versions(harness)}" if harness else EARLIER)
    return ", ".join(parts)


def data_stem(data: Data) -> str:
    """Return the name of a file about data, without an ending; different for other data."""
    return file_stem(
        *(data.dataset, data.kind, data.profile, data.fingerprint[:8]),
        *made_by_stem(data.device, data.harness, data.condition),
    )


def made_by_stem(device: str, harness: str, condition: str = CLEAN) -> list[str]:
    """Return device, versions and condition as parts of a file's name."""
    device = "" if device == "cpu" else device or "unknown"
    return [*filter(None, (device, short_versions(harness), condition if condition != CLEAN else ""))]


def block_stem(what: str, key: BlockKey) -> str:
    """Return the name of a file about several datasets, without an ending."""
    rule = key.kind, key.profile, key.protocol, key.selection
    return file_stem(what, *rule, *made_by_stem(key.device, key.harness, key.condition))


def block_rule(key: BlockKey) -> str:
    """Return profile, selection, condition, device and versions of several datasets, for a caption."""
    made = f"{under(key)}{made_by(key.device, key.harness)}"
    return f"{key.profile} profile, selection {key.selection}, {made}"


_LONGEST_STEM: Final = 180
"""Letters of a file's name that leave room for endings and temporary names: file systems allow 255 bytes."""


def file_stem(*parts: str) -> str:
    """Return the name of a file, without an ending, from any texts; a digest ends a shortened one."""
    stem = re.sub(r"[^A-Za-z0-9.@_-]+", "-", "_".join(parts)).lstrip(".-")
    if len(stem) <= _LONGEST_STEM:
        return stem
    digest = hashlib.sha256(stem.encode("ascii")).hexdigest()[:16]
    return f"{stem[: _LONGEST_STEM - len(digest) - 1]}-{digest}"


def study_stem(data: Data, protocol: str, selection: str, *parts: str, mark: str = "") -> str:
    """Return the name of files about a table or parts of it; ``mark`` separates equal spellings."""
    return file_stem(
        *(*parts, data.dataset, data.kind, data.profile, protocol, selection, data.fingerprint[:8]),
        *(*made_by_stem(data.device, data.harness, data.condition), *([mark] if mark else [])),
    )


CONFIDENCE: Final = f"{LEVEL:.0%}".replace("%", " %")
"""The level of all intervals, as texts print it."""


def measure_name(protocol: str) -> str:
    """Return what the numbers of a protocol are, for axes and sentences: ``mAP``, or the protocol itself."""
    return "mAP" if protocol.startswith("map@") else protocol


def seed_range(counts: Iterable[int]) -> str:
    """Return how many seeds numbers have, such as ``1 seed`` or ``2 to 3 seeds``; none are left out."""
    known = sorted({count for count in counts if count}) or [0]
    few, many = known[0], known[-1]
    return f"{few} seed{'s' * (few != 1)}" if few == many else f"{few} to {many} seeds"


def short_hash(text: str) -> str:
    """Return six hexadecimal digits of a text's digest."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _unlike(data: Data) -> str:
    return "" if data.kind == "real" else " — LOOK-ALIKE, generated data, not the benchmark"


def _version(data: Data) -> str:
    return f"data {data.fingerprint[:8]}, {made_by(data.device, data.harness)}"
