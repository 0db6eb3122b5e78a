"""How long cells will take: from earlier records of the same kind, else a stated prior."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from bench import registry
from bench.experiment.grid import Cell
from bench.records.schema import Identity
from bench.records.store import Store

PRIOR_SECONDS = {True: 3.0, False: 0.5}
"""Guess per modality for a deep (True) or a closed-form method (False) that was never recorded."""


def estimate(cells: Sequence[Cell], store: Store) -> dict[str, float]:
    """Return expected seconds by digest; used to start the longest cells first.

    The median of earlier runs of the same method, dataset and profile; else of the same method and
    profile; else `PRIOR_SECONDS` times the number of modalities.
    """
    near: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for record in store.records():
        if record.status == "done":
            for key in _keys(record.identity):
                near[key].append(record.circumstances.seconds.get("total", 0.0))
    return {cell.identity.digest: _expected(cell.identity, near) for cell in cells}


def _expected(identity: Identity, near: dict[tuple[str, ...], list[float]]) -> float:
    for key in _keys(identity):
        if key in near:
            return statistics.median(near[key])
    deep = registry.method(identity.method).card.deep
    return PRIOR_SECONDS[deep] * len(identity.modalities)


def _keys(identity: Identity) -> tuple[tuple[str, ...], ...]:
    kind = (identity.method, identity.profile)
    return ((*kind, identity.dataset, str(len(identity.modalities))), kind)
