"""The last words of a run: what was done, skipped, failed and why, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.commands.phrases import printable
from bench.contract.errors import DataError
from bench.execution.campaign import count_statuses
from bench.experiment.grid import Cell
from bench.records.store import Store

_LINES: Final = 9
"""Reasons that are printed; the others are counted."""

_LENGTH: Final = 200
"""Letters of a reason."""


@dataclass(frozen=True)
class Ran:
    """How a run went.

    Attributes:
        cells: that ended in it.
        seconds: that it took.
        stopped: whether Ctrl-C ended it.
        what: part of the grid, such as ``shard 1/4``; empty for all of it.
        left_out: why cells of a dataset were not run, by the dataset as given.
    """

    cells: int
    seconds: float
    stopped: bool
    what: str
    left_out: Mapping[str, str]


def summarise(cells: Sequence[Cell], store: Store, ran: Ran) -> tuple[list[str], bool]:
    """Return the lines to print, and whether every cell is done or skipped for a declared reason."""
    counts = count_statuses(cells, store)
    total = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    part = f" of {ran.what}" if ran.what else ""
    lines = [f"{len(cells)} cells{part}: {total or 'none'}; {ran.cells} run now in {ran.seconds:.1f} s"]
    if counts["done"] < len(cells):
        lines += _reasons(cells, store, ran)
    bad = len(cells) - counts["done"] - counts["skipped"]
    if ran.stopped and counts["missing"]:
        lines.append("next: the same command again; it runs only what is missing")
    elif bad:
        lines.append(f"why: python -m bench status --results {store.root}; to try again: add --retry all")
    elif counts["done"]:
        if ran.what:
            lines.append(f"other shards: python -m bench merge OTHER_RESULTS --results {store.root}")
        lines.append(f"next: python -m bench report --results {store.root}")
    return lines, not bad


def _reasons(cells: Sequence[Cell], store: Store, ran: Ran) -> list[str]:
    """Return a line per status and reason, the most frequent first."""
    statuses = store.statuses()
    groups: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        status = statuses.get(cell.identity.digest, "missing")
        if status != "done":
            key = (status, _reason(cell, store) if status != "missing" else _absence(cell, store, ran))
            groups.setdefault(key, []).append(cell.title)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = [_line(*key, titles) for key, titles in ordered[:_LINES]]
    if len(ordered) > _LINES:
        cut = sum(len(titles) for _, titles in ordered[_LINES:])
        lines.append(f"  and {len(ordered) - _LINES} more reasons for {cut} cells")
    return lines


def _line(status: str, reason: str, titles: Sequence[str]) -> str:
    others = f" and {len(titles) - 1} more" if len(titles) > 1 else ""
    first = reason if len(reason) <= _LENGTH else reason[: _LENGTH - 3] + "..."
    return f"  {len(titles)} {status}: {printable(titles[0])}{others}: {printable(first)}"


def _reason(cell: Cell, store: Store) -> str:
    try:
        failure = store.read(cell.identity.digest).failure
    except DataError as error:
        return str(error)
    return failure.reason.partition("\n")[0] if failure is not None else ""


def _absence(cell: Cell, store: Store, ran: Ran) -> str:
    if cell.source in ran.left_out:
        return "its data is left out, as said above"
    if any(problem.folder.name == cell.identity.digest for problem in store.problems):
        return "its record cannot be read, as said above"
    return "not run before the run was stopped" if ran.stopped else "not recorded"
