"""Selection optimism as a page and as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from bench.analysis.optimism import Optimism
from bench.analysis.tables import Spread
from bench.report.tables.arranging import ONE_SEED_NOTE
from bench.report.tables.markdown import markdown
from bench.report.tables.sheet import Cell, Column, Line, Sheet
from bench.report.tables.values import csv_of, data_values
from bench.report.text import data_name, escape_markdown, file_stem, stem_of

FIELDS: Final = (
    *("dataset", "data_kind", "profile", "fingerprint", "device", "harness"),
    *("protocol", "method", "label", "seeds"),
    *("best", "best_deviation", "last", "last_deviation", "oracle", "oracle_deviation"),
    *("gain", "gain_deviation", "gain_least", "gain_most", "records"),
)
INTRODUCTION: Final = (
    "What choosing the epoch on the test set would have added, had it been allowed: the oracle's mAP minus "
    "that of the epoch with the best validation mAP, average over directions. The oracle takes the epoch "
    "with the highest mean test mAP@all, so under another protocol it may also lose. Its numbers are no "
    "results; no table has them but under the name oracle. Closed-form methods choose no epoch."
)
NOTHING: Final = (
    "No record has a test-oracle trace; make some with: python -m bench run --trace-test "
    "(which runs finished cells without one again)"
)


def optimism_page(found: Sequence[Optimism]) -> str:
    """Return the page as Markdown: a table per data and protocol, or the command that makes one."""
    parts = ["# Selection optimism", escape_markdown(INTRODUCTION)]
    if not found:
        parts.append(escape_markdown(NOTHING))
    parts += [markdown(sheet, level=2).strip() for sheet in optimism_sheets(found)]
    return "\n\n".join(parts) + "\n"


def optimism_sheets(found: Sequence[Optimism]) -> list[Sheet]:
    """Return a table per data and protocol."""
    return [_sheet(list(members)) for _, members in groupby(found, lambda one: (one.data, one.protocol))]


def optimism_csv(found: Iterable[Optimism]) -> str:
    """Return a line per row and protocol, numbers in full."""
    return csv_of(FIELDS, map(_fields, found))


def _sheet(members: Sequence[Optimism]) -> Sheet:
    first = members[0]
    headings = ("best", "last", "oracle", "oracle - best", "least", "most", "seeds")
    return Sheet(
        name=file_stem("optimism", stem_of(first.data), first.protocol),
        caption=f"{data_name(first.data)} — {first.protocol}",
        corner="Method",
        columns=tuple(map(Column, headings)),
        lines=tuple(Line(one.label, tuple(_cells(one))) for one in members),
        notes=(ONE_SEED_NOTE,) if any(len(one.seeds) == 1 for one in members) else (),
    )


def _cells(one: Optimism) -> Iterator[Cell]:
    yield _cell(one.best, one.records)
    yield _cell(one.last, one.records)
    yield _cell(one.oracle, one.records)
    yield _cell(one.gain, one.records, sign="+")
    for gain in one.range:
        yield Cell(f"{gain:+.3f}", number=gain)
    yield Cell(str(len(one.seeds)), number=float(len(one.seeds)))


def _cell(spread: Spread | None, records: tuple[str, ...], sign: str = "") -> Cell:
    if spread is None:
        return Cell("not recorded", missing=True)
    deviation = "" if spread.deviation is None else f"{spread.deviation:.3f}"
    return Cell(f"{spread.mean:{sign}.3f}", number=spread.mean, records=records, spread=deviation)


def _fields(one: Optimism) -> tuple[object, ...]:
    return (
        *(*data_values(one.data), one.protocol, one.method, one.label),
        " ".join(map(str, one.seeds)),
        *(*one.best[:2], *(one.last or (None, None))[:2], *one.oracle[:2], *one.gain[:2], *one.range),
        " ".join(one.records),
    )
