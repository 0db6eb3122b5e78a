"""Strict keys: which records may share a table (`Data`) and a row of it (`RowKey`); how rows are labelled."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bench.analysis.labels import Labels, is_as_usual, made, newest_first, usual_of, version_difference
from bench.contract.errors import BenchError
from bench.records.schema import Environment, Identity, Record


class MixedCells(BenchError):
    """Two cells would give one number: a mistake in how records are grouped, never averaged over."""


class Data(NamedTuple):
    """What records must share to stand in one table, a mean over datasets apart; nothing of it is mixed.

    Attributes:
        kind: ``real`` or ``look-alike``.
        profile: ``quick`` or ``paper``.
        dataset: registry name.
        fingerprint: digest of the data.
        device: kind of device, such as ``cpu`` or ``cuda``.
        harness: versions of the rooms that all numbers depend on; empty for records of layout 1.
    """

    kind: str
    profile: str
    dataset: str
    fingerprint: str
    device: str
    harness: str


class RowKey(NamedTuple):
    """What the records of one row of a table share; their seeds, and the pairs of modalities, may differ.

    Attributes:
        method: registry name.
        variant: ``full`` or the name of an ablation.
        threads: CPU threads of the fit.
        modalities: of a fit on three or more; empty for fits on two, of which each gives other directions.
        settings: as JSON.
        code: versions of the method and its toolkit.
        device: kind of device of the identity; empty in layout 1.
    """

    method: str
    variant: str
    threads: int
    modalities: tuple[str, ...]
    settings: str
    code: str
    device: str


class RowGroup(NamedTuple):
    """The records of one row of a table.

    Attributes:
        label: the method's title, with variant and whatever sets the row apart from the usual.
        records: in the order of their digests.
        usual: whether it stands for the method: as it is usually set, and the last such row that was made.
        title: the method's title, with its registry name where another method has the same.
        key: what the records share.
    """

    label: str
    records: list[Record]
    usual: bool
    title: str
    key: RowKey

    @property
    def identity(self) -> Identity:
        """Return the identity of one of the records: all share it but for seed and pair of modalities."""
        return self.records[0].identity

    @property
    def modalities(self) -> list[str]:
        """Return the modalities of any of the records, each once."""
        return list(dict.fromkeys(name for record in self.records for name in record.identity.modalities))


_Rows = Mapping[RowKey, Sequence[Record]]


def data_of(record: Record) -> Data:
    """Return what a record must share with others to stand in one table with them."""
    cell = record.identity
    device = device_of(cell, record.environment)
    return Data(cell.data_kind, cell.profile, cell.dataset, cell.fingerprint, device, cell.harness)


def device_of(identity: Identity, run: Environment) -> str:
    """Return the kind of device that a cell was planned for, or of layout 1 the kind that it ran on."""
    return identity.device or run.device.partition(":")[0]


def by_data(records: Iterable[Record]) -> dict[Data, list[Record]]:
    """Return the records of each data: real before look-alikes, by profile and name, newest code first."""
    groups: dict[Data, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.digest):
        groups[data_of(record)].append(record)
    return {key: groups[key] for key in sorted(groups, key=data_order)}


def data_order(data: Data) -> tuple[object, ...]:
    """Return the key by which data are sorted wherever they are listed."""
    return (data.kind != "real", *data[1:-1], newest_first(data.harness))


def row_key(identity: Identity) -> RowKey:
    """Return what two records must share to stand in one row."""
    together = identity.modalities if len(identity.modalities) > 2 else ()
    settings = json.dumps(identity.settings, sort_keys=True)
    shared = identity.code, identity.device
    return RowKey(identity.method, identity.variant, identity.threads, together, settings, *shared)


def row_groups(records: Sequence[Record], labels: Labels) -> list[RowGroup]:
    """Return the rows that records of one data make, in the roster's order.

    Raises:
        MixedCells: if two records would give the same number.
    """
    rows = _rows(records)
    usual = _standing_for_their_methods(rows, labels)
    counts = Counter(labels.title(method) for method in {key.method for key in rows})
    titles = {
        key.method: labels.title(key.method)
        + ("" if counts[labels.title(key.method)] == 1 else f" ({key.method})")
        for key in rows
    }
    names = _row_labels(rows, usual, titles, labels)

    def order(key: RowKey) -> tuple[Any, ...]:
        return labels.order(key.method), key.variant != "full", key.variant, key not in usual, names[key]

    return [
        RowGroup(names[key], rows[key], key in usual and key.variant == "full", titles[key.method], key)
        for key in sorted(rows, key=order)
    ]


def _rows(records: Sequence[Record]) -> dict[RowKey, list[Record]]:
    """Return the records of each row; those that would meet in a direction and seed are kept apart."""
    groups: dict[RowKey, list[Record]] = defaultdict(list)
    for record in records:
        groups[row_key(record.identity)].append(record)
    rows: dict[RowKey, list[Record]] = defaultdict(list)
    for key, members in groups.items():
        apart = _meeting(members)
        for record in members:
            rows[key._replace(modalities=record.identity.modalities) if apart else key].append(record)
    for members in rows.values():
        if digests := _meeting(members):
            raise MixedCells(
                f"{members[0].identity.title}: records {' and '.join(digests)} are of one cell of a table"
            )
    return rows


def _meeting(members: Sequence[Record]) -> tuple[str, str] | None:
    """Return the digests of two records of the same modalities and seed; None where there are none."""
    known: dict[tuple[frozenset[str], int], str] = {}
    for record in members:
        cell = frozenset(record.identity.modalities), record.identity.seed
        if cell in known:
            return known[cell], record.digest
        known[cell] = record.digest
    return None


def _standing_for_their_methods(rows: _Rows, labels: Labels) -> set[RowKey]:
    """Return of each method, and of each variant, the row that stands for it.

    That is the row with the settings that were usual when it was made, or, where that is unknown, with the
    only settings that there are. Of several, as after a change of the code or of a settings file, a row with
    a result comes first, then that of most modalities, then that of a single thread, then the last made.
    """
    best: dict[tuple[str, str], tuple[tuple[Any, ...], RowKey]] = {}
    settings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for key in rows:
        settings[key.method, key.variant].add(key.settings)
    for key, members in rows.items():
        family = key.method, key.variant
        only = len(settings[family]) == 1
        known = [(record, is_as_usual(record, labels)) for record in members]
        usual = [record for record, as_usual in known if as_usual or (as_usual is None and only)]
        if usual:
            modalities = {name for record in members for name in record.identity.modalities}
            done = any(record.status == "done" for record in members)
            rank = done, len(modalities), key.threads == 1, max(map(made, usual))
            best[family] = max(best.get(family, (rank, key)), (rank, key))
    return {key for _, key in best.values()}


def _row_labels(
    rows: _Rows, usual: set[RowKey], titles: Mapping[str, str], labels: Labels
) -> dict[RowKey, str]:
    """Return a label for every row that no other row has."""
    families: dict[tuple[str, str], dict[RowKey, Sequence[Record]]] = defaultdict(dict)
    for key, members in rows.items():
        families[key.method, key.variant][key] = members
    names: dict[RowKey, str] = {}
    for family in families.values():
        base = next((key for key in family if key in usual), None)
        for key in family:
            words = [*_unusual_settings(key, family, base, labels), *_unusual_code(key, family, base)]
            variant = "" if key.variant == "full" else f" {key.variant}"
            names[key] = titles[key.method] + variant + (f" [{', '.join(words)}]" if words else "")
    counts = Counter(names.values())
    for key, label in names.items():
        if counts[label] > 1:
            names[key] = f"{label} #{hashlib.sha256(repr(tuple(key)).encode()).hexdigest()[:6]}"
    return names


def differs_in(row: RowGroup, rows: Iterable[RowGroup]) -> list[str]:
    """Return in words what sets a row apart from others of its method and variant, but for settings."""
    family = [group for group in rows if group.key[:2] == row.key[:2]]
    base = next((group.key for group in family if group.usual), None)
    return _unusual_code(row.key, {group.key: group.records for group in family}, base)


def _unusual_settings(key: RowKey, family: _Rows, base: RowKey | None, labels: Labels) -> list[str]:
    """Return in words in which settings a row differs from the row that stands for its method and variant.

    Without such a row the settings that were usual count, and where these are not known all other rows.
    """
    last = {member: max(records, key=made) for member, records in family.items()}
    settings, usual = last[key].identity.settings, usual_of(last[key], labels)
    if base is not None:
        peers: list[Mapping[str, Any]] = [last[base].identity.settings]
    else:
        peers = [record.identity.settings for record in last.values()] if usual is None else [usual]
    return [
        f"{name}={json.dumps(settings.get(name))}"
        for name in sorted({name for each in (settings, *peers) for name in each})
        if any(peer.get(name) != settings.get(name) for peer in peers)
    ]


def _unusual_code(key: RowKey, family: _Rows, base: RowKey | None) -> list[str]:
    """Return in words what else than settings sets a row apart: threads, modalities, versions of code."""
    words = [f"threads={key.threads}"] if key.threads != 1 else []
    if len({member.modalities for member in family}) > 1:
        sets = sorted({record.identity.modalities for record in family[key]})
        words.append("+".join(sets[0]) if len(sets) == 1 else "in pairs")
    newest = base or max(family, key=lambda member: max(map(made, family[member])))
    if key.code != newest.code:
        words.append(version_difference(key.code, newest.code))
    return words
