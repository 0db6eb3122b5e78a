"""Records put together by what may share a table, and by what may share a row of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.analysis.naming import Kin, Naming, kin_of, labels_of
from bench.records.schema import Record


class Data(NamedTuple):
    """What records must share to stand in one table: nothing of it is ever mixed.

    Attributes:
        kind: ``real`` or ``look-alike``.
        profile: ``quick`` or ``paper``.
        dataset: registry name.
        fingerprint: digest of the data.
    """

    kind: str
    profile: str
    dataset: str
    fingerprint: str


class Line(NamedTuple):
    """The records of one row: one method, variant and choice of settings, over seeds and modality pairs.

    Attributes:
        label: the method's title, with variant and unusual settings where there are any.
        records: in the order of their digests.
    """

    label: str
    records: list[Record]


def by_data(records: Iterable[Record]) -> dict[Data, list[Record]]:
    """Return the records of each data, real before look-alike, then by profile and name."""
    groups: dict[Data, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.digest):
        who = record.identity
        groups[Data(who.data_kind, who.profile, who.dataset, who.fingerprint)].append(record)
    return {key: groups[key] for key in sorted(groups, key=lambda key: (key.kind != "real", *key[1:]))}


def lines_of(records: Sequence[Record], naming: Naming) -> list[Line]:
    """Return the rows that records of one data make, in the roster's order."""
    rows: dict[Kin, list[Record]] = defaultdict(list)
    for record in records:
        rows[kin_of(record.identity)].append(record)
    labels = labels_of({kin: members[0].identity for kin, members in rows.items()}, naming)
    ordered = sorted(rows, key=lambda kin: (naming.order(kin[0]), kin[1] != "full", labels[kin]))
    return [Line(labels[kin], rows[kin]) for kin in ordered]
