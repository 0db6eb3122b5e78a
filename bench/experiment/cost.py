"""Expected cost of cells in seconds and GPU memory, from earlier records.

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

import math
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

Basis = Literal["data", "rows", "method", "prior"]
"""Which of the four rules seconds rest on."""


@dataclass(frozen=True)
class Expectation:
    """What a cell will take.

    Attributes:
        seconds: in all.
        basis: what the seconds rest on.
        memory: bytes of a GPU; None where unknown.
    """

    seconds: float
    basis: Basis
    memory: int | None = None


def expect(cells: Sequence[Cell], store: Store) -> dict[str, Expectation]:
    """Return what each cell will take, by digest."""
    history = _History(store)
    return {cell.identity.digest: history.expect(cell.identity) for cell in cells}


def _method_key(identity: Identity) -> tuple[str, ...]:
    return identity.method, identity.profile, identity.device


def _data_key(identity: Identity) -> tuple[str, ...]:
    return (*_method_key(identity), identity.dataset, str(len(identity.modalities)))


class _History:
    """What the records of a store say, by method and by method and data."""

    def __init__(self, store: Store) -> None:
        self._seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._per_row: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._rows: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        self._peaks: dict[tuple[str, ...], float] = defaultdict(float)
        for record in store.records():
            self._learn(record)

    def _learn(self, record: Record) -> None:
        identity = identity_of(record)
        data, method = _data_key(identity), _method_key(identity)
        full = record.status == "out-of-memory"
        peak = math.inf if full else record.environment.peak_device_memory or 0
        self._peaks[data] = max(peak, self._peaks[data])
        if record.result is None:
            return
        sizes = {name: rows.train for name, rows in record.result.rows.items()}
        self._rows[identity.dataset, identity.profile].update(sizes)
        seconds = record.environment.seconds.get("total", 0.0)
        self._seconds[data].append(seconds)
        self._seconds[method].append(seconds)
        if any(sizes.values()):
            self._per_row[method].append(seconds / sum(sizes.values()))

    def expect(self, identity: Identity) -> Expectation:
        """Return what a cell will take."""
        peak = self._peaks[_data_key(identity)]
        memory = int(MEMORY_FACTOR * peak) + MEMORY_BESIDES if 0 < peak < math.inf else None
        return Expectation(*self._time(identity), memory)

    def _time(self, identity: Identity) -> tuple[float, Basis]:
        data, method = _data_key(identity), _method_key(identity)
        if self._seconds[data]:
            return statistics.median(self._seconds[data]), "data"
        if not self._seconds[method]:
            deep = registry.method(identity.method).card.deep
            return PRIOR_SECONDS[deep] * len(identity.modalities), "prior"
        sizes = self._rows[identity.dataset, identity.profile]
        if self._per_row[method] and all(name in sizes for name in identity.modalities):
            rows = sum(sizes[name] for name in identity.modalities)
            return rows * statistics.median(self._per_row[method]), "rows"
        return statistics.median(self._seconds[method]), "method"
