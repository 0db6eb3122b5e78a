"""Keys of tables (`Data`) and of their rows (`RowKey`): which records may be combined; labels of rows."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from bench.analysis.labels import Labels, is_as_usual, made, newest_first, usual_of, version_difference
from bench.contract.errors import BenchError
from bench.records.schema import FILE, Environment, Identity, Record

CLEAN: Final = "clean"
"""No condition."""

FROM_FILE: Final = "as in the file"
"""The level of a condition that is read from a file."""


class MixedCells(BenchError):
    """Two cells would give one number: an error of grouping, never averaged over."""


class Data(NamedTuple):
    """What records must share to be in one table; nothing of it is mixed but in means over datasets."""

    kind: str  # ``real`` or ``look-alike``
    profile: str  # ``quick`` or ``paper``
    dataset: str  # registry name
    fingerprint: str  # digest of the data
    device: str  # kind of device, such as ``cpu`` or ``cuda``
    harness: str  # versions of what all numbers depend on; empty for records of layout 1
    condition: str = CLEAN  # what was done to the data, such as ``label-noise@0.4``; `CLEAN` for nothing


class RowKey(NamedTuple):
    """What the records of one row of a table share; their seeds, and the pairs of modalities, may differ."""

    method: str  # registry name
    variant: str  # ``full`` or the name of an ablation
    threads: int  # CPU threads of the fit
    modalities: tuple[str, ...]  # of a fit on three or more; empty for pairs, which give other directions
    settings: str  # as JSON
    code: str  # versions of the method and its toolkit
    device: str  # kind of device of the identity; empty in layout 1


class RowGroup(NamedTuple):
    """The records of one row of a table."""

    label: str  # the method's title, with variant and whatever sets the row apart from the usual
    records: list[Record]  # in the order of their digests
    usual: bool  # whether it represents the method: the newest row with the usual settings
    title: str  # the method's title, with its registry name where another method has the same
    key: RowKey  # what the records share
    other_modalities: (
        bool  # whether it was fitted on other three or more modalities at once than most methods
    )

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
    """Return what a record must share with others to be in one table with them."""
    return data_key(record.identity, device_of(record.identity, record.environment))


def data_key(cell: Identity, device: str) -> Data:
    """Return what cells on a kind of device must share with one to be in one table with it."""
    version = cell.fingerprint, device, cell.harness
    return Data(cell.data_kind, cell.profile, cell.dataset, *version, cell.condition or CLEAN)


def device_of(identity: Identity, run: Environment) -> str:
    """Return the kind of device that a cell was planned for, or of layout 1 the kind that it ran on."""
    return identity.device or run.device.partition(":")[0]


def by_data(records: Iterable[Record]) -> dict[Data, list[Record]]:
    """Return the records of each data: real before look-alikes, by profile and name, newest code first."""
    groups: dict[Data, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.digest):
        groups[data_of(record)].append(record)
    return {key: groups[key] for key in sorted(groups, key=data_order)}


def harness_for_clean(data: Data) -> str:
    """Return the versions of the harness that clean cells of the same code have."""
    return data.harness.partition(", conditions ")[0]


def data_order(data: Data) -> tuple[object, ...]:
    """Return the key by which data are sorted wherever they are listed: clean data before conditions."""
    code = newest_first(harness_for_clean(data)), condition_order(data.condition), newest_first(data.harness)
    return data.kind != "real", *data[1:5], *code


def name_and_level(condition: str) -> tuple[str, str]:
    """Return the name of a condition with its variant, and its level; one from a file is a name by itself."""
    name, _, level = condition.partition("@")
    return (condition, FROM_FILE) if "=" in condition else (name, level)


def condition_order(condition: str) -> tuple[object, ...]:
    """Return the key that sorts clean data first, then conditions by name and level."""
    name, level = name_and_level(condition)
    number = float(level) if re.fullmatch(r"[0-9.e+-]+", level) else 0.0
    return condition not in (CLEAN, ""), name, number, level


def by_numbers(text: str) -> list[str | float]:
    """Return the key that sorts texts by the numbers in them: ``epochs=2`` before ``epochs=10``."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", text)
    return [float(part) if index % 2 else part for index, part in enumerate(parts)]


def row_key(identity: Identity) -> RowKey:
    """Return what two records must share to be in one row."""
    together = identity.modalities if len(identity.modalities) > 2 else ()
    shared = json.dumps(identity.settings, sort_keys=True), identity.code, identity.device
    return RowKey(identity.method, identity.variant, identity.threads, together, *shared)


def row_groups(records: Sequence[Record], labels: Labels) -> list[RowGroup]:
    """Return the rows that records of one data make, in the roster's order.

    Raises:
        MixedCells: if two records would give the same number.
    """
    rows = _rows(records)
    usual = _representatives(rows, labels)
    # pandas before 2.2 takes all texts with half of a surrogate pair for one
    names = {key.method for key in rows}
    plain = {name: labels.title(name).encode("utf-8", "backslashreplace").decode() for name in names}
    counts = Counter(plain.values())
    titles = {name: title if counts[title] == 1 else f"{title} ({name})" for name, title in plain.items()}
    others = _on_other_modalities(rows, usual, labels)
    texts = _row_labels(rows, usual, titles, labels, others)

    def order(key: RowKey) -> tuple[Any, ...]:
        return (
            labels.order(key.method),
            key.variant != "full",
            key.variant,
            key not in usual,
            by_numbers(texts[key]),
        )

    return [
        RowGroup(
            texts[key],
            rows[key],
            key in usual and key.variant == "full",
            titles[key.method],
            key,
            key in others,
        )
        for key in sorted(rows, key=order)
    ]


def _rows(records: Sequence[Record]) -> dict[RowKey, list[Record]]:
    """Return the records of each row; those with the same direction and seed are separated."""
    groups: dict[RowKey, list[Record]] = defaultdict(list)
    for record in records:
        groups[row_key(record.identity)].append(record)
    rows: dict[RowKey, list[Record]] = defaultdict(list)
    for key, members in groups.items():
        collide = _collision(members)
        for record in members:
            rows[key._replace(modalities=record.identity.modalities) if collide else key].append(record)
    for members in rows.values():
        if digests := _collision(members):
            raise MixedCells(
                f"{members[0].identity.title}: records {' and '.join(digests)} are of one cell of a table"
            )
    return rows


def _collision(members: Sequence[Record]) -> tuple[str, str] | None:
    """Return the digests of two records of the same modalities and seed; None where there are none."""
    known: dict[tuple[frozenset[str], int], str] = {}
    for record in members:
        cell = frozenset(record.identity.modalities), record.identity.seed
        if cell in known:
            return known[cell], record.digest
        known[cell] = record.digest
    return None


def _representatives(rows: _Rows, labels: Labels) -> set[RowKey]:
    """Return of each method, and of each variant, the row that represents it.

    That is the row with the settings that were usual when it was made, or, where that is unknown, with the
    only settings that there are. Of several, as after a change of the code or of a settings file, a row with
    a result comes first, then that of the modalities that most methods have in common, of these the largest
    set, then that of a single thread, then that of the present code, then the last made.
    """
    sets = {
        key: frozenset(name for each in members for name in each.identity.modalities)
        for key, members in rows.items()
    }
    shared = Counter(present for _, present in {(key.method, present) for key, present in sets.items()})
    best: dict[tuple[str, ...], tuple[tuple[Any, ...], RowKey]] = {}
    settings: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for key in rows:
        settings[key[:2]].add(key.settings)
    for key, members in rows.items():
        only = len(settings[key[:2]]) == 1
        known = [(record, is_as_usual(record, labels)) for record in members]
        usual = [record for record, as_usual in known if as_usual or (as_usual is None and only)]
        if usual:
            common = shared[sets[key]], len(sets[key]), sorted(sets[key])
            done = any(record.status == "done" for record in members)
            present_code = key.code == labels.code(key.method)
            rank = (done, common, key.threads == 1, present_code, max(map(made, usual))), key
            best[key[:2]] = max(best.get(key[:2], rank), rank)
    return {key for _, key in best.values()}


def _on_other_modalities(rows: _Rows, usual: set[RowKey], labels: Labels) -> set[RowKey]:
    """Return the rows of fits on three or more modalities at once that are not those of most methods.

    A method counts once, if it has a result; reference points do not. If as many methods have one set as
    another, the larger set counts.
    """
    together = {key: frozenset(key.modalities) for key in rows if len(key.modalities) > 2}
    counts = Counter(
        together[key]
        for key in usual & together.keys()
        if key.variant == "full"
        and labels.role(key.method) != "reference"
        and any(record.status == "done" for record in rows[key])
    )
    shared = max(counts, key=lambda each: (counts[each], len(each), sorted(each)), default=None)
    return {key for key, each in together.items() if shared is not None and each != shared}


def _row_labels(
    rows: _Rows, usual: set[RowKey], titles: Mapping[str, str], labels: Labels, others: set[RowKey]
) -> dict[RowKey, str]:
    """Return a label for every row that no other row has."""
    names: dict[RowKey, str] = {}
    for key in rows:
        family = {member: records for member, records in rows.items() if member[:2] == key[:2]}
        base = next((member for member in family if member in usual), None)
        words = [*_unusual_settings(key, family, base, labels), *_unusual_code(key, family, base)]
        if key in others and len({member.modalities for member in family}) == 1:
            words.append("+".join(key.modalities))
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
    """Return in words in which settings a row differs from the row that represents its method and variant.

    Without such a row the settings that were usual count, and where these are not known all other rows.
    """
    last = {member: max(records, key=made) for member, records in family.items()}
    settings, usual = last[key].identity.settings, usual_of(last[key], labels)
    if base is not None:
        peers: list[Mapping[str, Any]] = [last[base].identity.settings]
    else:
        peers = [record.identity.settings for record in last.values()] if usual is None else [usual]
    return [
        f"file {str(settings.get(name))[:8]}" if name == FILE else f"{name}={json.dumps(settings.get(name))}"
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
