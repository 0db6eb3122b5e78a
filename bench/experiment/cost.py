"""Expected cost of cells in seconds and GPU memory, from earlier records.

Seconds of a cell, by the first rule that applies:

0. `REUSED_SECONDS`, if a clean cell has its numbers (`clean_counterpart`), recorded or planned too: so it
   starts last;
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
from bench.experiment.reuse import clean_counterpart
from bench.experiment.stale import identity_of
from bench.records.schema import Identity
from bench.records.store import Store

PRIOR_SECONDS: Final = {True: 3.0, False: 0.5}
"""Guess per modality for a deep (True) or a closed-form method (False) that was never recorded."""

MEMORY_FACTOR: Final = 1.2
"""Allocators hold more than is allocated at the peak, because of gaps."""

MEMORY_BESIDES: Final = 768 << 20
"""Bytes that a process holds on a GPU besides its allocations: the driver's context and the kernels."""

REUSED_SECONDS: Final = 0.2
"""Time to load the data of a cell that is not trained."""

Basis = Literal["clean", "data", "rows", "method", "prior"]
"""The rule that gives the seconds."""


@dataclass(frozen=True)
class Expectation:
    """Expected cost of a cell: total seconds, the rule behind them, and bytes of a GPU (None: unknown)."""

    seconds: float
    basis: Basis
    memory: int | None = None


def expect(cells: Sequence[Cell], store: Store) -> dict[str, Expectation]:
    """Return the expected cost of each cell, by digest."""
    seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)
    per_row: dict[tuple[str, ...], list[float]] = defaultdict(list)
    train_rows: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    peaks: dict[tuple[str, ...], float] = defaultdict(float)
    clean = {cell.identity.digest for cell in cells}
    for record in store.records():
        identity = identity_of(record)
        method, data = _keys(identity)
        peak = math.inf if record.status == "out-of-memory" else record.environment.peak_device_memory or 0
        peaks[data] = max(peak, peaks[data])
        if record.result is None or record.environment.reused:
            continue
        clean.add(record.digest)
        sizes = {name: rows.train for name, rows in record.result.rows.items()}
        train_rows[identity.dataset, identity.profile].update(sizes)
        parts = record.environment.seconds
        total = parts.get("total", 0.0) - parts.get("oracle", 0.0)
        seconds[data].append(total)
        seconds[method].append(total)
        if any(sizes.values()):
            per_row[method].append(total / sum(sizes.values()))

    def expectation(identity: Identity) -> tuple[float, Basis]:
        method, data = _keys(identity)
        if seconds[data]:
            return statistics.median(seconds[data]), "data"
        if not seconds[method]:
            deep = not identity.given and registry.method(identity.method).card.deep
            return PRIOR_SECONDS[deep] * len(identity.modalities), "prior"
        sizes = train_rows[identity.dataset, identity.profile]
        if per_row[method] and all(name in sizes for name in identity.modalities):
            rows = sum(sizes[name] for name in identity.modalities)
            return rows * statistics.median(per_row[method]), "rows"
        return statistics.median(seconds[method]), "method"

    found = {}
    for cell in cells:
        peak = peaks[_keys(cell.identity)[1]]
        memory = int(MEMORY_FACTOR * peak) + MEMORY_BESIDES if 0 < peak < math.inf else None
        counterpart = clean_counterpart(cell)
        if counterpart is not None and counterpart.digest in clean:
            found[cell.identity.digest] = Expectation(REUSED_SECONDS, "clean", memory)
        else:
            found[cell.identity.digest] = Expectation(*expectation(cell.identity), memory)
    return found


def _keys(identity: Identity) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the keys of records of a method, and of a method on data."""
    method = identity.method, identity.profile, identity.device
    return method, (*method, identity.dataset, str(len(identity.modalities)))
