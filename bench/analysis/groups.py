"""Records put together by what may share a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from bench.analysis.versions import newest_first
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
    return {key: groups[key] for key in sorted(groups, key=in_order)}


def in_order(data: Data) -> tuple[object, ...]:
    """Return the key by which data are sorted wherever they are listed."""
    return (data.kind != "real", *data[1:-1], newest_first(data.harness))
