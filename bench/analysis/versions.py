"""Versions of code as records state them, such as ``data 1, evaluation 2``: compared and put in words."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_PART: Final = re.compile(r"\s*(\S+) (?:(\d{1,7})(?:\+(\S+))?|(\S+))\s*")

EARLIER: Final = "earlier code"
"""Of records from before versions were recorded."""


class Version(NamedTuple):
    """Version of one part of the code.

    Attributes:
        number: as it was confirmed; 0 where only a digest names it.
        digest: of code that was edited since, or that has no number; empty otherwise.
    """

    number: int
    digest: str

    def __str__(self) -> str:
        """Return the version as records state it."""
        return "+".join(part for part in (str(self.number or ""), self.digest) if part)


def parts_of(versions: str) -> dict[str, Version] | None:
    """Return the version of each part; None where the text is empty or has another form."""
    found = [_PART.fullmatch(part) for part in versions.split(",")]
    if not all(found):
        return None
    return {part[1]: Version(int(part[2] or 0), part[3] or part[4] or "") for part in found if part}


def newest_first(versions: str) -> tuple[bool, tuple[int, ...], str]:
    """Return a key that sorts newer versions before older ones, and records without any last."""
    parts = parts_of(versions) or {}
    return not versions, tuple(-parts[name].number for name in sorted(parts)), versions


def difference(versions: str, other: str) -> str:
    """Return in what ``versions`` differ from ``other``, such as ``earlier code: evaluation 1``."""
    if not versions:
        return EARLIER
    one, another = parts_of(versions), parts_of(other)
    if one is None or another is None:
        return f"code: {versions}"
    unlike = {name: version for name, version in one.items() if another.get(name) != version}
    numbers = [(version.number, another.get(name, version).number) for name, version in unlike.items()]
    earlier = bool(numbers) and all(number < newer for number, newer in numbers)
    words = ", ".join(f"{name} {version}" for name, version in unlike.items())
    return f"{EARLIER if earlier else 'code'}: {words or versions}"


def short(versions: str) -> str:
    """Return versions in short, as ``1.2.1``; the text itself where it has another form."""
    parts = parts_of(versions)
    return versions if parts is None else ".".join(map(str, parts.values()))
