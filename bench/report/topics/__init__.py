"""Topics of the report: a module computes one and registers it in the list below."""

from __future__ import annotations

from typing import Final

from bench.report.exhibit import Topic
from bench.report.topics import (
    ablations,
    costs,
    curves,
    gallery,
    ledger,
    map_tables,
    methods,
    optimism,
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
    curves.TOPIC,
    space.TOPIC,
    gallery.TOPIC,
    training.CONVERGENCE,
    training.TRIALS,
    costs.TOPIC,
    methods.TOPIC,
    records.WITHOUT_RESULT,
    records.ALL,
)
"""In the order of the page."""
