"""The last words of a run: what was done, skipped, failed and why, and what to type next."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench import registry
from bench.analysis.chance import near_chance
from bench.analysis.groups import row_key
from bench.cli.phrases import printable
from bench.contract.errors import DataError
from bench.execution.grid_runner import standings
from bench.experiment.grid import Cell
from bench.records.schema import STATUSES, Record
from bench.records.store import Store

_LINES: Final = 9
"""Reasons that are printed; the others are counted."""

_LENGTH: Final = 200
"""Letters of a reason."""

_ORDER: Final[tuple[str, ...]] = (*STATUSES, "stale", "missing")


@dataclass(frozen=True)
class Ran:
    """How a run went.

    Attributes:
        cells: that ended in it.
        seconds: that it took.
        stopped: whether Ctrl-C ended it.
        what: part of the grid, such as ``shard 1/4``; empty for all of it.
        left_out: why cells of a dataset were not run, by the dataset as given.
        unwritten: why cells that ended in it have no record, by digest: the disk was full.
        unstarted: digests of cells that were not started because of that.
    """

    cells: int
    seconds: float
    stopped: bool
    what: str
    left_out: Mapping[str, str]
    unwritten: Mapping[str, str] = field(default_factory=dict)
    unstarted: Collection[str] = ()


def summarise(cells: Sequence[Cell], store: Store, ran: Ran) -> tuple[list[str], bool]:
    """Return the lines to print, and whether every cell is done, by any code, or skipped as declared."""
    found = standings(cells, store, ran.unwritten)
    counts = Counter(found.values())
    ordered = sorted(counts.items(), key=lambda item: _ORDER.index(item[0]))
    total = ", ".join(f"{number} {status}" for status, number in ordered)
    part = f" of {ran.what}" if ran.what else ""
    lines = [f"{len(cells)} cells{part}: {total or 'none'}; {ran.cells} run now in {ran.seconds:.1f} s"]
    lines += _undrawn(cells, store)
    if counts["done"] < len(cells):
        lines += _reasons(cells, found, store, ran)
    if ran.cells:  # of a grid that was finished before, the report says it
        lines += _near_chance([cell for cell in cells if found[cell.identity.digest] == "done"], store)
    bad = len(cells) - counts["done"] - counts["skipped"] - counts["stale"]
    if ran.stopped and counts["missing"]:
        lines.append("next: the same command again; it runs only what is missing")
    elif ran.unwritten or ran.unstarted:
        lines.append(
            f"next: free some space for {store.root}, then the same command; it runs only what is missing"
        )
    elif bad:
        lines.append(f"why: python -m bench status --results {store.root}; to try again: add --retry all")
    elif counts["done"] or counts["stale"]:
        if ran.what:
            lines.append(f"other shards: python -m bench merge OTHER_RESULTS --results {store.root}")
        lines.append(f"next: python -m bench report --results {store.root}")
    return lines, not bad


def _reasons(cells: Sequence[Cell], found: Mapping[str, str], store: Store, ran: Ran) -> list[str]:
    """Return a line per status and reason, the most frequent first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        status = found[cell.identity.digest]
        if status == "stale":
            groups.setdefault((status, "other code finished it; --retry stale makes it again"), []).append(
                cell.title
            )
        elif status != "done":
            key = (status, _reason(cell, store, ran) if status != "missing" else _absence(cell, store, ran))
            groups.setdefault(key, []).append(cell.title)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = [_line(*key, titles) for key, titles in ordered[:_LINES]]
    if len(ordered) > _LINES:
        cut = sum(len(titles) for _, titles in ordered[_LINES:])
        lines.append(f"  and {len(ordered) - _LINES} more reasons for {cut} cells")
    return lines


def _near_chance(cells: Sequence[Cell], store: Store) -> list[str]:
    """Return a line per method and data whose mean over cells is near chance, with what to try."""
    methods = registry.registered().methods
    groups: dict[tuple[object, ...], list[Record]] = {}
    for cell in cells:
        who = cell.identity
        if who.method in methods and methods[who.method].card.role != "reference":
            key = (row_key(who), who.dataset, who.fingerprint)
            with contextlib.suppress(DataError):  # a damaged record is named where it is counted
                groups.setdefault(key, []).append(store.read(who.digest))
    found = [(records[0].identity, near) for records in groups.values() if (near := near_chance(records))]
    return [
        f"  near chance: {printable(who.method)}{'' if who.variant == 'full' else f'/{who.variant}'} on "
        f"{printable(who.dataset)}: {near.words}; {near.advice}"
        for who, near in found
    ]


def _undrawn(cells: Sequence[Cell], store: Store) -> list[str]:
    """Return a line per reason why figures leave out cells that are done, the most frequent first."""
    groups: dict[str, list[str]] = {}
    for cell in cells:
        reason = store.without_snapshot.get(cell.identity.digest)
        if reason is not None:
            groups.setdefault(reason, []).append(cell.title)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return [_line("done without a snapshot for figures", reason, titles) for reason, titles in ordered]


def _line(status: str, reason: str, titles: Sequence[str]) -> str:
    named = len(titles) if status == "disk-full" else 1  # of these there may be no other trace
    shown = titles[: min(named, _LINES)]
    others = f" and {len(titles) - len(shown)} more" if len(titles) > len(shown) else ""
    first = reason if len(reason) <= _LENGTH else reason[: _LENGTH - 3] + "..."
    return f"  {len(titles)} {status}: {printable('; '.join(shown))}{others}: {printable(first)}"


def _reason(cell: Cell, store: Store, ran: Ran) -> str:
    if cell.identity.digest in ran.unwritten:
        return ran.unwritten[cell.identity.digest]
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
    if cell.identity.digest in ran.unstarted:
        return "not started, because the disk of the results is full"
    return "not run before the run was stopped" if ran.stopped else "not recorded"
