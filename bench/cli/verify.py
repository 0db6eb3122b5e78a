"""``verify``: run recorded cells again, and compare their numbers with the records."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bench.analysis.drift import Drift, Recorded, changes, drawn, drift_of
from bench.analysis.results import Filter, words_of
from bench.cli.executor_options import DeviceOptions, LocalMachine
from bench.cli.formatting import print_lines, table
from bench.cli.options import ARGUMENT, FOLDER, Count, DataOption, FiniteRange, ResultsOption, make_command
from bench.cli.run import prepare_results, run_displayed
from bench.cli.select_records import condition_words, read_records
from bench.contract.errors import BenchError, UsageError
from bench.execution.progress import RunProgress
from bench.experiment.grid import Cell
from bench.experiment.refit import cell_of, recheck
from bench.experiment.run_context import RunContext, keeping
from bench.experiment.stale import sentences, stale_changes, stale_records
from bench.records.schema import Record
from bench.records.store import Store


@dataclass(frozen=True)
class SampleOptions:
    """Cells to run again, and the tolerance of their numbers.

    Attributes:
        cells: Number of cells to draw at random.
        seed: Seed of the draw.
        methods: Draw only from these methods; names or globs.
        datasets: Draw only from these datasets; names or globs.
        conditions: Draw only from these conditions: clean, names, groups, ids or globs.
        tolerance: Largest difference that counts as agreement.  [default: the bytes must be the same; .01
            where versions, machine or device differ]
        keep: Folder to keep the new records in, for `compare --other-results`.
        models: Load the stored models of the cells instead of training, and evaluate them.
    """

    cells: Count = 3
    seed: int = 0
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    tolerance: Annotated[float | None, FiniteRange(0, 100)] = None
    keep: Annotated[Path | None, FOLDER] = None
    models: bool = False


@dataclass(frozen=True)
class Check:
    """Comparison of a record with its cell run again: drift and changed versions, or why there is none."""

    record: Record
    drift: Drift | None = None
    changes: tuple[str, ...] = ()
    reason: str = ""


@make_command("verify", plugins="all")
def command(
    *,
    records: Annotated[tuple[str, ...], ARGUMENT] = (),
    sample: SampleOptions,
    devices: DeviceOptions,
    folder: ResultsOption,
    files: DataOption,
) -> int:
    """Run recorded cells again and compare their numbers with the records.

    RECORDS are first digits of record digests; without any, cells are drawn at random (the same records and
    the same --seed give the same draw). The records are not changed. Where numbers differ, the output
    says which versions, machine, device or commit differ. Stale records (of another version of the code) are
    named and left out, except with --models.

    Exit status 0: all cells agree; 1: one does not, could not be checked or its record is damaged; 2: wrong
    usage or no finished records; 130: interrupted.
    """
    known, problems = read_records(folder.results)
    old = Store(folder.results)
    candidates = _candidates(known, records, sample, old)
    picked = drawn(candidates, len(candidates) if records else sample.cells, sample.seed)
    if not picked:
        raise UsageError(
            f"none of the {len(candidates)} records found is of a finished cell"
            if candidates
            else "no record matches the request"
        )
    done = sum(record.status == "done" for record in candidates)
    how = "as named" if records else f"drawn with seed {sample.seed}"
    print_lines(f"{len(picked)} of {done} finished cells, {how}")
    if sample.models:
        checks, stopped = [_check_model(record, old, files.data) for record in picked], False
    else:
        if sample.keep is not None and Store(sample.keep).stamps():  # taken for new ones
            raise UsageError(f"--keep {sample.keep} already holds records; name a new folder")
        with tempfile.TemporaryDirectory(prefix="bench-verify-") as temporary:
            new = Store(sample.keep or Path(temporary))
            checks, stopped = _run_again(picked, old, new, devices, files.data)
    agreeing = sum(check.drift is not None and check.drift.agrees(sample.tolerance) for check in checks)
    print_lines(*_lines(checks, sample.tolerance), f"{agreeing} of {len(checks)} agree")
    if stopped:
        return 130
    return int(agreeing < len(picked) or bool(problems))


def _candidates(
    known: Sequence[Record], records: Sequence[str], sample: SampleOptions, store: Store
) -> list[Record]:
    """Return the records to draw from; without ``--models`` stale ones are printed and left out.

    Raises:
        UsageError: if all are stale.
    """
    wanted = Filter(
        methods=words_of(sample.methods),
        datasets=words_of(sample.datasets),
        conditions=condition_words(sample.conditions, known),
        records=records,
    )
    wanted.require_known(known)
    candidates = wanted.of(known)
    if sample.models:
        modelled = {*store.models.digests()}
        return [record for record in candidates if records or record.digest in modelled]
    stale = stale_records(candidates)
    print_lines(*(f"left out: {sentence}" for sentence in sentences(stale)))
    if stale and len(stale) == len(candidates):
        raise UsageError(
            f"all {len(candidates)} requested records are stale; run the cells again with `python -m bench "
            "run` and --retry stale, and compare both with `python -m bench compare` and --earlier-code"
        )
    left_out = {item.record.digest for item in stale}
    return [record for record in candidates if record.digest not in left_out]


def _run_again(
    picked: Sequence[Record], old: Store, new: Store, devices: DeviceOptions, data_dir: Path
) -> tuple[list[Check], bool]:
    """Run the cells of records again; return a check of each, and whether Ctrl-C ended the run."""
    kind = LocalMachine(devices).kind
    checks: dict[str, Check] = {}
    groups: dict[tuple[int, bool, tuple[str, ...]], dict[str, Cell]] = {}  # cells with one run context
    for record in picked:
        try:
            result = old.verify(record.digest).result
            cell = cell_of(record, data_dir, kind)
        except BenchError as error:
            checks[record.digest] = Check(record, reason=str(error))
            continue
        kept = keeping(RunContext(), result)
        alike = record.identity.threads, kept.trace_test, kept.protocols
        groups.setdefault(alike, {})[record.digest] = cell
    stopped = False
    for (threads, oracle, protocols), cells in groups.items():
        if not stopped:
            prepare_results(new)
            site = LocalMachine(devices, threads).site()
            context = devices.context(site, data_dir, trace_test=oracle, protocols=protocols)
            stopped = run_displayed([*cells.values()], new, context, site, RunProgress(len(cells), 0))
    made = {digest: cell.identity.digest for cells in groups.values() for digest, cell in cells.items()}
    return [
        checks.get(record.digest) or _check(record, made[record.digest], old, new) for record in picked
    ], stopped


def _check(record: Record, digest: str, old: Store, new: Store) -> Check:
    """Compare the new record of a cell, which has this digest on the device at hand, with the old one."""
    try:
        now = new.read(digest)
        pair = [Recorded(item, store.per_query(item.digest)) for item, store in ((record, old), (now, new))]
    except BenchError:
        return Check(record, reason="it was not run to its end")
    if now.failure is not None:
        return Check(record, reason=f"{now.status} now: {now.failure.reason}")
    return Check(record, drift_of(*pair), tuple(changes(record.environment, now.environment)))


def _check_model(record: Record, old: Store, data_dir: Path) -> Check:
    """Compare the numbers that the stored model of a cell gives with those of its record."""
    try:
        old.verify(record.digest)
        if (card := old.models.card(record.digest)) is None or card.reason:
            return Check(record, reason=f"no model was kept{f': {card.reason}' if card else ''}")
        cell = cell_of(record, data_dir, any_code=True)
        found = recheck(record, cell, old.models.root / record.digest, data_dir)
        rule = found.old.result.selection if found.old.result else ""
        before = Recorded(found.old, old.per_query(record.digest, lambda series: series.selection == rule))
    except BenchError as error:
        return Check(record, reason=str(error))
    drift = drift_of(before, Recorded(found.new, found.per_query))
    other = *stale_changes(record), *changes(record.environment, found.new.environment)
    return Check(record, drift, other)


def _lines(checks: Sequence[Check], tolerance: float | None) -> Iterator[str]:
    rows, differing = [], []
    titles = Counter(check.record.identity.title for check in checks)
    for check in checks:
        title, drift = check.record.identity.title, check.drift
        title += f" ({check.record.digest[:8]})" if titles[title] > 1 else ""
        if drift is None:
            differing.append(f"not checked: {title}: {check.reason}")
            continue
        agrees = "agrees" if drift.agrees(tolerance) else "DRIFT"
        numbers = [f"{drift.largest:.2g}", f"{drift.per_query:.2g}", f"{drift.tolerance(tolerance):g}"]
        rows.append([title, drift.numbers, *numbers, "the same bytes" if drift.identical else agrees])
        if not drift.identical:
            known = ", ".join(check.changes) or "nothing that the records know of"
            words = [f"{drift.largest_at} by {drift.largest:.2g}"] if drift.largest_at else []
            words += [f"only one has {', '.join(drift.lacking[:3])}"] if drift.lacking else []
            words += [f"parts of the result: {', '.join(drift.otherwise)}"] if drift.otherwise else []
            differing.append(f"{title} differs: {'; '.join(words)}. Different meanwhile: {known}")
    yield from table(rows, ["cell", "numbers", "largest difference", "per query", "tolerance", "verdict"])
    yield from differing
