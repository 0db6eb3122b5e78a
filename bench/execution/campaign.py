"""A list of cells against a results folder: what is missing is run, and everything is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import registry
from bench.contract import DataError
from bench.data import load_dataset
from bench.execution.cell_work import Payload, Worked, work
from bench.execution.tasks import Event, Executor, Loss, Outcome, Task
from bench.experiment.cell import Finished, lost
from bench.experiment.cost import expect
from bench.experiment.grid import Cell, DataSource, describe_data
from bench.experiment.workplace import Workplace
from bench.records.claims import Claims
from bench.records.folders import StoreError, marked
from bench.records.schema import STATUSES, Failure, Status
from bench.records.store import Store


@dataclass(frozen=True)
class Sources:
    """Datasets asked for: those that are at hand, and what is wrong with the others."""

    usable: dict[str, DataSource]
    damaged: dict[str, str]


@dataclass(frozen=True)
class Ended:
    """A cell that has just been recorded."""

    cell: Cell
    status: Status
    reason: str
    seconds: float
    elsewhere: bool = False
    """Whether another run on the same folder did it."""


@dataclass(frozen=True)
class Planned:
    """Cells are about to be run.

    Attributes:
        costs: expected seconds of each, by digest.
        unclaimed: why cells cannot be claimed here; empty where they can.
    """

    costs: Mapping[str, float]
    unclaimed: str = ""


@dataclass(frozen=True)
class Waiting:
    """All that is left are cells that other runs on the same folder are running."""

    cells: Sequence[Cell]


CampaignEvent = Event | Planned | Waiting | Ended

_GRACE = 0.5
"""Seconds that a method which has noticed its time limit gets to end by itself."""

_PAUSE = 0.3
"""Seconds between two looks at cells that other runs are running."""


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
    cells: Sequence[Cell], store: Store, retry: Sequence[str] = (), *, trace_test: bool = False
) -> list[Cell]:
    """Return the cells that have no record yet, or one that is to be made again.

    A damaged record counts as none; one of a later version of this program is not ours to replace, so
    its cell is left out. `Store.problems` names both.

    Args:
        cells: all that are wanted.
        store: where records are.
        retry: statuses to run again; ``all`` for every one but ``done`` and ``skipped``, ``stale`` for
            whatever an earlier version of a method's file made.
        trace_test: a finished cell without an oracle trace counts as missing.
    """
    again = set(STATUSES) - {"done", "skipped"} if "all" in retry else set(retry)
    old = stale(cells, store) if "stale" in retry else set()
    statuses = store.statuses()
    kept = {problem.folder.name for problem in store.problems if problem.kept}

    def missing(digest: str) -> bool:
        """Tell whether a cell has no record, or one that is to be made again."""
        status = statuses.get(digest)
        if digest in old:
            return True
        if status == "done":
            return trace_test and not _has_oracle(store, digest)
        return status in again or (status is None and digest not in kept)

    return [cell for cell in cells if missing(cell.identity.digest)]


def stale(cells: Sequence[Cell], store: Store) -> set[str]:
    """Return the digests of cells whose record was made by another version of the method's file."""
    sources = {cell.identity.digest: registry.method(cell.identity.method).key for cell in cells}
    return {
        record.digest
        for record in store.records()
        if record.digest in sources and record.circumstances.source not in ("", sources[record.digest])
    }


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    place: Workplace,
    *,
    execute: Executor[Worked],
    on_event: Callable[[CampaignEvent], None],
    claims: Claims | None = None,
    stop: Callable[[], bool] = never,
) -> int:
    """Run cells and record each as it ends; returns how many ended here.

    A cell that fails, hangs or takes its process with it is recorded as such and costs no other cell. One
    that another run on the same folder is running is put aside, and looked at again when nothing else is
    left to do: it is run here only if it has become free without a record.

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
        StoreError: if records cannot be written; workers are stopped.
    """
    if not cells:
        return 0
    store.prepare()
    by_digest = {cell.identity.digest: cell for cell in cells}
    expected = expect(cells, store)
    on_gpu = place.device != "cpu"
    ended = 0
    root = store.root.resolve()
    with claims or Claims(store) as held, marked(store.runs) as token:
        tasks = [
            Task(
                digest,
                cell.title,
                Payload(cell, place, root, token, registry.method(cell.identity.method).key),
                expected[digest].seconds,
                expected[digest].memory if on_gpu else None,
                admit=partial(_admit, digest, held, stop),
            )
            for digest, cell in by_digest.items()
        ]
        on_event(Planned({task.key: task.cost for task in tasks}, held.unavailable))
        while tasks:
            aside = []
            # Ctrl-C stops the workers here, not when the iterator is collected.
            with closing(execute(tasks, work, on_event)) as outcomes:
                for outcome in outcomes:
                    key = outcome.task.key
                    if not outcome.aside:
                        event = _record(by_digest[key], outcome, place, store)
                        held.release(key)
                        on_event(event)
                        ended += 1
                    elif held.recorded(key):
                        on_event(_recorded_elsewhere(by_digest[key], store))
                    else:
                        aside.append(outcome.task)
            tasks = _wait_for_others(aside, by_digest, store, held, on_event, stop)
    return ended


def _admit(digest: str, claims: Claims, stop: Callable[[], bool]) -> bool:
    return not stop() and claims.take(digest) == "mine"


def _wait_for_others(
    aside: list[Task],
    cells: Mapping[str, Cell],
    store: Store,
    claims: Claims,
    on_event: Callable[[CampaignEvent], None],
    stop: Callable[[], bool],
) -> list[Task]:
    """Wait while other runs have all cells that are left; returns what is left once some are free."""
    told = 0
    while aside and not stop():
        standings = {task.key: claims.take(task.key) for task in aside}
        for task in aside:
            if standings[task.key] == "recorded":
                on_event(_recorded_elsewhere(cells[task.key], store))
        aside = [task for task in aside if standings[task.key] != "recorded"]
        if "mine" in standings.values():
            return aside
        if len(aside) != told:
            told = len(aside)
            on_event(Waiting([cells[task.key] for task in aside]))
        if aside:
            time.sleep(_PAUSE)
    return []


def _recorded_elsewhere(cell: Cell, store: Store) -> Ended:
    try:
        record = store.read(cell.identity.digest)
    except DataError:  # removed or damaged just now: the next run sees to that
        return Ended(cell, "failed", "another run recorded it, but its record is gone or damaged", 0.0, True)
    reason = "" if record.failure is None else record.failure.reason
    return Ended(cell, record.status, reason, record.circumstances.seconds.get("total", 0.0), True)


def count_statuses(cells: Sequence[Cell], store: Store) -> dict[str, int]:
    """Return how many of the cells have each status, and how many have none (``missing``)."""
    statuses = store.statuses()
    found = [statuses.get(cell.identity.digest, "missing") for cell in cells]
    return {status: found.count(status) for status in (*STATUSES, "missing")}


def hard_limit(seconds: float | None) -> float | None:
    """Return when a worker is killed: a moment after the time in which a method can stop by itself.

    A method that watches its deadline leaves its trace and its log; a killed one leaves nothing.
    """
    return None if seconds is None else seconds + _GRACE


def _record(cell: Cell, outcome: Outcome[Worked], place: Workplace, store: Store) -> Ended:
    if outcome.value is not None:
        status, reason = outcome.value.status, outcome.value.reason
        if outcome.value.files is not None:
            store.put(cell.identity.digest, outcome.value.files)
    else:
        assert outcome.lost is not None
        if outcome.lost.exception == StoreError.__name__:
            # The worker could not write: not the cell's fault, so it gets no record and runs again next time.
            raise StoreError(outcome.lost.reason.removeprefix(f"{StoreError.__name__}: "))
        status, reason = _status_of(outcome.lost), _reason_of(outcome.lost, place)
        failure = Failure(reason=reason, kind=outcome.lost.kind, traceback=outcome.lost.traceback)
        _write(lost(cell, place, status, failure, outcome.seconds, outcome.output), store)
    return Ended(cell, status, reason, outcome.seconds)


def _reason_of(loss: Loss, place: Workplace) -> str:
    if loss.kind == "timeout" and place.seconds is not None:
        return f"it went on after its time limit of {place.seconds:g} s and was stopped"
    return loss.reason


def _status_of(loss: Loss) -> Status:
    ends: dict[str, Status] = {"timeout": "timeout", "memory": "out-of-memory"}
    return ends.get(loss.kind, "failed")


def _write(finished: Finished, store: Store) -> None:
    store.write(finished.record, finished.per_query, finished.trace, finished.log)


def _has_oracle(store: Store, digest: str) -> bool:
    result = store.read(digest).result
    if result is None:
        return False
    return result.selection == "none" or any(item.rule == "oracle" for item in result.selected)
