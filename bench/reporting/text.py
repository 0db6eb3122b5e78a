"""Tables as Markdown, LaTeX and CSV; the same table always gives the same bytes."""

from __future__ import annotations

import csv
import io
import re

from tabulate import tabulate

from bench.analysis.groups import Data
from bench.analysis.marks import marks_note
from bench.analysis.tables import AVERAGE, Direction, Entry, Row, Table

PSEUDO_PAIRS = "†"
_FIELDS = (
    *("dataset", "data_kind", "profile", "fingerprint", "protocol", "selection"),
    *("method", "label", "pairing"),
    *("query", "gallery", "mean", "deviation", "seeds", "significance", "reason", "records"),
)
_LATEX = {
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
    # These have a meaning right after the end of a row.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    PSEUDO_PAIRS: r"\textdagger{}",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "—": "---",
}


def markdown(table: Table) -> str:
    """Return the table as GitHub Markdown; best number bold, second underlined, per column."""
    ranks = _ranks(table)
    header = ["Method", *(_heading(column) for column in table.columns), "seeds"]
    body = [
        [
            escape_markdown(_label(row)),
            *(_markdown_entry(row.entries[c], ranks[c], row) for c in table.columns),
            _seeds(row),
        ]
        for row in table.rows
    ]
    text = tabulate(body, headers=header, tablefmt="github", disable_numparse=True)
    notes = "".join(f"\n{escape_markdown(note)}\n" for note in _notes(table))
    return f"### {escape_markdown(caption(table))}\n\n{text}\n{notes}"


def latex(table: Table) -> str:
    """Return the table as a LaTeX ``tabular`` that needs the package booktabs; notes stand in comments."""
    ranks = _ranks(table)
    lines = [
        f"% {_latex(caption(table))}",
        *(f"% {_latex(note)}" for note in _notes(table)),
        r"\begin{tabular}{l" + "r" * (len(table.columns) + 1) + "}",
        r"\toprule",
        " & ".join(["Method", *(_latex(_heading(c)) for c in table.columns), "seeds"]) + r" \\",
        r"\midrule",
    ]
    lines += [
        " & ".join(
            [
                _latex(_label(row)),
                *(_latex_entry(row.entries[c], ranks[c], row) for c in table.columns),
                _seeds(row),
            ]
        )
        + r" \\"
        for row in table.rows
    ]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def csv_text(table: Table) -> str:
    """Return the table as CSV, one line per method and direction, numbers in full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_FIELDS)
    for row in table.rows:
        for column in table.columns:
            entry = row.entries[column]
            writer.writerow(
                [
                    table.dataset,
                    table.kind,
                    table.profile,
                    table.fingerprint,
                    table.protocol,
                    table.selection,
                    row.method,
                    row.label,
                    row.pairing,
                    *column,
                    "" if entry.mean is None else repr(entry.mean),
                    "" if entry.deviation is None else repr(entry.deviation),
                    entry.seeds,
                    entry.mark,
                    entry.reason,
                    " ".join(entry.records),
                ]
            )
    return out.getvalue()


def caption(table: Table) -> str:
    """Return what a table shows, in one line."""
    kind = "" if table.kind == "real" else " — LOOK-ALIKE, generated data, not the benchmark"
    return (
        f"{table.dataset}{kind} — {table.protocol}, {table.profile} profile, selection {table.selection}, "
        f"data {table.fingerprint[:8]}"
    )


def _heading(column: Direction) -> str:
    return "average" if column == AVERAGE else f"{column[0]}→{column[1]}"


def _label(row: Row) -> str:
    return row.label + (f" {PSEUDO_PAIRS}" if row.pairing else "")


def _seeds(row: Row) -> str:
    counts = sorted({entry.seeds for entry in row.entries.values()})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"


def _number(entry: Entry) -> str:
    text = f"{entry.mean:.3f}"
    return text if entry.deviation is None else f"{text} ± {entry.deviation:.3f}"


def _ranks(table: Table) -> dict[Direction, list[str]]:
    """Return the two highest printed means per column; reference points do not compete."""
    ranks = {}
    for column in table.columns:
        entries = [row.entries[column] for row in table.rows if row.role != "reference"]
        means = {f"{entry.mean:.3f}" for entry in entries if entry.mean is not None}
        ranks[column] = sorted(means, reverse=True)[:2]
    return ranks


def _place(entry: Entry, ranks: list[str], row: Row) -> int | None:
    mean = f"{entry.mean:.3f}"
    return ranks.index(mean) if row.role != "reference" and mean in ranks else None


def _markdown_entry(entry: Entry, ranks: list[str], row: Row) -> str:
    if entry.mean is None:
        return "—"
    text, place = _number(entry), _place(entry, ranks, row)
    shown = {0: f"**{text}**", 1: f"<u>{text}</u>"}.get(-1 if place is None else place, text)
    return f"{shown}<sup>{escape_markdown(entry.mark)}</sup>" if entry.mark else shown


def _latex_entry(entry: Entry, ranks: list[str], row: Row) -> str:
    if entry.mean is None:
        return "---"
    text, place = _latex(_number(entry)), _place(entry, ranks, row)
    shown = {0: rf"\textbf{{{text}}}", 1: rf"\underline{{{text}}}"}.get(-1 if place is None else place, text)
    return rf"{shown}\textsuperscript{{{_latex(entry.mark)}}}" if entry.mark else shown


def _notes(table: Table) -> list[str]:
    notes = []
    if any(row.pairing for row in table.rows):
        notes.append(f"{PSEUDO_PAIRS} trained on class-matched pseudo-pairs, since the data has no pairs.")
    if table.reference:
        notes.append(marks_note(table))
    for row in table.rows:
        known = " ".join(row.lacking)
        reasons = {entry.reason for entry in row.entries.values() if entry.reason}
        said = [*row.lacking, *sorted(reason for reason in reasons if reason not in known)]
        notes += [f"{row.label}: {reason}" for reason in said]
    return notes


def data_heading(data: Data) -> str:
    """Return what data a section of a page is about, as Markdown."""
    return escape_markdown(data_name(data))


def data_name(data: Data) -> str:
    """Return what data something is about, in one line of plain text."""
    kind = "" if data.kind == "real" else " — LOOK-ALIKE, generated data, not the benchmark"
    return f"{data.dataset}{kind} — {data.profile} profile, data {data.fingerprint[:8]}"


def stem_of(data: Data) -> str:
    """Return the name of a file about data, without an ending."""
    return file_stem(data.dataset, data.kind, data.profile, data.fingerprint[:8])


def file_stem(*parts: str) -> str:
    """Return the name of a file, without an ending, from any texts."""
    return re.sub(r"[^A-Za-z0-9.@_-]+", "-", "_".join(parts)).lstrip(".-")


def escape_markdown(text: str) -> str:
    """Return text in one line with everything escaped that Markdown or HTML would read as markup."""
    text = " ".join(text.split())
    for character in "\\`*_[]|#~$":
        text = text.replace(character, f"\\{character}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
