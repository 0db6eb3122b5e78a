"""Output of `run` on a whole grid: the forecast of a dry run, and the summary at the end of a run."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bench import registry
from bench.analysis.chance import near_chance
from bench.analysis.groups import row_key
from bench.cli.executor_options import Site
from bench.cli.formatting import and_more, bytes_of, clock, first_line
from bench.contract.errors import DataError
from bench.execution.grid_runner import cell_statuses
from bench.execution.local import INLINE
from bench.execution.progress import RunProgress
from bench.execution.scheduler import ScheduledTask, simulate
from bench.execution.tasks import Task
from bench.experiment.cost import expect
from bench.experiment.grid import Cell
from bench.plural import counted
from bench.records.schema import STATUSES, Record
from bench.records.store import Store
from bench.report.text import dataset_title

_LINES: Final = 9  # reasons that are printed; the others are counted
_LENGTH: Final = 200  # letters of a reason
_ORDER: Final[tuple[str, ...]] = (*STATUSES, "stale", "missing")


def forecast(
    cells: Sequence[Cell], todo: Sequence[Cell], store: Store, site: Site, stale: Collection[str] = ()
) -> Iterator[str]:
    """Yield a line per cell, one per device, and the total time, from a simulation of the slots.

    Of the ``cells``, those of ``todo`` would run; other code has finished the ``stale`` ones.
    """
    expected = expect(todo, store)
    for cell in cells:
        digest = cell.identity.digest
        if digest in expected:
            prior = " (prior)" if expected[digest].basis == "prior" else ""
            yield f"to run   {digest} {cell.title}: about {expected[digest].seconds:.1f} s{prior}"
        else:
            yield f"{'stale   ' if digest in stale else 'recorded'} {digest} {cell.title}"
    yield f"{counted(len(cells), 'cell')}, {len(todo)} to run"
    on_gpu = site.device != "cpu"
    tasks = [
        Task(digest, "", None, item.seconds, item.memory if on_gpu else None)
        for digest, item in expected.items()
    ]
    stays = list(simulate(tasks, site.slots or [INLINE]))
    for device in sorted({stay.slot.host_device for stay in stays}):
        here = [stay for stay in stays if stay.slot.host_device == device]
        slots = len({stay.slot.name for stay in here})
        yield f"{device}: {counted(len(here), 'cell')} in {counted(slots, 'slot')}, {_work(here)}"
    if stays:
        yield f"in all: {_work(stays)}"
    priors = [item.seconds for item in expected.values() if item.basis == "prior"]
    if priors:
        yield (
            f"{_time(sum(priors))} of that ({counted(len(priors), 'cell')}) rest on a prior only: "
            "nothing was recorded of these methods with this profile"
        )


def _work(stays: Sequence[ScheduledTask]) -> str:
    work, end = sum(stay.task.cost for stay in stays), max(stay.end for stay in stays)
    return f"{_time(work)} of work, done after about {_time(end)}"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60.0 else clock(seconds)


def summarise(
    cells: Sequence[Cell], store: Store, run: RunProgress, seconds: float, *, stopped: bool
) -> tuple[list[str], bool]:
    """Return the lines to print, and whether every cell is done, by any code, or skipped as declared.

    ``run`` has counted the cells that were run now, in ``seconds``; ``stopped``: Ctrl-C ended them.
    """
    statuses = cell_statuses(cells, store, run.unwritten)
    counts = Counter(statuses.values())
    ordered = sorted(counts.items(), key=lambda item: _ORDER.index(item[0]))
    total = ", ".join(f"{number} {status}" for status, number in ordered)
    part = f" of {run.what}" if run.what else ""
    lines = [f"{counted(len(cells), 'cell')}{part}: {total or 'none'}; {run.ran} run now in {seconds:.1f} s"]
    by_digest = {cell.identity.digest: cell for cell in cells}

    def named(words: str, reasons: Mapping[str, str]) -> list[str]:
        found = [digest for digest in by_digest if digest in reasons]
        return _reason_lines((words, reasons[digest], by_digest[digest]) for digest in found)

    undone = [(statuses[digest], cell) for digest, cell in by_digest.items() if statuses[digest] != "done"]
    lines += named("done without a snapshot for figures", store.without_snapshot)
    lines += _reason_lines((end, _reason(cell, end, store, run, stopped), cell) for end, cell in undone)
    kept, size, unkept = store.models.totals(by_digest.keys())
    lines += [f"stored models: {kept}, {bytes_of(size)} in {store.models.root}"] if kept else []
    lines += named("done without a model", unkept)
    if run.ran:  # for a grid that was finished before, the report has this
        done = [cell for digest, cell in by_digest.items() if statuses[digest] == "done"]
        lines += _near_chance(done, store)
    bad = len(cells) - counts["done"] - counts["skipped"] - counts["stale"]
    return lines + _next_steps(counts, bad, store, run, stopped), not bad


def _next_steps(
    counts: Mapping[Any, int], bad: int, store: Store, run: RunProgress, stopped: bool
) -> list[str]:
    again = "the same command again; it runs only what is missing"
    if stopped and counts["missing"]:
        return [f"next: {again}"]
    if run.unwritten or run.unstarted:
        return [f"next: free some space for {store.root}, then {again.replace(' again', '')}"]
    if 0 < bad == counts["missing"]:
        return [f"next: fix what is named above, then {again.replace(' again', '')}"]
    if bad:
        return [f"why: python -m bench status --results {store.root}; to try again: add --retry all"]
    if not counts["done"] and not counts["stale"]:
        return []
    merge = f"other shards: python -m bench merge OTHER_RESULTS --results {store.root}"
    return [*([merge] if run.what else []), f"next: python -m bench report --results {store.root}"]


def _reason_lines(items: Iterable[tuple[str, str, Cell]]) -> list[str]:
    """Return a line per status and reason, the most frequent first; the rarest are only counted."""
    groups: dict[tuple[str, str], list[str]] = {}
    for status, reason, cell in items:
        groups.setdefault((status, reason), []).append(cell.title)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = []
    for (status, reason), titles in ordered[:_LINES]:
        named = _LINES if status == "disk-full" else 1  # of these there may be no other trace
        short = reason if len(reason) <= _LENGTH else reason[: _LENGTH - 3] + "..."
        lines.append(f"  {len(titles)} {status}: {and_more(titles, named)}: {short}")
    if len(ordered) > _LINES:
        cut = sum(len(titles) for _, titles in ordered[_LINES:])
        lines.append(f"  and {counted(len(ordered) - _LINES, 'more reason')} for {counted(cut, 'cell')}")
    return lines


def _reason(cell: Cell, status: str, store: Store, run: RunProgress, stopped: bool) -> str:
    """Return why a cell is not done."""
    digest = cell.identity.digest
    if status == "stale":
        return "other code finished it; --retry stale makes it again"
    if digest in run.unwritten:
        return run.unwritten[digest]
    if status != "missing":
        try:
            failure = store.read(digest).failure
        except DataError as error:
            return str(error)
        return first_line(failure.reason) if failure is not None else ""
    if cell.identity.method in run.left_out:
        return "its method cannot be imported, see the error above"
    if any(problem.folder.name == digest for problem in store.problems):
        return "its record cannot be read, see the warning above"
    if digest in run.unstarted:
        return "not started, because the disk of the results is full"
    return "not run before the run was stopped" if stopped else "not recorded"


def _near_chance(cells: Sequence[Cell], store: Store) -> Iterator[str]:
    """Yield a line per method and data whose mean over cells is near chance, with advice."""
    methods = registry.registered().methods
    groups: dict[tuple[object, ...], list[Record]] = {}
    shared = {cell.identity.fingerprint for cell in cells if cell.shares_name}
    for cell in cells:
        identity = cell.identity
        if identity.method in methods and methods[identity.method].card.role != "reference":
            key = (row_key(identity), identity.dataset, identity.fingerprint, identity.condition)
            with contextlib.suppress(DataError):  # a damaged record is named where it is counted
                groups.setdefault(key, []).append(store.read(identity.digest))
    for records in groups.values():
        near = near_chance(records)
        if near:
            identity = records[0].identity
            name = identity.method + ("" if identity.variant == "full" else f"/{identity.variant}")
            data = dataset_title(identity.dataset, identity.condition)
            data += f" [data {identity.fingerprint[:8]}]" if identity.fingerprint in shared else ""
            yield f"  near chance: {name} on {data}: {near.words}; {near.advice}"
