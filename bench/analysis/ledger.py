"""The reproduction ledger: every published value beside ours, or why nothing stands beside it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final, Literal, NamedTuple

from bench import registry
from bench.analysis.cells import AVERAGE, NOT_RUN, Cells, Entry
from bench.analysis.groups import Data, by_data, in_order
from bench.analysis.lines import Line, lines_of
from bench.analysis.naming import Naming
from bench.analysis.published import Meaning, Published, Value
from bench.records.schema import Record

REPRODUCED: Final = 0.01
CLOSE: Final = 0.03
"""Largest differences of mAP, in either direction, of these verdicts."""

SEEDS: Final = 5
"""Of the command that would run what nobody has run yet."""

_SELECTION: Final = "best"
"""No other rule is a result."""

_ROUNDING: Final = 1e-9

Verdict = Literal[
    "reproduced",
    "close",
    "not reproduced",
    "not comparable",
    "no result",
    "not run yet",
    "not in this project",
]
"""``no result``: it was run as it should be, and failed."""


class Ours(NamedTuple):
    """What the records have for a published value.

    Attributes:
        data: kind, profile, dataset and version.
        entry: mean over seeds, or why there is none.
        other: why these records cannot stand beside a published value, such as ``look-alike``; empty if
            they can.
    """

    data: Data
    entry: Entry
    other: str


@dataclass(frozen=True)
class LedgerLine:
    """A published value and ours.

    Attributes:
        value: as printed.
        meaning: what its names mean here.
        ours: what the records have; None where they have nothing.
        difference: ours minus the published value; None unless they can be compared.
        verdict: see `Verdict`.
        because: why there is no difference; empty where there is one.
        command: what would run it; empty where it need not or cannot be run.
    """

    value: Value
    meaning: Meaning
    ours: Ours | None
    difference: float | None
    verdict: Verdict
    because: str = ""
    command: str = ""


def ledger_of(records: Iterable[Record], naming: Naming, published: Published) -> list[LedgerLine]:
    """Return a line per published value and version of the real data that it can be held against.

    Only full methods with their usual settings, on real data, in the paper profile, under the same protocol
    and on the same modalities are held against a published value. Where there are none such, what there is
    instead is named.
    """
    shelf = _Shelf(records, naming)
    return [line for value in published.values for line in _lines(value, published.meaning(value), shelf)]


def run_command(methods: Sequence[str], dataset: str, modalities: Sequence[str] = ()) -> str:
    """Return the command that runs methods as they were published.

    Args:
        methods: registry names.
        dataset: registry name.
        modalities: which of the dataset's take part; all if empty.
    """
    words = ["python", "-m", "bench", "run", "--profile", "paper", "--datasets", dataset]
    words += ["--methods", ",".join(methods), "--seeds", str(SEEDS)]
    words += ["--modalities", ",".join(modalities)] if modalities else []
    return shlex.join(words)


def confined_to(meaning: Meaning) -> tuple[str, ...]:
    """Return the modalities that a run must be confined to; empty where the dataset has no others."""
    every = registry.registered().datasets[meaning.dataset].card.modalities
    return meaning.modalities if len(meaning.modalities) < len(every) else ()


class _Shelf:
    """The records, found by what published values ask for; each question is answered once."""

    def __init__(self, records: Iterable[Record], naming: Naming) -> None:
        self._naming = naming
        self._records: dict[tuple[str, str], list[Record]] = {}
        for record in records:
            who = record.identity
            if who.variant == "full":
                self._records.setdefault((who.method, who.dataset), []).append(record)
        self._lines: dict[tuple[str, str, tuple[str, ...]], list[tuple[Data, Line]]] = {}
        self._cells: dict[tuple[str, ...], Cells] = {}

    def ours(self, meaning: Meaning) -> list[Ours]:
        """Return what there is of a method on a dataset's modalities, the most comparable first."""
        assert meaning.direction is not None
        key = (meaning.method, meaning.dataset, meaning.modalities)
        if key not in self._lines:
            self._lines[key] = self._found(meaning)
        found = [
            Ours(data, self._entry(line, meaning), self._other(data, line)) for data, line in self._lines[key]
        ]
        return sorted(
            found,
            key=lambda ours: (ours.other != "", ours.entry.mean is None, ours.other, in_order(ours.data)),
        )

    def _found(self, meaning: Meaning) -> list[tuple[Data, Line]]:
        own = self._records.get((meaning.method, meaning.dataset), [])
        fitting = [record for record in own if _took(record, meaning.modalities)]
        return [
            (data, line)
            for data, members in by_data(fitting).items()
            for line in lines_of(members, self._naming)
        ]

    def _entry(self, line: Line, meaning: Meaning) -> Entry:
        key = (*(record.digest for record in line.records), meaning.protocol)
        if key not in self._cells:
            self._cells[key] = Cells(line.records, meaning.protocol, _SELECTION)
        cells = self._cells[key]
        if meaning.direction != AVERAGE and meaning.direction is not None:
            return cells.entry(meaning.direction)
        return cells.average(list(permutations(meaning.modalities, 2)))

    def _other(self, data: Data, line: Line) -> str:
        if data.kind != "real":
            return "look-alike: generated data, not the benchmark"
        if data.profile != "paper":
            return f"other profile: {data.profile}"
        split = registry.registered().datasets[data.dataset].card.split
        for result in (record.result for record in line.records):
            if result is not None and result.split != split:
                return f"other split: {result.split}"
        return "" if line.usual else f"other settings: {line.label}"


def _took(record: Record, modalities: Sequence[str]) -> bool:
    """Return whether a cell is of these modalities: all at once, or one pair of several for a pair method."""
    own = record.identity.modalities
    if set(own) == set(modalities):
        return True
    found = registry.registered().methods.get(record.identity.method)
    card = record.method.card if record.method is not None else {}
    takes_more = found.card.any_modalities if found is not None else card.get("any_modalities", True)
    return not takes_more and len(own) == 2 and set(own) <= set(modalities)


def _lines(value: Value, meaning: Meaning, shelf: _Shelf) -> list[LedgerLine]:
    if not (meaning.method and meaning.dataset):
        lacking = [
            *([] if meaning.method else [f"method {value.method}"]),
            *([] if meaning.dataset else [f"dataset {value.dataset}"]),
        ]
        because = f"this project has no {' and no '.join(lacking)}"
        return [LedgerLine(value, meaning, None, None, "not in this project", because)]
    if meaning.because:
        return [LedgerLine(value, meaning, None, None, "not comparable", meaning.because)]
    found = shelf.ours(meaning)
    command = run_command([meaning.method], meaning.dataset, confined_to(meaning))
    comparable = [ours for ours in found if not ours.other]
    if comparable:
        return [_compared(value, meaning, ours, command) for ours in comparable]
    if found:
        return [LedgerLine(value, meaning, found[0], None, "not comparable", found[0].other, command)]
    alone = f" of {'+'.join(meaning.modalities)} alone" if confined_to(meaning) else ""
    return [LedgerLine(value, meaning, None, None, "not run yet", f"no record{alone}", command)]


def _compared(value: Value, meaning: Meaning, ours: Ours, command: str) -> LedgerLine:
    if ours.entry.brief == NOT_RUN:
        because = "not all pairs of modalities were run"
        return LedgerLine(value, meaning, ours, None, "not run yet", because, command)
    if ours.entry.mean is None:
        return LedgerLine(value, meaning, ours, None, "no result", ours.entry.reason)
    difference = ours.entry.mean - value.value
    return LedgerLine(value, meaning, ours, difference, verdict_of(difference))


def verdict_of(difference: float) -> Verdict:
    """Return the verdict on a difference of mAP."""
    size = abs(difference) - _ROUNDING
    if size <= REPRODUCED:
        return "reproduced"
    return "close" if size <= CLOSE else "not reproduced"
