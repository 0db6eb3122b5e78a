"""Tables as LaTeX floats, for the packages booktabs and graphicx."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

from bench.report.exhibit import Cell, TableExhibit

WIDEST: Final = 12
"""Columns of numbers side by side; a table with more is cut between groups, and the parts are stacked."""
NARROW: Final = 6
"""Columns of numbers that can still be read when they are shrunk to one column of a two-column page."""
LONGEST: Final = 40
"""Characters of a label up to which it is not broken into lines."""

_SHRINK: Final = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Shrinks a table to the width of the text if it is wider."""
_EMPHASIS: Final = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "": "{}"}
_SPECIAL: Final = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    **{letter: f"{{{letter}}}" for letter in "[]*"},  # they have a meaning right after the end of a row
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "\u00d7": r"$\times$",
    "—": "---",
    "\u2013": "--",
    **{letter: rf"\{name}{{}}" for letter, name in zip("ßøØæÆ", ("ss", "o", "O", "ae", "AE"), strict=True)},
}
_LIGATURES: Final = {"--", "``", "''", ",,", "!`", "?`"}
"""Characters that together would become another one."""
_ACCENTS: Final = dict(
    zip(*("\u0300\u0301\u0302\u0303\u0304\u0307\u0308\u030a\u030b\u030c\u0327", "`'^~=.\"rHvc"), strict=True)
)
"""Combining characters and the letters of LaTeX's commands for them."""


def escape(text: str) -> str:
    """Return text in one line, escaped for LaTeX.

    Letters with accents are composed; what LaTeX's usual fonts lack is given by its code, as in ``[U+4E2D]``.
    """
    line = " ".join(text.split())
    pairs = zip(f" {line}", line, strict=False)
    return "".join(
        ("{}" if first + second in _LIGATURES else "") + _letter(second) for first, second in pairs
    )


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if " " <= letter <= "}":
        return letter
    base, *marks = list(unicodedata.normalize("NFD", letter))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return f"\\{_ACCENTS[marks[0]]}{{{base}}}"
    return f"{{[}}U+{ord(letter):04X}{{]}}"


def table(exhibit: TableExhibit) -> str:
    """Return a ``table`` with caption, label and notes; one that would be too wide is stacked in parts.

    Best numbers are bold, second ones underlined. What is wider than the text is shrunk to its width; a
    stacked table, and one of more than `NARROW` columns, spans both columns of a two-column page.
    """
    parts = _parts(exhibit)
    width = max(sum(count for *_, count in part) for part in parts)
    kind = "table*" if len(parts) > 1 or width > NARROW else "table"
    # Long labels are broken, since their width would shrink all the rest.
    labels = "p{18em}" if any(len(line.label) > LONGEST for line in exhibit.lines) else "l"
    body = [line for part in parts for line in (r"\midrule", *_stacked(exhibit, part, width))][1:]
    notes = [rf"{escape(note)}\par" for note in exhibit.notes]
    boxed = [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize", *notes, r"\end{minipage}"]
    lines = [
        r"% needs: \usepackage{booktabs,graphicx}",
        rf"\begin{{{kind}}}[tbp]",
        r"\centering",
        rf"\caption{{{escape(exhibit.caption)}}}",
        rf"\label{{tab:{exhibit.name}}}",
        _SHRINK,
        rf"\begin{{tabular}}{{{labels}{'r' * width}}}",
        r"\toprule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        *(boxed if notes else []),
        rf"\end{{{kind}}}",
    ]
    return "\n".join([*lines, ""])


def _parts(exhibit: TableExhibit) -> list[list[tuple[str, int, int]]]:
    """Return the groups of each part, no wider than `WIDEST` unless a group is: heading, start, columns."""
    parts: list[list[tuple[str, int, int]]] = [[]]
    start = 0
    for group, count in exhibit.groups:
        if parts[-1] and start + count - parts[-1][0][1] > WIDEST:
            parts.append([])
        parts[-1].append((group, start, count))
        start += count
    return parts


def _stacked(exhibit: TableExhibit, part: Sequence[tuple[str, int, int]], width: int) -> list[str]:
    """Return heads and rows of a part, filled up to ``width`` columns."""
    start, columns = part[0][1] if part else 0, sum(count for *_, count in part)
    inside, rest, lines = slice(start, start + columns), [""] * (width - columns), []
    if any(group for group, *_ in part):
        heads = [rf"\multicolumn{{{count}}}{{c}}{{{escape(group)}}}" for group, _, count in part]
        ends = [(at - start + 2, at - start + count + 1) for group, at, count in part if group]
        lines += [_row(["", *heads]), "".join(rf"\cmidrule(lr){{{first}-{last}}}" for first, last in ends)]
    heads = [escape(column.heading) for column in exhibit.columns[inside]]
    lines += [_row([escape(exhibit.corner), *heads, *rest]), r"\midrule"]
    rows = ([escape(line.label), *map(_cell, line.cells[inside]), *rest] for line in exhibit.lines)
    return [*lines, *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.number is not None and text.startswith("-"):
        text = f"$-${text[1:]}"  # a hyphen is shorter than a minus sign
    if cell.missing:
        return rf"\textit{{{text}}}"
    shown = _EMPHASIS[cell.emphasis].format(text)
    if cell.spread:
        shown += rf"{{\scriptsize\,$\pm$\,{escape(cell.spread)}}}"
    return rf"{shown}\textsuperscript{{{escape(cell.mark)}}}" if cell.mark else shown
