"""Versions of code as records state them, such as ``data 1, evaluation 2``: compared and put in words."""

from __future__ import annotations

import re
from typing import Final

_PART: Final = re.compile(r"\s*(\S+) (\d+)\s*")

EARLIER: Final = "earlier code"
"""Of records from before versions were recorded."""


def parts_of(versions: str) -> dict[str, int] | None:
    """Return the version of each part; None where the text has another form or is empty."""
    found = [_PART.fullmatch(part) for part in versions.split(",")]
    return {part[1]: int(part[2]) for part in found if part} if all(found) else None


def newest_first(versions: str) -> tuple[bool, tuple[int, ...], str]:
    """Return a key that sorts newer versions before older ones, and records without any last."""
    parts = parts_of(versions) or {}
    return not versions, tuple(-parts[name] for name in sorted(parts)), versions


def difference(versions: str, other: str) -> str:
    """Return in what ``versions`` differ from ``other``, such as ``earlier code: evaluation 1``."""
    if not versions:
        return EARLIER
    one, another = parts_of(versions), parts_of(other)
    if one is None or another is None:
        return f"code: {versions}"
    unlike = {name: number for name, number in one.items() if another.get(name) != number}
    earlier = all(number < another.get(name, 0) for name, number in unlike.items())
    words = ", ".join(f"{name} {number}" for name, number in unlike.items())
    return f"{EARLIER if earlier else 'code'}: {words or versions}"


def short(versions: str) -> str:
    """Return versions in short: their numbers, as ``1.2.1``; the text itself where it has another form."""
    parts = parts_of(versions)
    return versions if parts is None else ".".join(map(str, parts.values()))
