"""What execution costs beside the cells, and how exact a time limit is.

The promises, for two free cores: at most 20 ms per cell in a warm worker; 2 s to see that a grid of 400 cells
is done; a hung cell stopped within 1 s of its limit; two slots in at most 0.6 of the time of one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bench import registry
from bench.execution.devices import local_slots
from bench.execution.grid_runner import hard_limit, run_cells
from bench.execution.local import local_executor, run_local
from bench.execution.progress import Ended, RunEvent
from bench.execution.tasks import Task
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.records import Store
from bench.records.encoding import Value
from tests.execution import work
from tests.grid import FAULTS, cells_of, only_plugins, write_bundle
from tests.records import making

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = RunContext(plugins=(str(FAULTS),))


@pytest.fixture(autouse=True)
def faults() -> Iterator[None]:
    with only_plugins(FAULTS):
        yield


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "small.npz")


def run(cells: Sequence[Cell], results: Path, slots: int, context: RunContext = CONTEXT) -> dict[float, str]:
    """Run cells and return when each ended, with its digest."""
    ends: dict[float, str] = {}

    def note(event: RunEvent) -> None:
        if isinstance(event, Ended):
            ends[time.perf_counter()] = event.cell.identity.digest

    execute = local_executor(local_slots(slots, 1), timeout=hard_limit(context.seconds))
    run_cells(cells, Store(results), context, execute=execute, on_event=note)
    return ends


def test_a_task_in_a_warm_worker(benchmark: Any) -> None:
    """The way to a worker and back, alone: one round is the gap between two ends."""
    tasks = [Task(str(number), "", None) for number in range(61)]
    with only_plugins():
        outcomes = run_local(tasks, work.echo, local_slots(1, 1))
        next(outcomes)
        benchmark.pedantic(lambda: next(outcomes), rounds=60)
        outcomes.close()


class Overheads:
    """A clock that goes on by what each cell took beside its training and evaluation.

    So that one round of a benchmark is one cell, although cells run in one go.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._left: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def measure(self, cells: Sequence[Cell], results: Path) -> None:
        """Run cells in one warm worker; the first, which starts it, does not count."""
        ends = run(cells, results, 1)
        order = sorted(ends)
        store = Store(results)
        for before, end in pairwise(order):
            parts = store.read(ends[end]).environment.seconds
            self._left.append(end - before - parts["fit"] - parts["evaluate"])

    def step(self) -> None:
        """Go on by the next cell."""
        self.now += self._left.pop(0)


OVERHEADS = Overheads()
CELLS = 60


@pytest.mark.slow
@pytest.mark.benchmark(timer=OVERHEADS)
def test_overhead_of_a_cell_in_a_warm_worker(benchmark: Any, small: Path, tmp_path: Path) -> None:
    """All but fit and evaluation: claim, data, what a report draws, the record flushed to the disk.

    One round is one cell: from the end of the one before to its end, less its fit and evaluation.
    """
    OVERHEADS.measure(cells_of(["plain"], small, seeds=range(CELLS + 1)), tmp_path / "r")
    benchmark.pedantic(OVERHEADS.step, rounds=CELLS)


@pytest.mark.slow
def test_a_finished_grid_of_four_hundred_cells(benchmark: Any, small: Path, tmp_path: Path) -> None:
    methods = ("mcca", "drcl", "plain", "twin")
    store, series = Store(tmp_path / "r"), _per_query()
    trace: list[dict[str, Value]] = [
        {"stage": "train", "epoch": epoch, "loss": 1.0 / (1 + epoch)} for epoch in range(20)
    ]
    for cell in cells_of(methods, small, seeds=range(100)):
        record = making.measured(making.record(), series, 231)
        source = msgspec.structs.replace(record.environment, source=registry.method(cell.identity.method).key)
        store.write(
            msgspec.structs.replace(record, identity=cell.identity, environment=source), series, trace, ""
        )
    words = ["run", "--results", store.root, "--plugin", FAULTS, "--datasets", small, "--seeds", 100]
    words += ["--methods", ",".join(methods)]

    def again() -> None:
        done = subprocess.run(
            [sys.executable, "-m", "bench", *map(str, words)], cwd=ROOT, capture_output=True, text=True
        )
        assert "400 cells: 400 done; 0 run now" in done.stdout

    benchmark.pedantic(again, rounds=5, warmup_rounds=1)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["c loop", "python loop", "ignores signals"])
def test_a_hung_task_is_stopped_in_time(benchmark: Any, fault: str) -> None:
    """A round is a hung task with a limit of 1 s, from its start until the slot is free."""
    rounds = 5
    tasks = [Task("warm", "", "ok", 2.0), *(Task(str(number), "", fault) for number in range(rounds))]
    outcomes = run_local(tasks, work.fault, local_slots(1, 1), timeout=1.0)
    next(outcomes)
    late: list[float] = []

    def stopped() -> None:
        outcome = next(outcomes)
        assert outcome.lost is not None
        assert outcome.lost.kind == "timeout"
        late.append(outcome.seconds - 1.0)

    benchmark.pedantic(stopped, rounds=rounds)
    benchmark.extra_info["seconds_late"] = [round(seconds, 3) for seconds in late]
    print("seconds after the limit:", benchmark.extra_info["seconds_late"])


@pytest.mark.slow
@pytest.mark.parametrize("slots", [1, 2])
def test_slots_share_the_work(benchmark: Any, small: Path, tmp_path: Path, slots: int) -> None:
    """The same deep cells in one slot and in two; the promise is the ratio of the two rows.

    Workers start cold, as in any run: each loads torch once.
    """
    cells = cells_of(["sdml", "mrl"], small, seeds=range(8), epochs=100)
    benchmark.pedantic(lambda: run(cells, tmp_path / "r", slots), rounds=1)


def _per_query() -> dict[tuple[str, str, str, str], Any]:
    """Return average precisions of the size of a usual benchmark's test split."""
    random = np.random.default_rng(0)
    protocols = ("map@all", "map@50/hits", "map@50/min", "map@50/relevant")
    return {
        (rule, protocol, *sides): random.random(231)
        for rule in ("best", "last")
        for protocol in protocols
        for sides in (("image", "text"), ("text", "image"))
    }
