"""Stale records: the versions of the code in their identity are not those of the present code.

They are kept: their numbers are those of the code that made them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import msgspec

from bench import registry
from bench.experiment.conditions import harness_of
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
        again: whether the present code has a finished record of the cell, too.
    """

    record: Record
    changes: tuple[str, ...]
    again: bool = False


def versions_apart(old: tuple[str, str], new: tuple[str, str]) -> tuple[str, ...]:
    """Return the differences of versions in words; given are those of the harness and of the method."""
    words: dict[str, None] = {}
    for before, after in zip(old, new, strict=True):
        was, now = (
            {part.rpartition(" ")[0]: part.rpartition(" ")[2] for part in text.split(", ") if part}
            for text in (before, after)
        )
        if before != after and not was:
            words["made before code had versions"] = None
        for name in [*was, *now] if was else ():
            if was.get(name) != now.get(name):
                words[f"{name} {was.get(name, 'unknown')} → {now.get(name, 'gone')}"] = None
    return tuple(words)


def stale_changes(record: Record) -> tuple[str, ...]:
    """Return in words the versions of the code that have changed since a record."""
    return tuple(change for stale in stale_records([record]) for change in stale.changes)


def stale_records(records: Sequence[Record], versions: registry.Versions | None = None) -> list[Stale]:
    """Return the records that other code made, in their order."""
    versions = registry.Versions() if versions is None else versions
    code_of, harness_under = cache(versions.code), cache(partial(harness_of, versions=versions))
    rows = []
    for record in records:
        cell = record.identity
        # A method that is gone keeps its version.
        present = harness_under(cell.condition), code_of(cell.method) or cell.code
        rows.append((record, (cell.harness, cell.code), present))
    stale = [row for row in rows if row[1] != row[2]]
    fresh = {_cell(record) for record, old, new in rows if old == new} if stale else set()
    apart = cache(versions_apart)
    return [Stale(record, apart(old, new), _cell(record) in fresh) for record, old, new in stale]


def stale_cells(
    cells: Sequence[Cell], store: Store, known: Collection[str] | None = None
) -> dict[str, Stale]:
    """Return, by digest, the cells that only other code has finished, with the newest such record.

    A cell that failed with the present code is not among them: its failure is what is known now. If the code
    at hand has a record of every cell (``known``: their digests), none is read whole.
    """
    have = set(store.statuses() if known is None else known)
    wanted = {_key(cell.identity): cell.identity for cell in cells if cell.identity.digest not in have}
    found: dict[str, Stale] = {}
    for record in store.records() if wanted else ():
        identity, old = wanted.get(_cell(record)), record.identity
        if identity is None or record.status != "done" or record.digest == identity.digest:
            continue
        earlier = found.get(identity.digest)
        if earlier is None or earlier.record.environment.started < record.environment.started:
            changes = versions_apart((old.harness, old.code), (identity.harness, identity.code))
            found[identity.digest] = Stale(record, changes)
    return found


def newest(records: Sequence[Record], *, earlier: bool = False) -> list[Record]:
    """Return one record per cell: that of the present code, or else the newest that other code made.

    With ``earlier`` those of the present code are left out.
    """
    stale = {old.record.digest for old in stale_records(records)}
    ordered = sorted(records, key=lambda record: (record.digest not in stale, record.environment.started))
    chosen = {_cell(record): record for record in ordered if not earlier or record.digest in stale}
    return [record for record in records if chosen.get(_cell(record)) is record]


def made_by_other_code(wanted: Iterable[Identity], known: Collection[Identity]) -> int:
    """Return how many of the wanted identities are known but for the versions of the code."""
    have, keys = {identity.digest for identity in known}, {_key(identity) for identity in known}
    return sum(identity.digest not in have and _key(identity) in keys for identity in wanted)


def sentences(stale: Sequence[Stale]) -> list[str]:
    """Return a sentence per kind of change: how many records are stale, of which methods, and why."""
    groups: dict[tuple[str, ...], list[Stale]] = defaultdict(list)
    for record in stale:
        groups[record.changes].append(record)
    found = []
    for changes, members in sorted(groups.items()):
        names = sorted({member.record.identity.method for member in members})
        more = f" and {len(names) - _NAMED} more methods" if len(names) > _NAMED else ""
        again = sum(member.again for member in members)
        known = f"; results of the present code are there for {again} of them" if again else ""
        number = "1 record is" if len(members) == 1 else f"{len(members)} records are"
        found.append(f"{number} stale ({', '.join(names[:_NAMED])}{more}): {', '.join(changes)}{known}")
    return found


def identity_of(record: Record) -> Identity:
    """Return a record's identity; one of layout 1 gets the kind of device from the environment."""
    if record.identity.device:
        return record.identity
    device = record.environment.device.partition(":")[0]
    return msgspec.structs.replace(record.identity, device=device)


def _cell(record: Record) -> str:
    """Return a key of a record's cell that does not depend on the code."""
    return _key(identity_of(record))


def _key(identity: Identity) -> str:
    return msgspec.structs.replace(identity, harness="", code="").digest
