"""What cells will take, in seconds and in memory of a GPU: learned from earlier records.

Seconds of a cell, by the first rule that applies:

1. the median of the finished records of the same method, profile, kind of device and dataset with as many
   modalities;
2. the median over those of the same method, profile and device on other data, each multiplied by the ratio of
   the training rows (summed over modalities) of the two; rows of a dataset are known once any method was
   recorded on it with that profile;
3. the median of the same method, profile and device, as it is;
4. a prior, stated here: `PRIOR_SECONDS` times the number of modalities.

Memory is the largest peak recorded for the same method, profile, device and dataset with as many modalities,
with a margin for what a peak does not count; unknown without such a record, or if one of them ran out of
memory.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from bench import registry
from bench.experiment.grid import Cell
from bench.experiment.stale import identity_of
from bench.records.schema import Identity, Record
from bench.records.store import Store

PRIOR_SECONDS: Final = {True: 3.0, False: 0.5}
"""Guess per modality for a deep (True) or a closed-form method (False) that was never recorded."""

MEMORY_FACTOR: Final = 1.2
"""Allocators hold more than is allocated at the peak, because of gaps."""

MEMORY_BESIDES: Final = 768 << 20
"""Bytes that a process holds on a GPU besides its allocations: the driver's context and the kernels."""

Basis = Literal["kin", "rows", "method", "prior"]
"""Which of the four rules seconds rest on."""

_Kind = tuple[str, str, str]
"""Method, profile, kind of device."""

_Kin = tuple[str, str, str, str, int]
"""Method, profile, kind of device, dataset, number of modalities."""


@dataclass(frozen=True)
class Expectation:
    """What a cell will take.

    Attributes:
        seconds: in all.
        memory: bytes of a GPU; None where unknown.
        basis: what the seconds rest on.
    """

    seconds: float
    memory: int | None
    basis: Basis


def expect(cells: Sequence[Cell], store: Store) -> dict[str, Expectation]:
    """Return what each cell will take, by digest."""
    history = _History(store)
    return {cell.identity.digest: history.expect(cell.identity) for cell in cells}


class _History:
    """What the records of a store say, arranged for look-ups."""

    def __init__(self, store: Store) -> None:
        self._seconds: dict[_Kin, list[float]] = defaultdict(list)
        self._others: dict[_Kind, list[tuple[float, int]]] = defaultdict(list)
        self._rows: dict[tuple[str, str], dict[str, int]] = {}
        self._peaks: dict[_Kin, int] = {}
        self._exhausted: set[_Kin] = set()
        for record in store.records():
            self._learn(record)

    def expect(self, identity: Identity) -> Expectation:
        """Return what a cell will take."""
        seconds, basis = self._time(identity)
        return Expectation(seconds, self._memory(_kin(identity)), basis)

    def _learn(self, record: Record) -> None:
        identity = identity_of(record)
        kin = _kin(identity)
        peak = record.environment.peak_device_memory
        if peak is not None:
            self._peaks[kin] = max(peak, self._peaks.get(kin, 0))
        if record.status == "out-of-memory":
            self._exhausted.add(kin)
        if record.result is None:
            return
        rows = {name: sizes.train for name, sizes in record.result.rows.items()}
        self._rows.setdefault((identity.dataset, identity.profile), {}).update(rows)
        seconds = record.environment.seconds.get("total", 0.0)
        self._seconds[kin].append(seconds)
        self._others[_kind(identity)].append((seconds, sum(rows.values())))

    def _time(self, identity: Identity) -> tuple[float, Basis]:
        kin = self._seconds.get(_kin(identity))
        if kin:
            return statistics.median(kin), "kin"
        others = self._others.get(_kind(identity))
        if not others:
            deep = registry.method(identity.method).card.deep
            return PRIOR_SECONDS[deep] * len(identity.modalities), "prior"
        known = self._rows.get((identity.dataset, identity.profile), {})
        scaled = [seconds / rows for seconds, rows in others if rows]
        if scaled and all(name in known for name in identity.modalities):
            rows = sum(known[name] for name in identity.modalities)
            return rows * statistics.median(scaled), "rows"
        return statistics.median(seconds for seconds, _ in others), "method"

    def _memory(self, kin: _Kin) -> int | None:
        peak = self._peaks.get(kin)
        if peak is None or kin in self._exhausted:
            return None
        return int(MEMORY_FACTOR * peak) + MEMORY_BESIDES


def _kind(identity: Identity) -> _Kind:
    return identity.method, identity.profile, identity.device


def _kin(identity: Identity) -> _Kin:
    return (*_kind(identity), identity.dataset, len(identity.modalities))
