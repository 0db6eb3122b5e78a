"""``verify``: recorded cells are run again, and their numbers held against the records."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import (
    FiniteRange,
    data_option,
    grouped,
    load_plugins,
    plugin_option,
    results_option,
    warn_of_problems,
)
from bench.cli.places import Places, place_options
from bench.contract.errors import BenchError, UsageError

if TYPE_CHECKING:
    from bench.analysis.drift import Drift
    from bench.experiment.grid import Cell
    from bench.records.schema import Record
    from bench.records.store import Store


@dataclass(frozen=True)
class Sample:
    """Which cells to run again, and what their numbers may differ by, as typed."""

    cells: int
    seed: int
    methods: Sequence[str]
    datasets: Sequence[str]
    tolerance: float | None
    keep: Path | None


sample_options = grouped(
    Sample,
    "sample",
    click.option(
        "--cells", default=3, show_default=True, type=click.IntRange(1), help="How many to draw at random."
    ),
    click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the draw."),
    click.option("--methods", multiple=True, help="Draw from these only; names or globs."),
    click.option("--datasets", multiple=True, help="Draw from these only; names or globs."),
    click.option(
        "--tolerance",
        default=None,
        type=FiniteRange(0),
        help="Largest difference of two numbers that counts as agreement.  [default: none, and the bytes "
        "must be the same; .01 where versions, machine or device are others]",
    ),
    click.option(
        "--keep",
        default=None,
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep the new records in this folder, for `compare --other-results`.",
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What became of one record; either its drift and what was different, or why it could not be checked."""

    record: Record
    drift: Drift | None = None
    changes: tuple[str, ...] = ()
    reason: str = ""


@click.command("verify", context_settings={"help_option_names": ["-h", "--help"]})
@sample_options
@place_options
@results_option
@data_option
@plugin_option
def command(
    sample: Sample,
    places: Places,
    results: Path,
    data_dir: Path,
    plugin_files: Sequence[Path],
) -> int:
    """Run random recorded cells again and report how far their numbers are from the records.

    The same records and the same --seed draw the same cells. The new records go to a folder of their own;
    those that are there are not touched. Where numbers differ, versions, machine, device and commit that
    differ are named. Stale records, which other code made, are named and left out.

    Exit status 0: all cells agree; 1: one does not, could not be checked or its record is damaged; 2: wrong
    usage or no finished records; 130: interrupted.
    """
    from bench.analysis.drift import drawn
    from bench.cli.reading import chosen, read_records
    from bench.records.store import Store

    load_plugins(plugin_files)
    warn_of_problems()
    records, problems = read_records(results)
    methods = chosen("method", {record.identity.method for record in records}, sample.methods)
    datasets = chosen("dataset", {record.identity.dataset for record in records}, sample.datasets)
    asked = [one for one in records if one.identity.method in methods and one.identity.dataset in datasets]
    asked = _of_this_code(asked)
    picked = drawn(asked, sample.cells, sample.seed)
    if not picked:
        raise UsageError(f"none of the {len(asked)} records that are asked for is of a finished cell")
    done = sum(record.status == "done" for record in asked)
    click.echo(f"{len(picked)} of {done} finished cells, drawn with seed {sample.seed}")
    with _folder(sample.keep) as folder:
        outcomes, stopped = _run_again(picked, Store(results), Store(folder), places, data_dir)
    _print(outcomes, sample.tolerance)
    if stopped:
        return 130
    agreeing = [one for one in outcomes if one.drift is not None and one.drift.agrees(sample.tolerance)]
    return int(len(agreeing) < len(picked) or bool(problems))


def _of_this_code(records: Sequence[Record]) -> list[Record]:
    """Return the records that the code at hand made, and name the others.

    Raises:
        UsageError: if there are none.
    """
    from bench.experiment.stale import sentences, stale_records

    stale = stale_records(records)
    for sentence in sentences(stale):
        click.echo(f"left out: {sentence}")
    if stale and len(stale) == len(records):
        raise UsageError(
            f"all {len(records)} records that are asked for are stale; make the cells again with "
            "`python -m bench run` and --retry stale, and hold them against these with compare"
        )
    left_out = {one.record.digest for one in stale}
    return [record for record in records if record.digest not in left_out]


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Yield the folder for the new records: a temporary one, or one that holds none yet.

    Raises:
        UsageError: if it holds some: an older record might be taken for a new one.
    """
    from bench.records.store import Store

    if keep is None:
        with tempfile.TemporaryDirectory(prefix="bench-verify-") as folder:
            yield Path(folder)
        return
    if Store(keep).stamps():
        raise UsageError(f"--keep {keep} holds records already; name a new folder")
    yield keep


def _run_again(
    picked: Sequence[Record], old: Store, new: Store, places: Places, data_dir: Path
) -> tuple[list[Outcome], bool]:
    """Run the cells of records again; returns what became of each, and whether Ctrl-C ended it."""
    from bench.cli.places import resolve

    cells, unplanned = _planned(picked, old, data_dir, resolve(places).kind)
    stopped = False
    for (threads, trace_test), group in _by_needs(cells).items():
        stopped = stopped or _run([cell for _, cell in group], new, places, threads, trace_test, data_dir)
    made = {record.digest: cell.identity.digest for record, cell in cells}
    outcomes = [
        unplanned.get(record.digest) or _outcome(record, made[record.digest], old, new) for record in picked
    ]
    return outcomes, stopped


def _planned(
    picked: Sequence[Record], old: Store, data_dir: Path, device: str
) -> tuple[list[tuple[Record, Cell]], dict[str, Outcome]]:
    """Return the cells that can be run again, and by digest why the others cannot."""
    from bench.experiment.refit import cell_of

    cells: list[tuple[Record, Cell]] = []
    unplanned: dict[str, Outcome] = {}
    for record in picked:
        try:
            cells.append((old.verify(record.digest), cell_of(record, data_dir, device)))
        except BenchError as error:
            unplanned[record.digest] = Outcome(record, reason=str(error))
    return cells, unplanned


def _by_needs(cells: Sequence[tuple[Record, Cell]]) -> dict[tuple[int, bool], list[tuple[Record, Cell]]]:
    """Return the cells that can be run together: of as many threads, and with or without a test oracle."""
    groups: dict[tuple[int, bool], list[tuple[Record, Cell]]] = {}
    for record, cell in cells:
        assert record.result is not None
        oracle = any(item.rule == "oracle" for item in record.result.selected)
        groups.setdefault((record.identity.threads, oracle), []).append((record, cell))
    return groups


def _run(
    cells: Sequence[Cell], store: Store, places: Places, threads: int, trace_test: bool, data_dir: Path
) -> bool:
    """Run cells as `run` does; returns whether Ctrl-C was pressed."""
    from bench import registry
    from bench.cli.attending import attended
    from bench.cli.places import executor_for, survey
    from bench.execution.grid_runner import run_cells
    from bench.execution.progress import RunProgress
    from bench.experiment.run_context import RunContext

    site = survey(places, threads)
    place = RunContext(
        data_dir.resolve(), site.device, registry.plugins(), places.timeout, trace_test, places.max_memory
    )
    store.prepare()
    with attended(RunProgress(len(cells), 0), store.root) as (display, interrupts):
        run_cells(
            cells,
            store,
            place,
            execute=executor_for(site, places),
            on_event=display,
            stop=interrupts.stop,
        )
    return interrupts.asked


def _outcome(record: Record, digest: str, old: Store, new: Store) -> Outcome:
    """Hold the new record of a cell, which has this digest on the device at hand, against the old one."""
    from bench.analysis.drift import Recorded, changes, drift_of

    try:
        again = new.read(digest)
        pair = [Recorded(one, store.per_query(one.digest)) for one, store in ((record, old), (again, new))]
    except BenchError:
        return Outcome(record, reason="it was not run to its end")
    if again.failure is not None:
        return Outcome(record, reason=f"{again.status} now: {again.failure.reason}")
    changed = tuple(changes(record.environment, again.environment))
    return Outcome(record, drift_of(*pair), changed)


def _print(outcomes: Sequence[Outcome], tolerance: float | None) -> None:
    from tabulate import tabulate

    from bench.cli.phrases import printable

    rows = [_row(one, one.drift, tolerance) for one in outcomes if one.drift is not None]
    headings = ["cell", "numbers", "largest difference", "per query", "tolerance", "verdict"]
    lines = tabulate(rows, headers=headings, disable_numparse=True).splitlines() if rows else []
    for one in outcomes:
        if one.drift is None:
            lines.append(f"not checked: {one.record.identity.title}: {one.reason}")
        elif not one.drift.identical:
            lines.append(_difference(one, one.drift))
    agreeing = sum(one.drift is not None and one.drift.agrees(tolerance) for one in outcomes)
    lines.append(f"{agreeing} of {len(outcomes)} agree")
    for line in lines:
        click.echo(printable(line))


def _row(one: Outcome, drift: Drift, tolerance: float | None) -> list[object]:
    verdict = "the same bytes" if drift.identical else "agrees" if drift.agrees(tolerance) else "DRIFT"
    largest, per_query = (f"{value:.2g}" for value in (drift.largest, drift.per_query))
    allowed = f"{drift.tolerance(tolerance):g}"
    return [one.record.identity.title, drift.numbers, largest, per_query, allowed, verdict]


def _difference(one: Outcome, drift: Drift) -> str:
    """Return what differs between two records of a cell, and what else was different, in a sentence."""
    words = [f"{drift.place} by {drift.largest:.2g}"] if drift.place else []
    words += [f"only one has {', '.join(drift.lacking[:3])}"] if drift.lacking else []
    words += [f"parts of the result: {', '.join(drift.otherwise)}"] if drift.otherwise else []
    known = ", ".join(one.changes) or "nothing that the records know of"
    return f"{one.record.identity.title} differs: {'; '.join(words)}. Different meanwhile: {known}"
