"""Results that are hardly better than a random ranking, and what to try then."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final, NamedTuple

from bench.records.schema import Identity, Record, Result

NEAR: Final = 0.03
"""A mean of map@all that is not further than this above its chance level counts as near chance."""

_PROTOCOL: Final = "map@all"


class NearChance(NamedTuple):
    """A result near chance.

    Attributes:
        value: its map@all, mean over directions.
        chance: the chance level of the same.
        advice: what to try.
    """

    value: float
    chance: float
    advice: str

    @property
    def words(self) -> str:
        """Return what is the case, without a subject."""
        return f"average {_PROTOCOL} {self.value:.3f} is within {NEAR} of chance ({self.chance:.3f})"


def near_chance(records: Sequence[Record], selection: str = "") -> NearChance | None:
    """Return how near to chance the mean over cells is; None where it is further above, or unknown.

    Args:
        records: of any status; those without a result, or without a chance level, do not count.
        selection: rule; closed forms, which select nothing, always count. Empty: each record's own rule.
    """
    found = [pair for record in records if record.result and (pair := _averages(record.result, selection))]
    if not found:
        return None
    value, chance = (statistics.fmean(numbers) for numbers in zip(*found, strict=True))
    return NearChance(value, chance, advice(records[0].identity)) if value - chance <= NEAR else None


def advice(identity: Identity) -> str:
    """Return what to try where a method ended near chance, or with the same embedding for every row."""
    settings, name = identity.settings, identity.method
    ways = []
    if settings.get("scaling", "standard") != "standard":
        ways.append(f"--set {name}.scaling=standard")
    rate = settings.get("learning_rate")
    if isinstance(rate, float):
        ways.append(f"another learning rate, such as --set {name}.learning_rate={rate / 10:g}")
    return f"try {' or '.join(ways)}" if ways else f"look at the settings of {name}, and at the data's scale"


def _averages(result: Result, selection: str) -> tuple[float, float] | None:
    """Return map@all and its chance level, each a mean over the directions that have both."""
    rules = {"none", selection or result.selection}
    pairs = [
        (metric.value, result.chance[key])
        for metric in result.metrics
        if metric.protocol == _PROTOCOL
        and metric.selection in rules
        and (key := f"{metric.query}>{metric.gallery}") in result.chance
    ]
    if not pairs:
        return None
    value, chance = (statistics.fmean(numbers) for numbers in zip(*pairs, strict=True))
    return value, chance
