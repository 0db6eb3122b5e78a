"""``verify``: recorded cells are run again, and their numbers compared with the records."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bench.analysis.drift import Drift, Recorded, changes, drawn, drift_of
from bench.cli.executor_options import DeviceOptions, LocalMachine
from bench.cli.formatting import say, table
from bench.cli.options import (
    FOLDER,
    Count,
    DataOption,
    FiniteRange,
    PluginOption,
    ResultsOption,
    make_command,
)
from bench.cli.run import prepare_results, run_displayed
from bench.cli.select_records import matching_names, read_records
from bench.contract.errors import BenchError, UsageError
from bench.execution.progress import RunProgress
from bench.experiment.grid import Cell
from bench.experiment.refit import cell_of
from bench.experiment.stale import sentences, stale_records
from bench.records.schema import Record
from bench.records.store import Store


@dataclass(frozen=True)
class SampleOptions:
    """Which cells to run again, and what their numbers may differ by.

    Attributes:
        cells: How many to draw at random.
        seed: Of the draw.
        methods: Draw from these only; names or globs.
        datasets: Draw from these only; names or globs.
        tolerance: Largest difference of two numbers that counts as agreement.  [default: none, and the bytes
            must be the same; .01 where versions, machine or device differ]
        keep: Keep the new records in this folder, for `compare --other-results`.
    """

    cells: Count = 3
    seed: int = 0
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    tolerance: Annotated[float | None, FiniteRange(0, 100)] = None
    keep: Annotated[Path | None, FOLDER] = None


@dataclass(frozen=True)
class Check:
    """One record and the cell run again: their drift and what else was different, or why there is none."""

    record: Record
    drift: Drift | None = None
    changes: tuple[str, ...] = ()
    reason: str = ""


@make_command("verify")
def command(
    sample: SampleOptions,
    devices: DeviceOptions,
    folder: ResultsOption,
    files: DataOption,
    plugins: PluginOption,
) -> int:
    """Run random recorded cells again and report how far their numbers are from the records.

    The same records and the same --seed draw the same cells. The new records go to another folder; those that
    are there are not touched. Where numbers differ, versions, machine, device and commit that differ are
    named. Stale records, which other code made, are named and left out.

    Exit status 0: all cells agree; 1: one does not, could not be checked or its record is damaged; 2: wrong
    usage or no finished records; 130: interrupted.

    Args:
        sample: which cells.
        devices: where they are run.
        folder: of the records.
        files: folder of the datasets' files.
        plugins: files with plug-ins.
    """
    plugins.load(warn_of_others=True)
    records, problems = read_records(folder.results)
    methods = matching_names("method", {one.identity.method for one in records}, sample.methods)
    datasets = matching_names("dataset", {one.identity.dataset for one in records}, sample.datasets)
    candidates = _of_this_code(
        [one for one in records if one.identity.method in methods and one.identity.dataset in datasets]
    )
    picked = drawn(candidates, sample.cells, sample.seed)
    if not picked:
        raise UsageError(f"none of the {len(candidates)} records that are asked for is of a finished cell")
    done = sum(record.status == "done" for record in candidates)
    say(f"{len(picked)} of {done} finished cells, drawn with seed {sample.seed}")
    with _new_folder(sample.keep) as new:
        old = Store(folder.results)
        checks, stopped = _run_again(picked, old, Store(new), devices, files.data)
    agreeing = sum(check.drift is not None and check.drift.agrees(sample.tolerance) for check in checks)
    say(*_lines(checks, sample.tolerance), f"{agreeing} of {len(checks)} agree")
    if stopped:
        return 130
    return int(agreeing < len(picked) or bool(problems))


def _of_this_code(records: Sequence[Record]) -> list[Record]:
    """Return the records that the code at hand made, and name the others.

    Raises:
        UsageError: if there are none.
    """
    stale = stale_records(records)
    say(*(f"left out: {sentence}" for sentence in sentences(stale)))
    if stale and len(stale) == len(records):
        raise UsageError(
            f"all {len(records)} records that are asked for are stale; make the cells again with "
            "`python -m bench run` and --retry stale, and hold them against these with compare"
        )
    left_out = {one.record.digest for one in stale}
    return [record for record in records if record.digest not in left_out]


@contextmanager
def _new_folder(keep: Path | None) -> Iterator[Path]:
    """Yield the folder for the new records: a temporary one, or one that holds none yet.

    Raises:
        UsageError: if it holds some: an older record might be taken for a new one.
    """
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="bench-verify-") as folder:
            yield Path(folder)
        return
    if Store(keep).stamps():
        raise UsageError(f"--keep {keep} holds records already; name a new folder")
    yield keep


def _run_again(
    picked: Sequence[Record], old: Store, new: Store, devices: DeviceOptions, data_dir: Path
) -> tuple[list[Check], bool]:
    """Run the cells of records again; returns a check of each, and whether Ctrl-C ended the run."""
    kind = LocalMachine(devices).kind
    planned: dict[str, Cell] = {}
    unplanned: dict[str, Check] = {}
    groups: dict[tuple[int, bool], list[Cell]] = {}  # by threads and whether there is a test oracle
    for record in picked:
        try:
            result = old.verify(record.digest).result
            cell = cell_of(record, data_dir, kind)
        except BenchError as error:
            unplanned[record.digest] = Check(record, reason=str(error))
            continue
        planned[record.digest] = cell
        oracle = result is not None and any(item.rule == "oracle" for item in result.selected)
        groups.setdefault((record.identity.threads, oracle), []).append(cell)
    stopped = False
    for (threads, oracle), cells in groups.items():
        if not stopped:
            prepare_results(new)
            site = LocalMachine(devices, threads).site()
            context = devices.context(site, data_dir, trace_test=oracle)
            stopped = run_displayed(cells, new, context, site, RunProgress(len(cells), 0))
    checks = [
        unplanned[record.digest]
        if record.digest in unplanned
        else _check(record, planned[record.digest].identity.digest, old, new)
        for record in picked
    ]
    return checks, stopped


def _check(record: Record, digest: str, old: Store, new: Store) -> Check:
    """Compare the new record of a cell, which has this digest on the device at hand, with the old one."""
    try:
        now = new.read(digest)
        pair = [Recorded(one, store.per_query(one.digest)) for one, store in ((record, old), (now, new))]
    except BenchError:
        return Check(record, reason="it was not run to its end")
    if now.failure is not None:
        return Check(record, reason=f"{now.status} now: {now.failure.reason}")
    return Check(record, drift_of(*pair), tuple(changes(record.environment, now.environment)))


def _lines(checks: Sequence[Check], tolerance: float | None) -> Iterator[str]:
    rows, sentences = [], []
    for check in checks:
        title, drift = check.record.identity.title, check.drift
        if drift is None:
            sentences.append(f"not checked: {title}: {check.reason}")
            continue
        agrees = "agrees" if drift.agrees(tolerance) else "DRIFT"
        rows.append(
            [
                title,
                drift.numbers,
                f"{drift.largest:.2g}",
                f"{drift.per_query:.2g}",
                f"{drift.tolerance(tolerance):g}",
                "the same bytes" if drift.identical else agrees,
            ]
        )
        if not drift.identical:
            known = ", ".join(check.changes) or "nothing that the records know of"
            sentences.append(f"{title} differs: {_difference(drift)}. Different meanwhile: {known}")
    yield from table(rows, ["cell", "numbers", "largest difference", "per query", "tolerance", "verdict"])
    yield from sentences


def _difference(drift: Drift) -> str:
    """Return what differs between two records of a cell."""
    words = [f"{drift.place} by {drift.largest:.2g}"] if drift.place else []
    words += [f"only one has {', '.join(drift.lacking[:3])}"] if drift.lacking else []
    words += [f"parts of the result: {', '.join(drift.otherwise)}"] if drift.otherwise else []
    return "; ".join(words)
