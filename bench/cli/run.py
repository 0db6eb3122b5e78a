"""``run``: run methods on datasets; `ablate` and `sweep` run their grids with the same code."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from bench import registry
from bench.cli.executor_options import DeviceOptions, ExecutorOptions, Site, machines
from bench.cli.formatting import print_lines, warn
from bench.cli.grid_options import CellOptions, Wanted, plan_cells
from bench.cli.options import DataOption, ResultsOption, Words, make_command
from bench.cli.run_session import run_session
from bench.cli.summary import forecast, summarise
from bench.contract import Similarity
from bench.contract.errors import UsageError
from bench.evaluation.protocols import further_protocols
from bench.execution.data_check import Sources
from bench.execution.grid_runner import remaining, run_cells
from bench.execution.progress import RunProgress
from bench.experiment.grid import Cell, cells_of_shard, parse_shard
from bench.experiment.run_context import RunContext
from bench.experiment.selection import split_words
from bench.experiment.stale import Stale, sentences, stale_cells
from bench.plural import counted
from bench.records.folders import StoreError
from bench.records.heartbeat import remove_dead_runs
from bench.records.locks import Claims
from bench.records.store import Store

Retry = Literal[
    "failed", "exited", "killed", "lost", "disk-full", "timeout", "out-of-memory", "refused", "skipped",
    "stale", "all",
]  # fmt: skip


@dataclass(frozen=True)
class JobOptions:
    """Options of running cells and storing their records.

    Attributes:
        retry: Run cells with this status again; may be repeated. failed includes exited, killed, lost and
            disk-full; all is every status but done and skipped; stale means cells that another version of
            the code finished.
        trace_test: Fit twice, the second time to record the test mAP of every epoch, from which the
            selection rule oracle chooses; the results are those of the first fit.
        keep_models: Store the selected state of each cell, for embed and search; finished cells without one
            are run again. See docs/models.md.
        protocols: Further protocols, such as recall@10,ndcg@100, or standard for the usual ones of each
            dataset. The four mAP protocols are always evaluated; finished cells without these are run again.
        shard: Run only part I of N of the grid.
        dry_run: Print what would run, and how long it would take.
    """

    devices: DeviceOptions
    executor: ExecutorOptions
    records: ResultsOption
    files: DataOption
    retry: tuple[Retry, ...] = ()
    trace_test: bool = False
    keep_models: bool = False
    protocols: tuple[str, ...] = ()
    shard: Annotated[str | None, Words("I/N")] = None
    dry_run: bool = False

    @property
    def additions(self) -> dict[str, Any]:
        """The additions to a cell's usual numbers, as fields of its run context.

        Raises:
            UsageError: for an unknown protocol.
        """
        further = further_protocols(split_words(self.protocols))
        return {"trace_test": self.trace_test, "keep_models": self.keep_models, "protocols": further}


@make_command("run", plugins="all")
def command(
    *,
    methods: tuple[str, ...] = (),
    datasets: tuple[str, ...] = (),
    variants: tuple[str, ...] = ("full",),
    embeddings: Annotated[tuple[str, ...], Words("NAME=FILE")] = (),
    similarity: Similarity = "cosine",
    cells: CellOptions,
    job: JobOptions,
) -> int:
    """Run methods on datasets; cells that are already recorded are not run again.

    Groups of methods: all (roster and references), roster (DRCL and the 15 baselines), baselines, linear,
    deep, references (chance, sm), extras. Groups of datasets: all (the five benchmarks, emoji, emoji_views
    and icons), real (datasets whose files are available), every (all that are registered).

    Exit status 0: every cell is done, or skipped because the method's card excludes the data; 1: a cell
    failed; 2: wrong usage or a bad data file; 130: interrupted. The first Ctrl-C lets the running cells
    finish, the second stops at once.

    Args:
        methods: Names, globs, groups.  [default: all, or none with --embeddings]
        datasets: Names, globs, groups, or paths of files.  [default: all]
        variants: full (the method itself), names of ablations, or all; methods without such a variant are
            left out.
        embeddings: File of test embeddings that another program computed; they become the row NAME in the
            tables of --datasets. Several files of a NAME are its seeds. Without --datasets the file must hold
            labels. See docs/results.md.
        similarity: Similarity of these embeddings.
    """
    methods = methods or (() if embeddings else ("all",))
    datasets = datasets or (() if embeddings and not methods else ("all",))
    wanted = Wanted(methods, datasets, cells, variants, ({},), embeddings, similarity)
    return run_grid(job, wanted, _given_seeds_notes)


def _given_seeds_notes(cells: Sequence[Cell]) -> Iterable[str]:
    """Yield a note if methods have seeds for which embeddings have no file."""
    given = dict.fromkeys(cell.identity.method for cell in cells if cell.identity.given)
    files, seeds = ({c.identity.seed for c in cells if c.identity.given is kind} for kind in (True, False))
    if given and seeds - files:
        names = ", ".join(given)
        yield f"note: --seeds does not apply to {names}: the files of a row are its seeds 0, 1, ..."


def run_grid(
    job: JobOptions, wanted: Wanted, notes: Callable[[Sequence[Cell]], Iterable[str]] = lambda _: ()
) -> int:
    """Run the missing cells, or print them in a dry run, and return the exit status.

    The ``notes`` on the planned cells are printed.

    Raises:
        UsageError: for wrong words, before any data is read.
    """
    shard, additions = None if job.shard is None else parse_shard(job.shard), job.additions
    results, data_dir = job.records.results, job.files.data
    with machines(job.executor, job.devices, wanted.cells.threads) as where:
        limits = {"timeout": job.devices.timeout, "max_memory": job.devices.max_memory}
        remember = not job.dry_run
        sources, cells = plan_cells(wanted, where.kind, results, data_dir, remember=remember, **limits)
        print_lines(*notes(cells))
        cells = cells if shard is None else cells_of_shard(cells, shard)
        store = Store(results)
        claims = Claims(store)
        stale = stale_cells(cells, store)
        todo = remaining(cells, store, job.retry, **additions, stale=stale)
        _announce(sources, store, cells, [] if "stale" in job.retry else [*stale.values()])
        site = where.site(needed=bool(todo))
        if job.dry_run:
            print_lines(*forecast(cells, todo, store, site, stale))
            return 2 if sources.damaged else 0
        return max(_run(job, cells, todo, store, claims, site), 2 if sources.damaged else 0)


def _run(
    job: JobOptions, cells: Sequence[Cell], todo: Sequence[Cell], store: Store, claims: Claims, site: Site
) -> int:
    """Run the cells of ``todo``, and print the status of all cells."""
    prepare_results(store)
    recorded = len(cells) - len(todo)
    fitted = [cell.identity.method for cell in todo if not cell.identity.given]
    left_out = registry.import_problems(dict.fromkeys(fitted))
    ready = [cell for cell in todo if cell.identity.method not in left_out]
    progress = RunProgress(recorded + len(ready), recorded, f"shard {job.shard}" if job.shard else "")
    progress.left_out |= left_out
    context = job.devices.context(site, job.files.data, **job.additions)
    begin = time.monotonic()
    stopped = bool(ready) and run_displayed(ready, store, context, site, progress, claims)
    seconds = time.monotonic() - begin
    name_left_out(progress.left_out)
    lines, complete = summarise(cells, store, progress, seconds, stopped=stopped)
    print_lines(*lines)
    if stopped:
        return 130
    return 2 if progress.left_out else int(not complete)


def run_displayed(
    cells: Sequence[Cell],
    store: Store,
    context: RunContext,
    site: Site,
    progress: RunProgress,
    claims: Claims | None = None,
) -> bool:
    """Run cells with a display of their events; returns whether Ctrl-C was pressed."""
    with run_session(progress, store.root) as display:
        options: dict[str, Any] = {"execute": site.execute, "on_event": display, "claims": claims}
        run_cells(cells, store, context, **options, stop=lambda: display.interrupted)
    return display.interrupted


def prepare_results(store: Store) -> None:
    """Make a results folder if there is none, and remove what killed runs left; raises `UsageError`."""
    try:
        store.prepare()
    except StoreError as error:
        raise UsageError(str(error)) from error
    remove_dead_runs(store.root)


def _announce(sources: Sources, store: Store, cells: Sequence[Cell], stale: Sequence[Stale]) -> None:
    """Print notes on the data and on earlier records before anything runs."""
    look_alikes = [source.name for source in sources.usable.values() if source.kind == "look-alike"]
    if look_alikes:
        print_lines(
            f"note: LOOK-ALIKES stand in for {', '.join(look_alikes)}, whose files are absent; "
            "where to get them: python -m bench data doctor"
        )
    print_lines(
        *(f"note: {source.name}: {note}" for source in sources.usable.values() for note in source.notes)
    )
    digests = {cell.identity.digest for cell in cells}
    for problem in store.problems:
        if problem.folder.name in digests:
            warn(f"{'cell left out' if problem.newer else 'cell to be run again'}: {problem.sentence}")
    print_lines(*(f"note: {sentence}" for sentence in sentences(stale)))
    if stale:
        print_lines(
            f"note: other code has finished {counted(len(stale), 'cell')}; --retry stale runs every such cell"
        )
    name_left_out(sources.damaged)


def name_left_out(reasons: Mapping[str, str]) -> None:
    """Print why methods or datasets are left out."""
    for name, reason in reasons.items():
        warn(f"{name} is left out: {reason}", "error")
