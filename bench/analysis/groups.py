"""Which records may share a table (`Data`) and a row (`RowKey`), and the labels of rows."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bench.analysis.labels import Labels, is_as_usual, made, newest_first, usual_of, version_difference
from bench.contract.errors import BenchError
from bench.records.schema import Environment, Identity, Record


class Data(NamedTuple):
    """What records must share to stand in one table: nothing of it is ever mixed.

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


def data_of(record: Record) -> Data:
    """Return what a record must share with others to stand in one table with them."""
    who = record.identity
    device = device_of(who, record.environment)
    return Data(who.data_kind, who.profile, who.dataset, who.fingerprint, device, who.harness)


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


class MixedCells(BenchError):
    """Two cells would give one number: a mistake in how records are put together, never averaged over."""


class RowKey(NamedTuple):
    """What the records of one row share; their seeds, and the pairs of modalities, may differ.

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
    """The records of one row.

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


_Rows = Mapping[RowKey, Sequence[Record]]


def row_key(identity: Identity) -> RowKey:
    """Return what two records must share to stand in one row."""
    together = identity.modalities if len(identity.modalities) > 2 else ()
    settings = json.dumps(identity.settings, sort_keys=True)
    return RowKey(
        *(identity.method, identity.variant, identity.threads, together, settings),
        *(identity.code, identity.device),
    )


def row_groups(records: Sequence[Record], labels: Labels) -> list[RowGroup]:
    """Return the rows that records of one data make, in the roster's order.

    Raises:
        MixedCells: if two records would give the same number.
    """
    rows = _rows(records)
    usual = _standing_for_their_methods(rows, labels)
    titles = _titles({kin.method for kin in rows}, labels)
    names = _row_labels(rows, usual, titles, labels)

    def order(kin: RowKey) -> tuple[Any, ...]:
        return labels.order(kin.method), kin.variant != "full", kin.variant, kin not in usual, names[kin]

    return [
        RowGroup(names[kin], list(rows[kin]), kin in usual and kin.variant == "full", titles[kin.method], kin)
        for kin in sorted(rows, key=order)
    ]


def _rows(records: Sequence[Record]) -> dict[RowKey, list[Record]]:
    """Return the records of each row; those that would meet in a direction and seed are kept apart."""
    groups: dict[RowKey, list[Record]] = defaultdict(list)
    for record in records:
        groups[row_key(record.identity)].append(record)
    rows: dict[RowKey, list[Record]] = defaultdict(list)
    for kin, members in groups.items():
        apart = _meeting(members)
        for record in members:
            own = kin._replace(modalities=record.identity.modalities) if apart else kin
            rows[own].append(record)
    for members in rows.values():
        if digests := _meeting(members):
            raise MixedCells(
                f"{members[0].identity.title}: records {' and '.join(digests)} are of one cell of a table"
            )
    return dict(rows)


def _meeting(members: Sequence[Record]) -> tuple[str, str] | None:
    """Return the digests of two records of the same modalities and seed; None where there are none."""
    known: dict[tuple[frozenset[str], int], str] = {}
    for record in members:
        key = frozenset(record.identity.modalities), record.identity.seed
        if key in known:
            return known[key], record.digest
        known[key] = record.digest
    return None


def _standing_for_their_methods(rows: _Rows, labels: Labels) -> set[RowKey]:
    """Return of each method, and of each variant, the row that stands for it.

    That is the one with the settings that were usual when it was made, or, where that is unknown, with the
    only settings that there are. Of several, as after a change of the
    code or of a settings file, a row with a result comes first, then the one of most modalities, then one of
    a single thread, then the one made last.
    """
    best: dict[tuple[str, str], tuple[tuple[Any, ...], RowKey]] = {}
    settings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for kin in rows:
        settings[kin.method, kin.variant].add(kin.settings)
    for kin, members in rows.items():
        only = len(settings[kin.method, kin.variant]) == 1
        known = [(record, is_as_usual(record, labels)) for record in members]
        usual = [record for record, as_usual in known if as_usual or (as_usual is None and only)]
        if usual:
            modalities = {name for record in members for name in record.identity.modalities}
            done = any(record.status == "done" for record in members)
            rank = done, len(modalities), kin.threads == 1, max(map(made, usual))
            key = kin.method, kin.variant
            best[key] = max(best.get(key, (rank, kin)), (rank, kin))
    return {kin for _, kin in best.values()}


def _titles(methods: set[str], labels: Labels) -> dict[str, str]:
    counts = Counter(map(labels.title, methods))
    return {
        name: labels.title(name) + ("" if counts[labels.title(name)] == 1 else f" ({name})")
        for name in methods
    }


def _row_labels(
    rows: _Rows, usual: set[RowKey], titles: Mapping[str, str], labels: Labels
) -> dict[RowKey, str]:
    """Return a label for every row that no other row has."""
    families: dict[tuple[str, str], dict[RowKey, Sequence[Record]]] = defaultdict(dict)
    for kin, members in rows.items():
        families[kin.method, kin.variant][kin] = members
    names: dict[RowKey, str] = {}
    for family in families.values():
        base = next((kin for kin in family if kin in usual), None)
        for kin in family:
            words = [*_settings(kin, family, base, labels), *_other(kin, family, base)]
            variant = "" if kin.variant == "full" else f" {kin.variant}"
            names[kin] = titles[kin.method] + variant + (f" [{', '.join(words)}]" if words else "")
    counts = Counter(names.values())
    for kin, label in names.items():
        if counts[label] > 1:
            names[kin] = f"{label} #{hashlib.sha256(repr(tuple(kin)).encode()).hexdigest()[:6]}"
    return names


def apart_from(line: RowGroup, lines: Iterable[RowGroup]) -> list[str]:
    """Return in words what sets a row apart from others of its method and variant, but for settings."""
    family = [
        one for one in lines if (one.key.method, one.key.variant) == (line.key.method, line.key.variant)
    ]
    base = next((one.key for one in family if one.usual), None)
    return _other(line.key, {one.key: one.records for one in family}, base)


def _settings(kin: RowKey, family: _Rows, base: RowKey | None, labels: Labels) -> list[str]:
    """Return in words in which settings a row differs from the row that stands for its method and variant.

    Without such a row the settings that were usual count, and where these are not known all other rows.
    """
    last = {one: max(members, key=made) for one, members in family.items()}
    own, usual = last[kin].identity.settings, usual_of(last[kin], labels)
    if base is not None:
        peers: list[Mapping[str, Any]] = [last[base].identity.settings]
    else:
        peers = [record.identity.settings for record in last.values()] if usual is None else [usual]
    return [
        f"{key}={json.dumps(own.get(key))}"
        for key in sorted({key for settings in (own, *peers) for key in settings})
        if any(settings.get(key) != own.get(key) for settings in peers)
    ]


def _other(kin: RowKey, family: _Rows, base: RowKey | None) -> list[str]:
    """Return in words what else than settings sets a row apart: threads, modalities, versions of code."""
    words = [f"threads={kin.threads}"] if kin.threads != 1 else []
    if len({other.modalities for other in family}) > 1:
        found = sorted({record.identity.modalities for record in family[kin]})
        words.append("+".join(found[0]) if len(found) == 1 else "in pairs")
    newest = base or max(family, key=lambda other: max(map(made, family[other])))
    if kin.code != newest.code:
        words.append(version_difference(kin.code, newest.code))
    return words
