"""One cell: load, fit, write the selection down, open the test split for the harness, evaluate."""

from __future__ import annotations

import io
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, TypeVar

import msgspec
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
from bench.contract.method import unsuitable
from bench.data import class_matched, load_dataset
from bench.data.fingerprint import DataChanged
from bench.evaluation import Evaluation, evaluate, expected_random_map
from bench.evaluation.independence import check_independence
from bench.experiment.checkpoints import PerQuery, evaluate_checkpoints
from bench.experiment.failures import failure_of
from bench.experiment.grid import Cell
from bench.experiment.isolation import captured, generators_kept, isolated, opened_test, scope_of
from bench.experiment.run_context import RunContext, command_for
from bench.experiment.snapshot import snapshot_of
from bench.records.environment import collect, device_peak_memory, reset_peak_memory, utc_now
from bench.records.schema import Environment, Failure, Record, Result, Rows, Selected, Status
from bench.records.snapshot import Snapshot
from bench.registry import plain

T = TypeVar("T")


@dataclass(frozen=True)
class Finished:
    """A cell's record and the files that go with it; a cell that is done has a view."""

    record: Record
    per_query: PerQuery = field(default_factory=dict)
    trace: list[dict[str, Value]] = field(default_factory=list)
    log: str = ""
    view: Snapshot | None = None


def run_cell(cell: Cell, context: RunContext, progress: Progress | None = None) -> Finished:
    """Run a cell and return its record, whatever happens inside: only the process's end is not caught."""
    run = CellRun(cell, context, progress)
    reset_peak_memory(context.device)
    result, status, failure = run.attempt(run.result)
    record = _record(cell, run.environment(), status, failure, result)
    if result is None:  # an attempt on test data may show at the very end
        return Finished(record, trace=run.trace.rows, log=run.log.getvalue())
    return Finished(record, run.per_query, run.trace.rows, run.log.getvalue(), run.view)


def lost(
    cell: Cell, context: RunContext, status: Status, failure: Failure, seconds: float, output: str
) -> Finished:
    """Return the record of a cell whose worker was lost, for the process that noticed."""
    started = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    environment = environment_of(
        cell, context, started.isoformat(timespec="milliseconds"), {"total": round(seconds, 6)}
    )
    # The memory that can be measured here is not that of the process that is gone.
    environment = msgspec.structs.replace(environment, peak_memory=None, peak_device_memory=None)
    record = _record(cell, environment, status, failure)
    return Finished(record, log=f"{output}\n{status}: {failure.reason}\n")


def _record(
    cell: Cell,
    environment: Environment,
    status: Status,
    failure: Failure | None,
    result: Result | None = None,
) -> Record:
    return Record(
        identity=cell.identity,
        status=status,
        result=result,
        failure=failure,
        environment=environment,
        method=cell.method,
    )


def environment_of(cell: Cell, context: RunContext, started: str, seconds: dict[str, float]) -> Environment:
    """Return the environment of a cell that ends now, in this process."""
    try:
        source = registry.method(cell.identity.method).key
    except Exception:  # the plug-in itself may be what is broken
        source = ""
    command = command_for(cell, context)
    return collect(started, seconds, context.device, source, command, device_peak_memory(context.device))


def paired_if_needed(method: Method, train: Split, context: Context) -> Split:
    """Return ``train``, with class-matched pseudo-pairs where the method needs pairs and there are none."""
    if method.card.pairs == "needed" and not train.paired:
        return class_matched(train, context.generator("pseudo-pairs"))
    return train


class Fitted(NamedTuple):
    """A fitted method, its dataset, and the training rows as it got them."""

    method: Method
    dataset: Dataset
    train: Split


class Selection(NamedTuple):
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
    """The run of a cell; its attributes hold what there is to record, even if it fails half-way."""

    def __init__(self, cell: Cell, context: RunContext, progress: Progress | None = None) -> None:
        self.trace = Trace()
        self.per_query: PerQuery = {}
        self.view: Snapshot | None = None
        self.snapshot_error = ""
        self.log = io.StringIO()
        self._cell = cell
        self._context = context
        self._progress = progress
        self._started = utc_now(), time.monotonic()
        self._seconds: dict[str, float] = {}

    def attempt(self, work: Callable[[], T]) -> tuple[T | None, Status, Failure | None]:
        """Do ``work`` isolated from the rest of the process, output to the log, exceptions to a status."""
        with captured(self.log):
            try:
                with isolated(self._cell.identity, self._context):
                    result = work()
                return result, "done", None
            except Exception as error:
                status, failure = failure_of(error, self._context.max_memory)
                print(f"{status}: {failure.reason}", failure.traceback, sep="\n", file=self.log)
                return None, status, failure

    def seconds(self) -> dict[str, float]:
        """Return wall-clock seconds by part, and the ``total`` until now."""
        return {**self._seconds, "total": round(time.monotonic() - self._started[1], 6)}

    def environment(self) -> Environment:
        """Return the environment of the run, which ends now."""
        return environment_of(self._cell, self._context, self._started[0], self.seconds())

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[part] = round(time.perf_counter() - begin, 6)

    def _limited(self) -> threadpool_limits:
        return threadpool_limits(self._cell.identity.threads)

    def fitted(self) -> Fitted:
        """Load the data and fit the method; for use within `attempt`, which seals the test split.

        Raises:
            Unsupported: if the method's card declares that it cannot take this data.
        """
        identity = self._cell.identity
        dataset = self._load()
        context = self._method_context(dataset)
        method = registry.instantiate(identity.method, identity.settings)
        train = paired_if_needed(method, dataset.train, context)
        reason = unsuitable(method.card, train)
        if reason is not None:
            raise Unsupported(reason)
        with self._timed("fit"), self._limited():
            method.fit(train, dataset.validation, context)
        return Fitted(method, dataset, train)

    def selection(self) -> Selection:
        """Fit the method and write down what each rule selected: from here on the test split may be opened.

        Raises:
            Unsupported: as `fitted`.
            SealedTestError: if the method has asked for test data.
            PluginError: if its result for a row depends on other rows.
        """
        with sealed_test():
            fitted = self.fitted()
            method = fitted.method
            checkpoints = dict(method.checkpoints())
            if checkpoints and "best" not in checkpoints:
                raise PluginError(
                    f"checkpoints() of {method.card.name} has {', '.join(checkpoints)}, but not 'best', "
                    "by which results are selected"
                )
            selected = [
                Selected(rule=point.rule, criterion=point.criterion, epoch=point.epoch, value=point.value)
                for point in checkpoints.values()
            ]
            notes = plain(dict(method.notes()))
            with self._timed("check"), self._limited(), generators_kept():
                if checkpoints:
                    method.restore("best")
                check_independence(method, fitted.dataset.validation)
        audit = _audit(selected)
        print(audit, file=self.log)
        return Selection(fitted, checkpoints, selected, notes, audit)

    def result(self) -> Result:
        """Take the cell from its data to its numbers."""
        (method, dataset, train), checkpoints, selected, notes, audit = self.selection()
        selection = "best" if checkpoints else "none"
        test = opened_test(dataset)
        with self._timed("evaluate"), self._limited():
            evaluated = evaluate_checkpoints(
                method, test, checkpoints, selection, self._cell.identity.threads
            )
        self.per_query = evaluated.per_query
        with self._timed("view"), self._limited():
            self.view = self._view(method, dataset, checkpoints, evaluated.shown)
        return Result(
            selection=selection,
            selected=selected,
            audit=audit,
            pairing=train.pairing,
            split=dataset.split,
            rows={
                name: Rows(
                    train=len(train[name]),
                    validation=len(dataset.validation[name]),
                    test=len(test[name]),
                    dimension=train[name].dimension,
                )
                for name in dataset.modalities
            },
            metrics=evaluated.metrics,
            notes=notes,
            zero_rows=evaluated.zero_rows,
            refused=evaluated.refused,
            chance=expected_random_map(test),
            snapshot_error=self.snapshot_error,
        )

    def _load(self) -> Dataset:
        identity = self._cell.identity
        # First, under the seal: a loader may open test data, and may stand in the same file as the method.
        registry.method_class(identity.method)
        with self._timed("load"), opened_by_harness():
            dataset = load_dataset(self._cell.source, self._context.data_dir, profile=identity.profile)
        if (dataset.kind, dataset.fingerprint) != (identity.data_kind, identity.fingerprint):
            raise DataChanged(
                f"the data of {identity.dataset} changed after this cell was planned; run again"
            )
        return dataset.select(identity.modalities)

    def _method_context(self, dataset: Dataset) -> Context:
        identity, limit = self._cell.identity, self._context.seconds
        context = Context(
            seed=identity.seed,
            device=self._context.device,
            scope=scope_of(identity),
            threads=identity.threads,
            deadline=None if limit is None else self._started[1] + limit,
            progress=self._progress,
            trace=self.trace,
        )
        if not self._context.trace_test:
            return context
        test = opened_test(dataset)

        def oracle(method: Method) -> float:
            with generators_kept():
                return evaluate(method, test, ["map@all"], threads=identity.threads).mean()

        return replace(context, oracle=oracle)

    def _view(
        self, method: Method, dataset: Dataset, checkpoints: Mapping[str, Checkpoint], shown: Evaluation
    ) -> Snapshot | None:
        """Return the snapshot of the cell; its numbers are not lost where that cannot be made."""
        try:
            if checkpoints:
                method.restore("best")
            return snapshot_of(method, dataset, shown)
        except Exception as error:
            self.snapshot_error = failure_of(error)[1].reason
            print("nothing can be drawn of this cell:", traceback.format_exc(), sep="\n", file=self.log)
            return None


def _audit(selected: list[Selected]) -> str:
    chosen = "; ".join(f"{item.rule} = epoch {item.epoch} by {item.criterion}" for item in selected)
    oracle = any(item.rule == "oracle" for item in selected)
    watched = ", except by the oracle trace that was asked for" if oracle else ""
    return (
        "test split opened after fit had ended and the selection was written down "
        f"({chosen or 'closed form'}){watched}"
    )
