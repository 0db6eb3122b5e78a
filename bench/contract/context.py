"""Context of a fit: seed, device, threads, deadline, random streams, progress callback and training log."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.contract.errors import DeadlineExceeded

Value = str | int | float | None

Progress = Callable[[str, int, int, dict[str, Value]], None]
"""Takes stage, epoch, planned epochs and values of an epoch that is finished."""


class Trace:
    """Per-epoch training log: a row per stage and epoch, columns as they come.

    Attributes:
        rows: dictionaries with at least ``stage`` and ``epoch`` (from 1).
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Value]] = []

    def add(self, stage: str, epoch: int, **values: Value) -> None:
        """Append a row."""
        self.rows.append({"stage": stage, "epoch": epoch, **values})

    def column(self, name: str, stage: str | None = None) -> list[Value]:
        """Return a column's values in order, of one stage or of all."""
        return [row.get(name) for row in self.rows if stage is None or row["stage"] == stage]


@dataclass(frozen=True)
class Context:
    """Input of a fit besides its data: seed, device, random streams, deadline, trace.

    Attributes:
        seed: seed index of the run: 0, 1, 2, ...
        device: torch name of the device: ``cpu``, ``cuda:0``.
        scope: what the streams depend on besides the seed: dataset and modalities, never the method.
        threads: CPU threads that the fit may use; None leaves the process as it is.
        deadline: `time.monotonic` value after which work should end; None for no limit.
        progress: called after every epoch.
        trace: the log that a method writes its per-epoch values to.
        oracle: on request only: takes the method, and returns the mean test mAP of its present state, for the
            oracle trace.
    """

    seed: int = 0
    device: str = "cpu"
    scope: tuple[str, ...] = ()
    threads: int | None = None
    deadline: float | None = None
    progress: Progress | None = None
    trace: Trace = field(default_factory=Trace)
    oracle: Callable[[Any], float] | None = None

    def stream_seed(self, stream: str) -> int:
        """Return a 63-bit seed that depends on scope, seed and stream alone.

        Two methods that use the same stream get the same draws, and a new method or a new
        stream changes no other numbers.
        """
        text = "\x1f".join((*self.scope, str(self.seed), stream))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def generator(self, stream: str) -> np.random.Generator:
        """Return a fresh NumPy generator for ``stream``, such as ``batches/image``."""
        return np.random.default_rng(self.stream_seed(stream))

    def check_deadline(self) -> None:
        """Stop the fit if its deadline has passed.

        Raises:
            DeadlineExceeded: after the deadline.
        """
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise DeadlineExceeded("the time given to this cell is over")
