"""Results near chance: which records are hardly better than a random ranking, with advice."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from bench.records.protocols import base_of
from bench.records.schema import Identity, Record

NEAR: Final = 0.03
"""A mean of map@all that is not further than this above its chance level counts as near chance."""

_PROTOCOL: Final = "map@all"


class NearChance(NamedTuple):
    """A result near chance: its map@all as a mean over directions, the chance level of that, what to try."""

    value: float
    chance: float
    advice: str

    @property
    def words(self) -> str:
        """Return the finding as a predicate, without a subject."""
        return f"average {_PROTOCOL} {self.value:.3f} is within {NEAR} of chance ({self.chance:.3f})"


def near_chance(records: Sequence[Record], selection: str = "") -> NearChance | None:
    """Return how near to chance the mean over cells is; None where it is further above, or unknown.

    Args:
        records: of any status; those without a result, or without a chance level, do not count.
        selection: rule; closed forms, which select nothing, always count. Empty: the rule of each record.
    """
    cells = []
    for result in filter(None, (record.result for record in records)):
        pairs = [
            (metric.value, result.chance[key])
            for metric in result.metrics
            if base_of(metric.protocol) == _PROTOCOL
            and metric.selection in ("none", selection or result.selection)
            and (key := f"{metric.query}>{metric.gallery}") in result.chance
        ]
        if pairs:
            cells.append(tuple(map(statistics.fmean, zip(*pairs, strict=True))))
    if not cells:
        return None
    value, chance = map(statistics.fmean, zip(*cells, strict=True))
    return NearChance(value, chance, advice(records[0].identity)) if value - chance <= NEAR else None


def advice(identity: Identity) -> str:
    """Return what to try where a method ended near chance, or with the same embedding for every row."""
    if identity.given:
        return "look whether the file has the test rows in their order, or try another --similarity"
    settings, name = identity.settings, identity.method
    ways = []
    if settings.get("scaling", "standard") != "standard":
        ways.append(f"--set {name}.scaling=standard")
    rate = settings.get("lr")
    given = rate.values() if isinstance(rate, Mapping) else [rate]  # there may be one for each modality
    if rates := [one for one in given if isinstance(one, int | float)]:
        ways.append(f"another learning rate, such as --set {name}.lr={min(rates) / 10:g}")
    return f"try {' or '.join(ways)}" if ways else f"look at the settings of {name}, and at the data's scale"
