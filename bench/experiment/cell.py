"""Running one cell: load, fit, write the selection down, open the test split for the harness, evaluate."""

from __future__ import annotations

import io
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from bench import registry
from bench.contract import (
    Checkpoint,
    Context,
    Dataset,
    Method,
    PluginError,
    Split,
    Trace,
    Unsupported,
    opened_by_harness,
    sealed_test,
)
from bench.contract.context import Progress, Value
from bench.contract.limits import unsuitable
from bench.data import class_matched, load_dataset
from bench.data.fingerprint import DataChanged
from bench.evaluation import Evaluation, Protocol, evaluate, expected_random_map
from bench.evaluation.independence import check_independence
from bench.experiment.checkpoints import PerQuery, evaluate_checkpoints
from bench.experiment.failures import failure_of
from bench.experiment.grid import Cell
from bench.experiment.isolation import generators_kept, isolated, opened_test, scope_of
from bench.experiment.run_context import RunContext, command_for
from bench.experiment.snapshot import snapshot_of
from bench.records.environment import collect, device_peak_memory, reset_peak_memory, utc_now
from bench.records.schema import Environment, Failure, Record, Result, Rows, Selected, Status
from bench.records.snapshot import Snapshot
from bench.registry import plain

MAP_ALL = Protocol.parse("map@all")


@dataclass(frozen=True)
class Finished:
    """A cell's record and the files that go with it; there is a view where it is done."""

    record: Record
    per_query: PerQuery
    trace: list[dict[str, Value]]
    log: str
    view: Snapshot | None = None


def run_cell(cell: Cell, place: RunContext, progress: Progress | None = None) -> Finished:
    """Run a cell and return its record, whatever happens inside: only the process's end is not caught."""
    run = CellRun(cell, place, progress)
    status: Status = "done"
    result: Result | None = None
    failure: Failure | None = None
    started = utc_now()
    reset_peak_memory(place.device)
    with captured(run.log):
        try:
            with isolated(cell.identity, place):
                result = run.result()
        except Exception as error:
            result, run.per_query, run.view = (
                None,
                {},
                None,
            )  # an attempt on test data may show at the very end
            status, failure = failure_of(error, place.max_memory)
            print(f"{status}: {failure.reason}", failure.traceback, sep="\n", file=run.log)
    environment = environment_of(cell, place, started, run.clock.total())
    record = Record(
        identity=cell.identity,
        status=status,
        result=result,
        failure=failure,
        environment=environment,
        method=cell.method,
    )
    return Finished(record, run.per_query, run.trace.rows, run.log.getvalue(), run.view)


def lost(
    cell: Cell, place: RunContext, status: Status, failure: Failure, seconds: float, output: str
) -> Finished:
    """Return the record of a cell whose worker was lost, for the process that noticed."""
    started = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    environment = environment_of(
        cell, place, started.isoformat(timespec="milliseconds"), {"total": round(seconds, 6)}
    )
    # The memory that can be measured here is not that of the process that is gone.
    environment = msgspec.structs.replace(environment, peak_memory=None, peak_device_memory=None)
    record = Record(
        identity=cell.identity,
        status=status,
        result=None,
        failure=failure,
        environment=environment,
        method=cell.method,
    )
    return Finished(record, {}, [], f"{output}\n{status}: {failure.reason}\n")


def paired_if_needed(method: Method, train: Split, context: Context) -> Split:
    """Return ``train``, with class-matched pseudo-pairs where the method needs pairs and there are none."""
    if method.card.pairs == "needed" and not train.paired:
        return class_matched(train, context.generator("pseudo-pairs"))
    return train


class _Clock:
    """Wall-clock seconds by part."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = round(time.perf_counter() - begin, 6)

    def total(self) -> dict[str, float]:
        """Return the parts and the ``total`` until now."""
        return {**self._seconds, "total": round(time.monotonic() - self.start, 6)}


class Fitted(NamedTuple):
    """A fitted method, its dataset, and the training rows as it got them."""

    method: Method
    dataset: Dataset
    train: Split


class Decided(NamedTuple):
    """A fitted cell whose selection is written down.

    Attributes:
        fitted: the method, its data, and the training rows.
        checkpoints: states that can be restored, by selection rule; none in closed form.
        selected: what each rule chose.
        notes: facts that the method reports about its fit.
        audit: says what was selected before the test split is opened.
    """

    fitted: Fitted
    checkpoints: Mapping[str, Checkpoint]
    selected: list[Selected]
    notes: dict[str, Any]
    audit: str


class CellRun:
    """A cell on its way; its attributes hold what it leaves behind, even if it fails half-way."""

    def __init__(self, cell: Cell, place: RunContext, progress: Progress | None) -> None:
        self.clock = _Clock()
        self.trace = Trace()
        self.per_query: PerQuery = {}
        self.view: Snapshot | None = None
        self.snapshot_error = ""
        self.log = io.StringIO()
        self._cell = cell
        self._place = place
        self._progress = progress

    def fitted(self) -> Fitted:
        """Load the data and fit the method; for use within `isolated`, which seals the test split.

        Raises:
            Unsupported: if the method's card declares that it cannot take this data.
        """
        identity = self._cell.identity
        dataset = self._load()
        context = self._context(dataset)
        method = registry.instantiate(identity.method, identity.settings)
        train = paired_if_needed(method, dataset.train, context)
        reason = unsuitable(method.card, train)
        if reason is not None:
            raise Unsupported(reason)
        with self.clock.part("fit"), threadpool_limits(identity.threads):
            method.fit(train, dataset.validation, context)
        return Fitted(method, dataset, train)

    def decided(self) -> Decided:
        """Fit the method and write down what each rule selected: from here on the test split may be opened.

        Raises:
            Unsupported: as `fitted`.
            SealedTestError: if the method has asked for test data.
            PluginError: if what it makes of a row depends on other rows.
        """
        with sealed_test():
            fitted = self.fitted()
            checkpoints = _checkpoints(fitted.method)
            selected = [_selected(point) for point in checkpoints.values()]
            notes = plain(dict(fitted.method.notes()))
            self._check_rows(fitted, checkpoints)
        audit = _audit(selected)
        print(audit, file=self.log)
        return Decided(fitted, checkpoints, selected, notes, audit)

    def result(self) -> Result:
        """Take the cell from its data to its numbers."""
        identity = self._cell.identity
        (method, dataset, train), checkpoints, selected, notes, audit = self.decided()
        selection = "best" if checkpoints else "none"
        test = opened_test(dataset)
        with self.clock.part("evaluate"), threadpool_limits(identity.threads):
            found = evaluate_checkpoints(method, test, checkpoints, selection, identity.threads)
        self.per_query = found.per_query
        with self.clock.part("view"), threadpool_limits(identity.threads):
            self.view = self._view(method, dataset, checkpoints, found.shown)
        return Result(
            selection=selection,
            selected=selected,
            audit=audit,
            pairing=train.pairing,
            split=dataset.split,
            rows={name: _rows(dataset, train, name) for name in dataset.modalities},
            metrics=found.metrics,
            notes=notes,
            zero_rows=found.zero_rows,
            refused=found.refused,
            chance=expected_random_map(test),
            snapshot_error=self.snapshot_error,
        )

    def _check_rows(self, fitted: Fitted, checkpoints: Mapping[str, Checkpoint]) -> None:
        threads = self._cell.identity.threads
        with self.clock.part("check"), threadpool_limits(threads), generators_kept():
            if checkpoints:
                fitted.method.restore("best")
            check_independence(fitted.method, fitted.dataset.validation)

    def _load(self) -> Dataset:
        identity = self._cell.identity
        # First, under the seal: a loader may open test data, and may stand in the same file as the method.
        registry.method_class(identity.method)
        with self.clock.part("load"), opened_by_harness():
            dataset = load_dataset(self._cell.source, self._place.data_dir, profile=identity.profile)
        if (dataset.kind, dataset.fingerprint) != (identity.data_kind, identity.fingerprint):
            raise DataChanged(
                f"the data of {identity.dataset} changed after this cell was planned; run again"
            )
        return dataset.select(identity.modalities)

    def _context(self, dataset: Dataset) -> Context:
        identity, seconds = self._cell.identity, self._place.seconds
        return Context(
            seed=identity.seed,
            device=self._place.device,
            scope=scope_of(identity),
            threads=identity.threads,
            deadline=None if seconds is None else self.clock.start + seconds,
            progress=self._progress,
            trace=self.trace,
            oracle=_oracle(opened_test(dataset), identity.threads) if self._place.trace_test else None,
        )

    def _view(
        self,
        method: Method,
        dataset: Dataset,
        checkpoints: Mapping[str, Checkpoint],
        shown: Evaluation,
    ) -> Snapshot | None:
        """Return what is drawn of the cell; its numbers are not lost where that cannot be made."""
        try:
            if checkpoints:
                method.restore("best")
            return snapshot_of(method, dataset, shown)
        except Exception as error:
            self.snapshot_error = failure_of(error)[1].reason
            print("nothing can be drawn of this cell:", traceback.format_exc(), sep="\n", file=self.log)
            return None


def _oracle(test: Split, threads: int) -> Callable[[Method], float]:
    def mean_test_map(method: Method) -> float:
        with generators_kept():
            return evaluate(method, test, [MAP_ALL], threads=threads).mean(MAP_ALL.id)

    return mean_test_map


def _checkpoints(method: Method) -> dict[str, Checkpoint]:
    checkpoints = dict(method.checkpoints())
    if checkpoints and "best" not in checkpoints:
        raise PluginError(
            f"checkpoints() of {method.card.name} has {', '.join(checkpoints)}, but not 'best', "
            "by which results are selected"
        )
    return checkpoints


def _selected(point: Checkpoint) -> Selected:
    return Selected(rule=point.rule, criterion=point.criterion, epoch=point.epoch, value=point.value)


def _audit(selected: list[Selected]) -> str:
    chosen = "; ".join(f"{item.rule} = epoch {item.epoch} by {item.criterion}" for item in selected)
    oracle = any(item.rule == "oracle" for item in selected)
    watched = ", except by the oracle trace that was asked for" if oracle else ""
    return (
        "test split opened after fit had ended and the selection was written down "
        f"({chosen or 'closed form'}){watched}"
    )


def _rows(dataset: Dataset, train: Split, name: str) -> Rows:
    return Rows(
        train=len(train[name]),
        validation=len(dataset.validation[name]),
        test=len(opened_test(dataset)[name]),
        dimension=train[name].dimension,
    )


def environment_of(cell: Cell, place: RunContext, started: str, seconds: dict[str, float]) -> Environment:
    """Return the environment of a cell that ends now, in this process."""
    try:
        source = registry.method(cell.identity.method).key
    except Exception:  # the plug-in itself may be what is broken
        source = ""
    command = command_for(cell, place)
    return collect(started, seconds, place.device, source, command, device_peak_memory(place.device))


@contextmanager
def captured(log: io.StringIO) -> Iterator[None]:
    """Send what a method prints, and its warnings, to the record's log."""

    def show(message: Any, category: Any, *_: Any) -> None:
        print(f"{category.__name__}: {message}", file=log)

    with warnings.catch_warnings(), redirect_stdout(log), redirect_stderr(log), np.errstate(all="warn"):
        warnings.simplefilter("default")
        warnings.showwarning = show  # type: ignore[assignment]
        yield
