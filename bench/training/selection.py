"""Selection rules: which epoch of a trace counts, decided from the trace alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.contract.context import Value

Row = Mapping[str, Value]


class Rule(Protocol):
    """Chooses an epoch for every track."""

    @property
    def criterion(self) -> str:
        """What is compared, in words."""

    @property
    def per_track(self) -> bool:
        """Whether tracks may end up at different epochs."""

    def choose(self, rows: Sequence[Row], tracks: Sequence[str]) -> dict[str, int]:
        """Return the chosen epoch (from 1) of each track; ``rows`` are the epochs of one stage."""

    def values(self, rows: Sequence[Row], tracks: Sequence[str]) -> dict[str, float] | None:
        """Return the criterion of each track at its chosen epoch; None where nothing is compared."""


@dataclass(frozen=True)
class Best:
    """The epoch at which a traced column is best; of equal epochs the first.

    Attributes:
        column: of the trace; per track it is looked up as ``<column>/<track>``.
        criterion: the column in words.
        highest: whether more is better.
        per_track: whether each track is chosen by a column of its own.
        rankable: whether an epoch counts only if its validation embeddings could be ranked, where a stage
            tried to. A network may collapse while its loss still falls.
    """

    column: str
    criterion: str
    highest: bool = True
    per_track: bool = False
    rankable: bool = True

    def choose(self, rows: Sequence[Row], tracks: Sequence[str]) -> dict[str, int]:
        """Return the epoch of the best value.

        Epochs without a number, or that do not count, never win unless there are no others.
        """
        return {track: 1 + self._place(rows, track) for track in tracks}

    def values(self, rows: Sequence[Row], tracks: Sequence[str]) -> dict[str, float] | None:
        """Return the best value of each track."""
        return {track: self._column(rows, track)[self._place(rows, track)] for track in tracks}

    def _place(self, rows: Sequence[Row], track: str) -> int:
        sign = 1.0 if self.highest else -1.0
        scores = [
            sign * value if math.isfinite(value) and self._counts(row) else -math.inf
            for row, value in zip(rows, self._column(rows, track), strict=True)
        ]
        return max(range(len(scores)), key=scores.__getitem__)

    def _counts(self, row: Row) -> bool:
        return not self.rankable or "validation_map" not in row or row["validation_map"] is not None

    def _column(self, rows: Sequence[Row], track: str) -> list[float]:
        name = f"{self.column}/{track}" if self.per_track else self.column
        return [math.nan if row.get(name) is None else float(row[name] or 0.0) for row in rows]


@dataclass(frozen=True)
class Last:
    """The last epoch."""

    criterion: str = "last epoch"
    per_track: bool = False

    def choose(self, rows: Sequence[Row], tracks: Sequence[str]) -> dict[str, int]:
        """Return the number of epochs."""
        return dict.fromkeys(tracks, len(rows))

    def values(self, rows: Sequence[Row], tracks: Sequence[str]) -> dict[str, float] | None:
        """Return None: nothing is compared."""
        return None


BY_MAP = Best("validation_map", "mean validation mAP@all over directions")
BY_LOSS = Best("validation_loss", "validation loss of each track", highest=False, per_track=True)
BY_ORACLE = Best("oracle_map", "mean TEST mAP@all over directions (oracle)")
LAST = Last()
