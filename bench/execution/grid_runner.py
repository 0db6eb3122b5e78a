"""Runs the cells of a grid that are missing in a results folder, and records each as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final, Literal

from bench.contract import UsageError
from bench.execution.cell_task import CellAnswer, Payload, run_cell_task
from bench.execution.progress import LeftOut, Planned, RunEvent, Unstarted, Waiting
from bench.execution.record_writer import RecordWriter
from bench.execution.tasks import Executor, Outcome, Task
from bench.experiment.cost import expect
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.experiment.stale import Stale, stale_cells
from bench.records.folders import marked
from bench.records.locks import Claims
from bench.records.schema import STATUSES, Status
from bench.records.store import Store

_GRACE: Final = 0.5
"""Seconds that a method which has noticed its time limit gets to end by itself."""

_PAUSE: Final = 0.3
"""Seconds between two looks at what other runs are doing."""

_RETRIED: Final[dict[str, set[Status]]] = {
    "all": set(STATUSES) - {"done", "skipped"},
    "failed": {"failed", "exited", "killed", "lost", "disk-full"},
}
"""Values of ``--retry`` that mean several statuses; each status is a value, too."""


def never() -> bool:
    """Do not stop."""
    return False


def hard_limit(seconds: float | None) -> float | None:
    """Return when a worker is killed: a moment after the time in which a method can stop by itself.

    A method that watches its deadline leaves its trace and its log; a killed one leaves nothing.
    """
    return None if seconds is None else seconds + _GRACE


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
    again = {status for word in retry for status in _RETRIED.get(word, {word})}
    left_alone = set() if "stale" in retry else set(stale_cells(cells, store) if stale is None else stale)
    statuses = store.statuses()
    kept = {problem.folder.name for problem in store.problems if problem.newer}

    def missing(digest: str) -> bool:
        """Return whether a cell has no record, or one that is to be made again."""
        status = statuses.get(digest)
        if status == "done":
            return trace_test and not _has_oracle(store, digest)
        if digest in left_alone:
            return False
        return status in again or (status is None and digest not in kept)

    return [cell for cell in cells if missing(cell.identity.digest)]


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


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    context: RunContext,
    *,
    execute: Executor[CellAnswer],
    on_event: Callable[[RunEvent], None],
    claims: Claims[Store] | None = None,
    stop: Callable[[], bool] = never,
) -> int:
    """Run cells and record each as it ends; returns how many ended here.

    A cell that fails, hangs or takes its process with it is recorded as such and costs no other cell; nor
    does one whose record finds no room on the disk (`RecordWriter`). One that another run on the folder is
    running is put aside, and looked at again when nothing else is left to do: it is run here only if it has
    become free without a record. A method whose plug-in ends or hangs when it is imported is left out.

    Args:
        cells: to run; the longest start first.
        store: where to record.
        context: data folder, time limit, and the device as the process sees it that runs a cell.
        execute: runs the cells; `hard_limit` says when it must stop one.
        on_event: receives starts, progress and ends; what it raises stops the run.
        claims: made before it was looked up what is missing; None to make them now.
        stop: asked often; once it returns True no cell starts any more, and this returns when those that run
            have ended.

    Raises:
        StoreError: if records cannot be written, for another reason than a full disk, or from the start;
            workers are stopped.
        UsageError: if a cell is planned for another kind of device than that of ``context``.
    """
    if not cells:
        return 0
    _require_device(cells, context)
    store.prepare()
    with claims or Claims(store) as held, marked(store.runs) as token:
        run = _Run(cells, store, context, held, on_event, stop)
        tasks = run.tasks(token)
        on_event(Planned({task.key: task.cost for task in tasks}, held.unavailable))
        try:
            run.carry_out(tasks, execute)
        finally:
            run.writer.settle()
    return run.writer.ended


class _Run:
    """The state of one `run_cells`."""

    def __init__(
        self,
        cells: Sequence[Cell],
        store: Store,
        context: RunContext,
        claims: Claims[Store],
        on_event: Callable[[RunEvent], None],
        stop: Callable[[], bool],
    ) -> None:
        self._cells = {cell.identity.digest: cell for cell in cells}
        self._store, self._context, self._claims = store, context, claims
        self._on_event, self._stop = on_event, stop
        self._left_out: dict[str, str] = {}
        self.writer = RecordWriter(self._cells, store, context, claims, on_event)

    def tasks(self, token: str) -> list[Task]:
        """Return a task per cell; ``token`` marks the folder of the records."""
        expected = expect([*self._cells.values()], self._store)
        on_gpu = self._context.device != "cpu"
        return [
            Task(
                digest,
                cell.title,
                Payload(cell, self._context, self._store.root.resolve(), token),
                expected[digest].seconds,
                expected[digest].memory if on_gpu else None,
                partial(self._admit, digest),
            )
            for digest, cell in self._cells.items()
        ]

    def carry_out(self, tasks: list[Task], execute: Executor[CellAnswer]) -> None:
        """Run tasks until none is left that may be started."""
        while tasks:
            # Ctrl-C stops the workers here, not when the iterator is collected.
            with closing(execute(tasks, run_cell_task, self._on_event)) as outcomes:
                aside = [outcome.task for outcome in outcomes if self._take(outcome)]
            self.writer.try_again()
            if not self.writer.may_start():
                if aside and not self._stop():
                    self._on_event(Unstarted([self._cells[task.key] for task in aside]))
                return
            tasks = wait_for_others(
                aside,
                self._claims,
                stop=self._stop,
                recorded=lambda digest: self.writer.end_elsewhere(self._cells[digest]),
                waiting=lambda left: self._on_event(Waiting([self._cells[digest] for digest in left])),
            )

    def _admit(self, digest: str) -> bool:
        return (
            not self._stop()
            and self._cells[digest].identity.method not in self._left_out
            and self.writer.may_start()
            and self._claims.take(digest) == "mine"
        )

    def _take(self, outcome: Outcome[CellAnswer]) -> bool:
        """Deal with the end of a task; return whether it is put aside for later."""
        digest = outcome.task.key
        cell = self._cells[digest]
        method = cell.identity.method
        if outcome.lost is not None and outcome.lost.kind == "import":
            self._left_out.setdefault(method, outcome.lost.reason)
        elif not outcome.skipped:
            self.writer.take(outcome)
            return False
        elif self._claims.recorded(digest):
            self.writer.end_elsewhere(cell)
            return False
        if method in self._left_out:
            self._claims.release(digest)
            self._on_event(LeftOut(cell, self._left_out[method]))
            return False
        return True


def wait_for_others(
    aside: Sequence[Task],
    claims: Claims[Any],
    *,
    stop: Callable[[], bool],
    recorded: Callable[[str], None],
    waiting: Callable[[Sequence[str]], None],
) -> list[Task]:
    """Wait while other processes have all tasks that are left; returns what is left once some are free.

    Args:
        aside: tasks that were not admitted.
        claims: of this process.
        stop: once it returns True, nothing is left.
        recorded: receives the key of each task that another process has recorded.
        waiting: receives the keys that are waited for, whenever they have become fewer.
    """
    left, before = [*aside], 0
    while left and not stop():
        found = {task.key: claims.take(task.key) for task in left}
        for task in left:
            if found[task.key] == "recorded":
                recorded(task.key)
        left = [task for task in left if found[task.key] != "recorded"]
        if "mine" in found.values():
            return left
        if len(left) != before:
            before = len(left)
            waiting([task.key for task in left])
        if left:
            time.sleep(_PAUSE)
    return []


def _require_device(cells: Sequence[Cell], context: RunContext) -> None:
    """Refuse cells of another kind of device: their identity would be false.

    Raises:
        UsageError: for the first such cell.
    """
    kind = context.device.partition(":")[0]
    for cell in cells:
        if cell.identity.device not in ("", kind):
            raise UsageError(
                f"{cell.title} is planned for {cell.identity.device}, but would run on {context.device}; "
                f"name devices of that kind with --devices {cell.identity.device}"
            )


def _has_oracle(store: Store, digest: str) -> bool:
    result = store.read(digest).result
    if result is None:
        return False
    return result.selection == "none" or any(item.rule == "oracle" for item in result.selected)
