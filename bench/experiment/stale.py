"""Stale records: of a cell that is wanted now, made by other code.

A record is stale where the versions of the code in its identity are not those of the code at hand. It is
kept: its numbers are those of the code that made them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from bench import registry
from bench.experiment.grid import Cell
from bench.records.schema import Identity, Record
from bench.records.store import Store

_NAMED = 4
"""Methods that a sentence names; the others are counted."""


@dataclass(frozen=True)
class Stale:
    """A record that other code made.

    Attributes:
        record: of any status.
        changes: what differs now, such as ``evaluation 1 → 2``.
        again: whether the code at hand has a finished record of the cell, too.
    """

    record: Record
    changes: tuple[str, ...]
    again: bool = False


def changes_of(old: Identity, new: Identity) -> tuple[str, ...]:
    """Return in words which versions of the code differ between two identities of a cell; none if none do."""
    return versions_apart((old.harness, old.code), (new.harness, new.code))


def versions_apart(old: tuple[str, str], new: tuple[str, str]) -> tuple[str, ...]:
    """Return in words how versions differ, given as those of the harness and those of the method's code."""
    words: list[str] = []
    for before, after in zip(old, new, strict=True):
        if before == after:
            continue
        was, now = (_by_name(text) for text in (before, after))
        if not was:
            words.append("made before code had versions")
        words += [
            f"{name} {was.get(name, 'unknown')} → {now.get(name, 'gone')}"
            for name in dict.fromkeys([*was, *now])
            if was and was.get(name) != now.get(name)
        ]
    return tuple(dict.fromkeys(words))


def _by_name(versions: str) -> dict[str, str]:
    parts = (part.rpartition(" ") for part in versions.split(", ") if part)
    return {name: version for name, _, version in parts}


def stale_changes(record: Record) -> tuple[str, ...]:
    """Return in words which versions of the code differ now from those that made a record."""
    return tuple(change for stale in stale_records([record]) for change in stale.changes)


def stale_records(records: Sequence[Record], versions: registry.Versions | None = None) -> list[Stale]:
    """Return the records that other code made, in their order."""
    versions = registry.Versions() if versions is None else versions
    stale: list[tuple[Record, tuple[str, ...]]] = []
    fresh: set[str] = set()
    for record in records:
        made_by = record.identity.harness, record.identity.code
        # A method that is gone keeps its version.
        present = versions.harness, versions.code(record.identity.method) or record.identity.code
        if made_by == present:
            fresh.add(_cell(record))
        else:
            stale.append((record, versions_apart(made_by, present)))
    return [Stale(record, changes, _cell(record) in fresh) for record, changes in stale]


def stale_cells(
    cells: Sequence[Cell], store: Store, known: Collection[str] | None = None
) -> dict[str, Stale]:
    """Return, by digest, the cells that only other code has finished, with the newest such record.

    A cell that failed with the code at hand is not among them: its failure is what is known now.

    Args:
        cells: that are wanted.
        store: where records are; if the code at hand has one of every cell, none is read whole.
        known: digests of the records by the code at hand; None to look them up.
    """
    have = set(store.statuses() if known is None else known)
    wanted = {_key(cell.identity): cell for cell in cells if cell.identity.digest not in have}
    newest_of: dict[str, Stale] = {}
    for record in store.records() if wanted else ():
        cell = wanted.get(_cell(record))
        if cell is None or record.status != "done" or record.digest == cell.identity.digest:
            continue
        known_one = newest_of.get(cell.identity.digest)
        if known_one is None or known_one.record.environment.started < record.environment.started:
            newest_of[cell.identity.digest] = Stale(record, changes_of(record.identity, cell.identity))
    return newest_of


def newest(records: Sequence[Record], *, earlier: bool = False) -> list[Record]:
    """Return one record per cell: that of the code at hand, or else the newest that other code made.

    Args:
        records: of any status.
        earlier: leave out those of the code at hand.
    """
    stale = {stale.record.digest for stale in stale_records(records)}
    chosen: dict[str, Record] = {}
    for record in sorted(
        records, key=lambda record: (record.digest not in stale, record.environment.started)
    ):
        if not earlier or record.digest in stale:
            chosen[_cell(record)] = record
    return [record for record in records if chosen.get(_cell(record)) is record]


def made_by_other_code(wanted: Iterable[Identity], known: Collection[Identity]) -> int:
    """Return how many of the wanted identities are known but for the versions of the code."""
    have = {identity.digest for identity in known}
    keys = {_key(identity) for identity in known}
    return sum(identity.digest not in have and _key(identity) in keys for identity in wanted)


def sentences(stale: Sequence[Stale]) -> list[str]:
    """Return a sentence per kind of change: how many records are stale, of which methods, and why."""
    groups: dict[tuple[str, ...], list[Stale]] = defaultdict(list)
    for record in stale:
        groups[record.changes].append(record)
    return [_sentence(changes, members) for changes, members in sorted(groups.items())]


def _sentence(changes: tuple[str, ...], members: Sequence[Stale]) -> str:
    names = sorted({member.record.identity.method for member in members})
    more = f" and {len(names) - _NAMED} more methods" if len(names) > _NAMED else ""
    again = sum(member.again for member in members)
    known = f"; {again} of these cells were made again since" if again else ""
    number = "1 record is" if len(members) == 1 else f"{len(members)} records are"
    return f"{number} stale ({', '.join(names[:_NAMED])}{more}): {', '.join(changes)}{known}"


def identity_of(record: Record) -> Identity:
    """Return a record's identity; one of layout 1 gets the kind of device from the environment."""
    if record.identity.device:
        return record.identity
    device = record.environment.device.partition(":")[0]
    return msgspec.structs.replace(record.identity, device=device)


def _cell(record: Record) -> str:
    """Return which cell a record is of, whatever code made it."""
    return _key(identity_of(record))


def _key(identity: Identity) -> str:
    return msgspec.structs.replace(identity, harness="", code="").digest
