"""Texts of records as letters of a figure: shown literally, in one line, no longer than there is room."""

from __future__ import annotations

import unicodedata
from typing import Final

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def literal(text: str) -> str:
    """Return text in one line without control characters, and those that turn the direction of writing.

    Each is replaced by a sign for what cannot be shown: none of them may stand in an SVG.
    """
    return "".join(
        _REPLACEMENT if unicodedata.category(letter).startswith("C") else letter
        for letter in " ".join(text.split())
    )


def shortened(text: str, letters: int = 24) -> str:
    """Return `literal` text of at most ``letters`` characters, an ellipsis in place of the rest."""
    shown = literal(text)
    return shown if len(shown) <= letters else f"{shown[: letters - 1].rstrip()}…"


def apart(texts: list[str], letters: int = 24) -> list[str]:
    """Return texts `shortened`, those numbered that would then be the same."""
    shown = [shortened(text, letters) for text in texts]
    return [
        one if shown.count(one) == 1 else f"{shortened(one, letters - 3)} {shown[: place + 1].count(one)}"
        for place, one in enumerate(shown)
    ]
