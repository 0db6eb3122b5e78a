"""A list of cells against a results folder: what is missing is run, and everything is recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from bench.contract import DataError, UsageError
from bench.data import load_dataset
from bench.execution.cell_task import CellAnswer, Payload, work
from bench.execution.progress import Planned, RunEvent, Unstarted, Waiting
from bench.execution.record_writer import RecordWriter
from bench.execution.sharing import wait_for_others
from bench.execution.tasks import Executor, Task
from bench.experiment.cost import expect
from bench.experiment.grid import Cell, DataSource, describe_data
from bench.experiment.run_context import RunContext
from bench.experiment.stale import Stale, stale_cells
from bench.records.claims import Claims
from bench.records.folders import marked
from bench.records.schema import STATUSES, Status
from bench.records.store import Store


@dataclass(frozen=True)
class Sources:
    """Datasets asked for: those that are at hand, and what is wrong with the others."""

    usable: dict[str, DataSource]
    damaged: dict[str, str]


_GRACE = 0.5
"""Seconds that a method which has noticed its time limit gets to end by itself."""

_AGAIN: Final[dict[str, set[Status]]] = {
    "all": set(STATUSES) - {"done", "skipped"},
    "failed": {"failed", "exited", "killed", "lost", "disk-full"},
}
"""Words of ``--retry`` that mean several statuses; each status is a word for itself, too."""


def never() -> bool:
    """Do not stop."""
    return False


def describe_sources(given: Sequence[str], data_dir: Path, profile: str, cache: Path | None) -> Sources:
    """Describe the datasets without loading them; ``cache`` remembers the digests of unchanged files."""
    usable: dict[str, DataSource] = {}
    damaged: dict[str, str] = {}
    for name in given:
        try:
            usable[name] = describe_data(name, data_dir, profile, cache)
        except DataError as error:
            damaged[name] = str(error)
    return Sources(usable, damaged)


def open_once(cells: Sequence[Cell], data_dir: Path, profile: str) -> dict[str, str]:
    """Open every real dataset of the cells, so that a bad file is named once and before any training."""
    damaged = {}
    for source in dict.fromkeys(cell.source for cell in cells if cell.identity.data_kind == "real"):
        try:
            load_dataset(source, data_dir, profile=profile)
        except DataError as error:
            damaged[source] = str(error)
    return damaged


def remaining(
    cells: Sequence[Cell],
    store: Store,
    retry: Sequence[str] = (),
    *,
    trace_test: bool = False,
    stale: Mapping[str, Stale] | None = None,
) -> list[Cell]:
    """Return the cells that have no record yet, or one that is to be made again.

    A damaged record counts as none; one of a later version of this program is not ours to replace, so
    its cell is left out. `Store.problems` names both. A cell that only other code has finished is left alone,
    too: it may have taken weeks.

    Args:
        cells: all that are wanted.
        store: where records are.
        retry: statuses to run again; ``failed`` also for the other ends that are no limit's and no refusal's
            (exited, killed, lost, disk-full), ``all`` for every one but ``done`` and ``skipped``, ``stale``
            for the cells that only other code has finished.
        trace_test: a finished cell without an oracle trace counts as missing.
        stale: what `stale_cells` gives; None to look it up.
    """
    again = {status for word in retry for status in _AGAIN.get(word, {word})}
    left_alone = set() if "stale" in retry else set(stale_cells(cells, store) if stale is None else stale)
    statuses = store.statuses()
    kept = {problem.folder.name for problem in store.problems if problem.newer}

    def missing(digest: str) -> bool:
        """Tell whether a cell has no record, or one that is to be made again."""
        status = statuses.get(digest)
        if status == "done":
            return trace_test and not _has_oracle(store, digest)
        if digest in left_alone:
            return False
        return status in again or (status is None and digest not in kept)

    return [cell for cell in cells if missing(cell.identity.digest)]


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    place: RunContext,
    *,
    execute: Executor[CellAnswer],
    on_event: Callable[[RunEvent], None],
    claims: Claims | None = None,
    stop: Callable[[], bool] = never,
) -> int:
    """Run cells and record each as it ends; returns how many ended here.

    A cell that fails, hangs or takes its process with it is recorded as such and costs no other cell; nor
    does one whose record finds no room on the disk (`RecordWriter`). One that another run on the folder
    is running is put aside, and looked at again when nothing else is left to do: it is run here only if it
    has become free without a record.

    Args:
        cells: to run; the longest start first.
        store: where to record.
        place: data folder, time limit, and the device as the process sees it that runs a cell.
        execute: where the cells run; `hard_limit` says when it must stop one.
        on_event: told of starts, progress and ends; what it raises stops the run.
        claims: made before it was looked up what is missing; None to make them now.
        stop: asked often, from any thread; once it says yes, no cell starts any more, and this returns
            when those that run have ended.

    Raises:
        StoreError: if records cannot be written, for another reason than a full disk, or from the start;
            workers are stopped.
        UsageError: if a cell is planned for another kind of device than that of ``place``.
    """
    if not cells:
        return 0
    _require_device(cells, place)
    store.prepare()
    with claims or Claims(store) as held, marked(store.runs) as token:
        run = _Run(cells, store, place, held, on_event, stop)
        tasks = run.tasks(token)
        on_event(Planned({task.key: task.cost for task in tasks}, held.unavailable))
        try:
            run.carry_out(tasks, execute)
        finally:
            run.recorder.settle()
    return run.recorder.ended


class _Run:
    """Cells on their way into a results folder."""

    def __init__(
        self,
        cells: Sequence[Cell],
        store: Store,
        place: RunContext,
        claims: Claims,
        on_event: Callable[[RunEvent], None],
        stop: Callable[[], bool],
    ) -> None:
        self._cells = {cell.identity.digest: cell for cell in cells}
        self._store, self._place, self._claims = store, place, claims
        self._on_event, self._stop = on_event, stop
        self.recorder = RecordWriter(self._cells, store, place, claims, on_event)

    def tasks(self, token: str) -> list[Task]:
        """Return a task per cell; ``token`` marks the folder of the records."""
        expected = expect([*self._cells.values()], self._store)
        root, on_gpu = self._store.root.resolve(), self._place.device != "cpu"
        return [
            Task(
                digest,
                cell.title,
                Payload(cell, self._place, root, token),
                expected[digest].seconds,
                expected[digest].memory if on_gpu else None,
                admit=partial(self._admit, digest),
            )
            for digest, cell in self._cells.items()
        ]

    def carry_out(self, tasks: list[Task], execute: Executor[CellAnswer]) -> None:
        """Run tasks until none is left that may be started."""
        while tasks:
            aside = self._execute(tasks, execute)
            self.recorder.try_again()
            if not self.recorder.may_start():
                self._leave(aside)
                return
            tasks = self._wait_for_others(aside)

    def _admit(self, digest: str) -> bool:
        return not self._stop() and self.recorder.may_start() and self._claims.take(digest) == "mine"

    def _execute(self, tasks: list[Task], execute: Executor[CellAnswer]) -> list[Task]:
        """Run tasks, record what ends, and return what was put aside."""
        aside = []
        # Ctrl-C stops the workers here, not when the iterator is collected.
        with closing(execute(tasks, work, self._on_event)) as outcomes:
            for outcome in outcomes:
                if not outcome.aside:
                    self.recorder.take(outcome)
                elif self._claims.recorded(outcome.task.key):
                    self.recorder.tell_of_another_run(self._cells[outcome.task.key])
                else:
                    aside.append(outcome.task)
        return aside

    def _wait_for_others(self, aside: list[Task]) -> list[Task]:
        """Wait while other runs have all cells that are left; returns what is left once some are free."""
        return wait_for_others(
            aside,
            self._claims,
            stop=self._stop,
            recorded=lambda digest: self.recorder.tell_of_another_run(self._cells[digest]),
            waiting=lambda left: self._on_event(Waiting([self._cells[digest] for digest in left])),
        )

    def _leave(self, aside: list[Task]) -> None:
        """Say which cells are not started because of the disk."""
        if aside and not self._stop():
            self._on_event(Unstarted([self._cells[task.key] for task in aside]))


def standings(
    cells: Sequence[Cell], store: Store, unwritten: Collection[str] = ()
) -> dict[str, Status | Literal["missing", "stale"]]:
    """Return the status of each of the cells, by digest.

    It is ``missing`` where there is no record, and ``stale`` where only other code has a finished one.

    Args:
        cells: that are asked for.
        store: where records are.
        unwritten: digests of cells that ended without room for their records: these are ``disk-full``.
    """
    recorded = store.statuses()
    stale = stale_cells(cells, store, {*recorded, *unwritten})
    digests = [cell.identity.digest for cell in cells]
    return {
        digest: "disk-full"
        if digest in unwritten
        else recorded.get(digest, "stale" if digest in stale else "missing")
        for digest in digests
    }


def _require_device(cells: Sequence[Cell], place: RunContext) -> None:
    """Refuse cells of another kind of device: their identity would be false.

    Raises:
        UsageError: for the first such cell.
    """
    kind = place.device.partition(":")[0]
    for cell in cells:
        if cell.identity.device not in ("", kind):
            raise UsageError(
                f"{cell.title} is planned for {cell.identity.device}, but would run on {place.device}; "
                f"name devices of that kind with --devices {cell.identity.device}"
            )


def hard_limit(seconds: float | None) -> float | None:
    """Return when a worker is killed: a moment after the time in which a method can stop by itself.

    A method that watches its deadline leaves its trace and its log; a killed one leaves nothing.
    """
    return None if seconds is None else seconds + _GRACE


def _has_oracle(store: Store, digest: str) -> bool:
    result = store.read(digest).result
    if result is None:
        return False
    return result.selection == "none" or any(item.rule == "oracle" for item in result.selected)
