"""What a part of the script is given and returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        datasets: names of benchmarks, in whose sizes the methods train.
        rows: at most so many rows of each split; None for all.
        methods: names of deep methods; None for all.
        evaluator: numbers of queries, items and dimensions.
        widths: of the inputs of the yardstick, its hidden layers and its output.
        batches: batch sizes of the yardstick.
        steps: of the yardstick, per repetition.
    """

    datasets: tuple[str, ...] = ("wikipedia", "xmedianet")
    rows: int | None = None
    methods: tuple[str, ...] | None = None
    evaluator: tuple[tuple[int, int, int], ...] = ((4000, 4000, 2048), (40_000, 40_000, 512))
    widths: tuple[int, int, int] = (4096, 4096, 2048)
    batches: tuple[int, ...] = (100, 1024)
    steps: int = 200


TINY = Sizes(("wikipedia",), 60, ("mrl", "drcl"), ((50, 60, 8),), (12, 16, 8), (10,), 4)
"""For a test of the script itself."""


@dataclass(frozen=True)
class Run:
    """Where and how long the script may work.

    Attributes:
        device: torch name of the device.
        sizes: how much is measured.
        folder: for records and data.
        end: monotonic time at which it ends.
    """

    device: str
    sizes: Sizes
    folder: Path
    end: float

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith("cuda")

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    def synchronise(self) -> None:
        """Wait until the device has done everything."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def fastest(self, work: Callable[[], Any], repetitions: int = 3) -> float:
        """Return the least seconds that ``work`` takes, after it was done once before."""
        work()
        seconds = []
        for _ in range(repetitions):
            self.synchronise()
            start = time.perf_counter()
            work()
            self.synchronise()
            seconds.append(time.perf_counter() - start)
        return min(seconds)


@dataclass
class Found:
    """What a part found.

    Attributes:
        title: of the table.
        headers: of its columns.
        rows: of the table.
        notes: sentences below it.
        failed: whether something is not as it should be.
    """

    title: str
    headers: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False

    def check(self, name: str, outcome: bool | None, detail: str) -> None:
        """Add a row about something that is as it should be, is not, or was skipped (None)."""
        self.rows.append((name, "skipped" if outcome is None else "passed" if outcome else "failed", detail))
        self.failed |= outcome is False

    def markdown(self) -> str:
        """Return the table as Markdown."""
        from tabulate import tabulate

        table = tabulate(self.rows, headers=self.headers, tablefmt="github", floatfmt=".3g")
        return "\n".join([f"### {self.title}", "", table, *(f"\n{note}" for note in self.notes), ""])
