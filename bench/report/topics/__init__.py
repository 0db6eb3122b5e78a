"""Topics of the report: a module computes one and registers it in the list below."""

from __future__ import annotations

from typing import Final

from bench.report.exhibit import Topic
from bench.report.topics import (
    ablations,
    conditions,
    costs,
    curves,
    gallery,
    ledger,
    map_tables,
    methods,
    optimism,
    protocol,
    records,
    space,
    statistics,
    training,
)

TOPICS: Final[tuple[Topic, ...]] = (
    map_tables.TOPIC,
    statistics.TOPIC,
    ledger.TOPIC,
    optimism.TOPIC,
    ablations.TOPIC,
    conditions.TOPIC,
    curves.TOPIC,
    space.TOPIC,
    gallery.TOPIC,
    training.CONVERGENCE,
    training.TRIALS,
    costs.TOPIC,
    protocol.TOPIC,
    methods.TOPIC,
    records.WITHOUT_RESULT,
    records.ALL,
)
"""In the order of the page."""
