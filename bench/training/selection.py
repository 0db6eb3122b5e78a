"""Selection rules: which epoch of a trace counts, decided from the trace alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.contract.context import Value

Row = Mapping[str, Value]


@dataclass(frozen=True)
class Rule:
    """Chooses the epoch at which a traced column is best, of equal epochs the first.

    Attributes:
        column: of the trace; per track it is looked up as ``<column>/<track>``. None for the last epoch.
        criterion: the column in words.
        highest: whether more is better.
        per_track: whether each track is chosen by a column of its own.
        rankable: whether an epoch counts only if its validation embeddings could be ranked, where a stage
            tried to. A network may collapse while its loss still falls.
    """

    column: str | None
    criterion: str
    highest: bool = True
    per_track: bool = False
    rankable: bool = True

    def choose(self, rows: Sequence[Row], tracks: Sequence[str]) -> dict[str, int]:
        """Return the chosen epoch (from 1) of each track; ``rows`` are the epochs of one stage.

        Epochs without a number, or that do not count, never win unless there are no others.
        """
        return {track: self._best(rows, track)[0] for track in tracks}

    def values(self, rows: Sequence[Row], tracks: Sequence[str]) -> dict[str, float] | None:
        """Return the value of each track at its chosen epoch; None for the last epoch."""
        return {track: self._best(rows, track)[1] for track in tracks} if self.column else None

    def _best(self, rows: Sequence[Row], track: str) -> tuple[int, float]:
        """Return the chosen epoch and its value."""
        if self.column is None:
            return len(rows), math.nan
        column = f"{self.column}/{track}" if self.per_track else self.column
        values = [math.nan if row.get(column) is None else float(row[column] or 0.0) for row in rows]
        counts = [not self.rankable or row.get("validation_map", 0.0) is not None for row in rows]
        scores = [
            (value if self.highest else -value) if math.isfinite(value) and counted else -math.inf
            for value, counted in zip(values, counts, strict=True)
        ]
        place = max(range(len(scores)), key=scores.__getitem__)
        return place + 1, values[place]


BY_MAP = Rule("validation_map", "mean validation mAP@all over directions")
BY_LOSS = Rule("validation_loss", "validation loss of each track", highest=False, per_track=True)
BY_ORACLE = Rule("oracle_map", "mean TEST mAP@all over directions (oracle)")
LAST = Rule(None, "last epoch")
