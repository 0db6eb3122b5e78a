"""Any text as LaTeX that every engine compiles without further packages."""

from __future__ import annotations

import unicodedata
from typing import Final

_SPECIAL: Final = {
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    # These have a meaning right after the end of a row.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "\u00d7": r"$\times$",
    "—": "---",
    "\u2013": "--",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
}
_LIGATURES: Final = {"--", "``", "''", ",,", "!`", "?`"}
"""Characters that together would become another one."""
_ACCENTS: Final = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}


def escape_latex(text: str) -> str:
    """Return text in one line with nothing left that LaTeX would read as a command.

    Letters with accents are composed; what LaTeX's usual fonts lack is given by its code, as in ``[U+4E2D]``.
    """
    line = " ".join(text.split())
    pairs = zip(f" {line}", line, strict=False)
    return "".join(
        ("{}" if first + second in _LIGATURES else "") + _escaped(second) for first, second in pairs
    )


def _escaped(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if " " <= character <= "}":
        return character
    base, marks = unicodedata.normalize("NFD", character)[:1], unicodedata.normalize("NFD", character)[1:]
    if base.isascii() and base.isalpha() and marks in _ACCENTS:
        return f"\\{_ACCENTS[marks]}{{{base}}}"
    return f"{{[}}U+{ord(character):04X}{{]}}"
