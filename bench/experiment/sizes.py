"""Amounts of memory in words; imports little, because every worker does when it starts."""

from __future__ import annotations

import re
from typing import Final

from bench.contract.errors import UsageError

_UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[KMGT])(?:I?B)?", re.IGNORECASE)


def parse_size(word: str) -> int:
    """Return the bytes of a word such as ``500M`` or ``1.5G``; units are powers of 1024.

    Raises:
        UsageError: for another word, or less than 1 MB.
    """
    match = _SIZE.fullmatch(word.strip())
    size = 0 if match is None else int(float(match["number"]) * _UNITS[match["unit"].upper()])
    if size < _UNITS["M"]:
        raise UsageError(
            f"{word!r} is not an amount of memory; write a number and a unit, such as 500M or 4G, from 1M on"
        )
    return size


def describe_size(size: int) -> str:
    """Return the shortest word for an amount of bytes; `parse_size` reads it to within a thousandth."""
    unit = next((name for name in "TGM" if size >= _UNITS[name]), "K")
    return f"{size / _UNITS[unit]:.4g}{unit}"


def memory_limit_text(limit: int) -> str:
    """Return the sentence on a memory limit that was exceeded."""
    return f"its worker may take {describe_size(limit)} beyond its libraries (--max-memory)"
