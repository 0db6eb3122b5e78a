"""Tables as LaTeX: floats that compile as they are, with the packages booktabs and graphicx."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from bench.report.tables.latex_text import escape_latex
from bench.report.tables.sheet import Cell, Column, Line, Sheet

WIDEST: Final = 12
"""Columns of numbers side by side; a table with more is cut between groups, and the parts are stacked."""

NARROW: Final = 6
"""Columns of numbers that can still be read when they are shrunk to one column of a two-column page."""

LONGEST: Final = 40
"""Characters of a label that stand in one line."""

_SHRINK: Final = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Makes what is wider than the text as wide as the text, and leaves anything else alone."""

_EMPHASIS: Final = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "": "{}"}


class _Part(NamedTuple):
    """Columns that stand side by side."""

    columns: Sequence[Column]
    groups: Sequence[tuple[str, int]]
    start: int


def latex(sheet: Sheet) -> str:
    """Return a ``table`` with caption, label and notes; one that would be too wide is stacked in parts.

    Best numbers are bold, second ones underlined. What is wider than the text is shrunk to its width; a
    stacked table, and one of more than `NARROW` columns, spans both columns of a two-column page.
    """
    parts = _parts(sheet)
    width = max(len(part.columns) for part in parts)
    kind = "table*" if len(parts) > 1 or width > NARROW else "table"
    lines = [
        r"% needs: \usepackage{booktabs,graphicx}",
        rf"\begin{{{kind}}}[tbp]",
        r"\centering",
        rf"\caption{{{escape_latex(sheet.caption)}}}",
        rf"\label{{tab:{sheet.name}}}",
        _SHRINK,
        rf"\begin{{tabular}}{{{_labels(sheet.lines)}{'r' * width}}}",
        r"\toprule",
        *_stacked(_part(sheet, part, width) for part in parts),
        r"\bottomrule",
        r"\end{tabular}}",
        *_notes(sheet.notes),
        rf"\end{{{kind}}}",
    ]
    return "\n".join([*lines, ""])


def _labels(lines: Sequence[Line]) -> str:
    """Return the column of the labels: long ones are broken, since their width would shrink all the rest."""
    return "p{18em}" if any(len(line.label) > LONGEST for line in lines) else "l"


def _parts(sheet: Sheet) -> list[_Part]:
    """Cut the columns between groups so that no part is wider than `WIDEST`, unless a group is."""
    parts: list[_Part] = []
    start = end = 0
    groups: list[tuple[str, int]] = []
    for group in sheet.groups:
        if groups and end - start + group[1] > WIDEST:
            parts.append(_Part(sheet.columns[start:end], groups, start))
            groups, start = [], end
        groups = [*groups, group]
        end += group[1]
    return [*parts, _Part(sheet.columns[start:end], groups, start)]


def _stacked(parts: Iterable[list[str]]) -> Iterator[str]:
    for place, lines in enumerate(parts):
        if place:
            yield r"\midrule"
        yield from lines


def _part(sheet: Sheet, part: _Part, width: int) -> list[str]:
    rest = [""] * (width - len(part.columns))
    heads = [escape_latex(column.heading) for column in part.columns]
    lines = [*_group_heads(part), _row([escape_latex(sheet.corner), *heads, *rest]), r"\midrule"]
    end = part.start + len(part.columns)
    return [*lines, *(_line(line, line.cells[part.start : end], rest) for line in sheet.lines)]


def _group_heads(part: _Part) -> list[str]:
    if not any(group for group, _ in part.groups):
        return []
    heads, rules, column = [""], [], 2
    for group, count in part.groups:
        heads.append(rf"\multicolumn{{{count}}}{{c}}{{{escape_latex(group)}}}")
        if group:
            rules.append(rf"\cmidrule(lr){{{column}-{column + count - 1}}}")
        column += count
    return [_row(heads), "".join(rules)]


def _line(line: Line, cells: Sequence[Cell], rest: Sequence[str]) -> str:
    return _row([escape_latex(line.label), *map(_cell, cells), *rest])


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    if cell.missing:
        return rf"\textit{{{text}}}"
    shown = _EMPHASIS[cell.place].format(text)
    if cell.spread:
        shown += rf"{{\scriptsize\,$\pm$\,{escape_latex(cell.spread)}}}"
    return rf"{shown}\textsuperscript{{{escape_latex(cell.mark)}}}" if cell.mark else shown


def _notes(notes: Sequence[str]) -> list[str]:
    if not notes:
        return []
    return [
        r"\par\smallskip",
        r"\begin{minipage}{\linewidth}\footnotesize",
        *(rf"{escape_latex(note)}\par" for note in notes),
        r"\end{minipage}",
    ]
