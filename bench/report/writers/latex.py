"""Tables as LaTeX: floats that compile as they are, with the packages booktabs and graphicx."""

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
"""Characters of a label that stand in one line."""

_SHRINK: Final = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Makes what is wider than the text as wide as the text, and leaves anything else alone."""
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
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
}
_LIGATURES: Final = {"--", "``", "''", ",,", "!`", "?`"}
"""Characters that together would become another one."""
_ACCENTS: Final = dict(
    zip(*("\u0300\u0301\u0302\u0303\u0304\u0307\u0308\u030a\u030b\u030c\u0327", "`'^~=.\"rHvc"), strict=True)
)
"""Combining characters and the letters of LaTeX's commands for them."""


def escape(text: str) -> str:
    """Return text in one line with nothing left that LaTeX would read as a command.

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
    spans = _spans(exhibit)
    width = max(end - start for start, end in spans)
    kind = "table*" if len(spans) > 1 or width > NARROW else "table"
    # Long labels are broken, since their width would shrink all the rest.
    labels = "p{18em}" if any(len(line.label) > LONGEST for line in exhibit.lines) else "l"
    body: list[str] = []
    for start, end in spans:
        body += [r"\midrule"] if body else []
        body += _stacked(exhibit, start, end, width)
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


def _spans(exhibit: TableExhibit) -> list[tuple[int, int]]:
    """Cut the columns between groups so that no part is wider than `WIDEST`, unless a group is."""
    spans: list[tuple[int, int]] = []
    start = end = 0
    for _, count in exhibit.groups:
        if end > start and end - start + count > WIDEST:
            spans.append((start, end))
            start = end
        end += count
    return [*spans, (start, end)]


def _stacked(exhibit: TableExhibit, start: int, end: int, width: int) -> list[str]:
    """Return heads and rows of the columns from ``start`` to ``end``, filled up to ``width`` columns."""
    rest = [""] * (width - (end - start))
    columns = exhibit.columns[start:end]
    lines = []
    if any(column.group for column in columns):
        lines += _group_heads(exhibit, start, end)
    heads = [escape(column.heading) for column in columns]
    lines += [_row([escape(exhibit.corner), *heads, *rest]), r"\midrule"]
    rows = ([escape(line.label), *map(_cell, line.cells[start:end]), *rest] for line in exhibit.lines)
    return [*lines, *map(_row, rows)]


def _group_heads(exhibit: TableExhibit, start: int, end: int) -> list[str]:
    heads, rules, place = [""], [], 0
    for group, count in exhibit.groups:
        if start <= place < end:
            heads.append(rf"\multicolumn{{{count}}}{{c}}{{{escape(group)}}}")
            if group:
                first = place - start + 2
                rules.append(rf"\cmidrule(lr){{{first}-{first + count - 1}}}")
        place += count
    return [_row(heads), "".join(rules)]


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.missing:
        return rf"\textit{{{text}}}"
    shown = _EMPHASIS[cell.emphasis].format(text)
    if cell.spread:
        shown += rf"{{\scriptsize\,$\pm$\,{escape(cell.spread)}}}"
    return rf"{shown}\textsuperscript{{{escape(cell.mark)}}}" if cell.mark else shown
