"""One cell: load, fit, write the selection down, open the test split for the harness, evaluate."""

from __future__ import annotations

import io
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
from threadpoolctl import ThreadpoolController

from bench import registry
from bench.contract import (
    Checkpoint,
    Context,
    Dataset,
    Method,
    PluginError,
    RefusedEmbeddings,
    Split,
    Trace,
    opened_by_harness,
    sealed_test,
)
from bench.contract.context import Progress, Value
from bench.data import load_dataset
from bench.data.fingerprint import DataChanged
from bench.evaluation import Evaluation, Protocol, evaluate, expected_random_map
from bench.evaluation.independence import check_independence
from bench.evaluation.protocols import usable_protocols
from bench.experiment.conditions import fit, under_condition
from bench.experiment.failures import failure_of
from bench.experiment.grid import Cell
from bench.experiment.isolation import captured, isolated, opened_test, restored_generators, scope_of
from bench.experiment.models import kept_model
from bench.experiment.run_context import RunContext, command_for
from bench.experiment.snapshot import MEASURES, snapshot_of
from bench.records.environment import collect, device_memory, device_peak_memory, utc_now
from bench.records.schema import Environment, Failure, Metric, Record, Result, Rows, Selected, Status
from bench.records.snapshot import Snapshot
from bench.registry import plain

T = TypeVar("T")

PerQuery = dict[tuple[str, str, str, str], Any]
"""(selection, protocol, query, gallery) -> average precisions ``(n_queries,)``."""


@dataclass(frozen=True)
class Finished:
    """A cell's record and its files; a cell that is done has a snapshot, and a model if one is kept."""

    record: Record
    per_query: PerQuery = field(default_factory=dict)
    trace: list[dict[str, Value]] = field(default_factory=list)
    log: str = ""
    view: Snapshot | None = None
    model: Mapping[str, bytes] = field(default_factory=dict)


def lost(
    cell: Cell, context: RunContext, status: Status, failure: Failure, seconds: float, output: str
) -> Finished:
    """Return the record of a cell whose worker was lost, for the process that noticed."""
    started = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    environment = environment_of(
        cell, context, started.isoformat(timespec="milliseconds"), {"total": round(seconds, 6)}
    )
    # The memory of this process is not that of the worker.
    environment = msgspec.structs.replace(environment, peak_memory=None, peak_device_memory=None)
    record = cell.record(status, environment, failure=failure)
    return Finished(record, log=f"{output}\n{status}: {failure.reason}\n")


def environment_of(cell: Cell, context: RunContext, started: str, seconds: dict[str, float]) -> Environment:
    """Return the environment of a cell that ends now, in this process."""
    try:
        source = registry.method(cell.identity.method).key
    except Exception:  # the plug-in itself may be what is broken
        source = ""
    command = command_for(cell, context)
    return collect(started, seconds, context.device, source, command, device_peak_memory(context.device))


class Selection(NamedTuple):
    """A fitted cell whose selection is written down.

    Attributes:
        method: fitted.
        dataset: under the cell's condition.
        train: training rows as the method got them.
        audit: states what was selected before the test split is opened.
        checkpoints: states that can be restored, by selection rule; none in closed form.
        selected: what each rule chose.
        notes: facts that the method reports about its fit.
    """

    method: Method
    dataset: Dataset
    train: Split
    audit: str
    checkpoints: Mapping[str, Checkpoint] = {}
    selected: Sequence[Selected] = ()
    notes: Mapping[str, Any] = {}


class CellRun:
    """The run of a cell; its attributes hold what is recorded, also of a cell that fails."""

    def __init__(self, cell: Cell, context: RunContext, progress: Progress | None = None) -> None:
        self.trace = Trace()
        self.per_query: PerQuery = {}
        self.view: Snapshot | None = None
        self.model: dict[str, bytes] = {}
        self.snapshot_error = ""
        self.log = io.StringIO()
        self._cell = cell
        self._context = context
        self._progress = progress
        self._started = utc_now(), time.monotonic()
        self._seconds: dict[str, float] = {}
        self._given: dict[str, int] = {}
        self._effective: float | str | None = None
        self._libraries: dict[int, ThreadpoolController] = {}
        self._evaluate = partial(evaluate, threads=cell.identity.threads, device=context.device)

    def attempt(self, work: Callable[[], T]) -> tuple[T | None, Status, Failure | None]:
        """Call ``work`` isolated from the process; its output goes to the log, an exception to a status."""
        with captured(self.log):
            try:
                with isolated(self._cell.identity, self._context):
                    result = work()
                return result, "done", None
            except Exception as error:
                used = device_memory(self._context.device)
                status, failure = failure_of(error, self._context.max_memory, used)
                print(f"{status}: {failure.reason}", failure.traceback, sep="\n", file=self.log)
                return None, status, failure

    def seconds(self) -> dict[str, float]:
        """Return wall-clock seconds by part, and the ``total`` until now."""
        return {**self._seconds, "total": round(time.monotonic() - self._started[1], 6)}

    def environment(self) -> Environment:
        """Return the environment of the run, which ends now."""
        return environment_of(self._cell, self._context, self._started[0], self.seconds())

    @contextmanager
    def _stage(self, part: str, *, limited: bool = True) -> Iterator[None]:
        """Measure a part, with numerical libraries confined to the cell's threads."""
        begin = time.perf_counter()
        modules = len(sys.modules)  # imports in the cell may load further libraries
        if limited and modules not in self._libraries:  # to find them takes milliseconds
            self._libraries = {modules: ThreadpoolController()}
        threads = self._cell.identity.threads
        try:
            with self._libraries[modules].limit(limits=threads) if limited else nullcontext():
                yield
        finally:
            self._seconds[part] = round(time.perf_counter() - begin, 6)

    def fitted(self) -> tuple[Method, Dataset, Split]:
        """Return the fitted method, its data, and the training rows; within `attempt`, which seals the test.

        Raises:
            Unsupported: if the method's card declares that it cannot take this data.
        """
        identity = self._cell.identity
        dataset = self._load()
        context = self._method_context()
        method = registry.instantiate(identity.method, identity.settings)
        with self._stage("fit"):
            return method, dataset, fit(method, dataset, identity.condition, context)

    def selection(self) -> Selection:
        """Fit the method and write down what each rule selected: from here on the test split may be opened.

        Raises:
            Unsupported: as `fitted`.
            SealedTestError: if the method has opened test data.
            PluginError: if its result for a row depends on other rows.
        """
        with sealed_test():
            method, dataset, train = self.fitted()
            checkpoints = dict(method.checkpoints())
            if checkpoints and "best" not in checkpoints:
                raise PluginError(
                    f"checkpoints() of {method.card.name} has {', '.join(checkpoints)}, but not 'best', "
                    "by which results are selected"
                )
            selected = [Selected(**vars(point)) for point in checkpoints.values()]
            notes = plain(dict(method.notes()))
            with self._stage("check"), restored_generators():
                if checkpoints:
                    method.restore("best")
                check_independence(method, dataset.validation)
        chosen = "; ".join(f"{item.rule} = epoch {item.epoch} by {item.criterion}" for item in selected)
        audit = "test split opened after fit had ended and the selection was written down "
        audit += f"({chosen or 'closed form'})"
        print(audit, file=self.log)
        return Selection(method, dataset, train, audit, checkpoints, selected, notes)

    def result(self) -> Result:
        """Return the result of the cell: load, fit, select, evaluate."""
        chosen = self.selection()
        dataset, train, shown = chosen.dataset, chosen.train, "best" if chosen.checkpoints else "none"
        test, gallery = opened_test(dataset)
        protocols, unavailable = usable_protocols(self._context.protocols, test, gallery)
        with self._stage("evaluate"):
            ranked, refused = self._ranked(chosen, shown, test, gallery, protocols)
        self._draw(chosen.method, dataset, ranked[shown], restore=bool(chosen.checkpoints))
        self._keep(
            chosen.method, dataset, next((point for point in chosen.selected if point.rule == shown), None)
        )
        return Result(
            selection=shown,
            selected=[*chosen.selected],
            audit=chosen.audit,
            pairing=train.pairing,
            split=dataset.split,
            rows={
                name: Rows(
                    train=len(train[name]),
                    validation=len(dataset.validation[name]),
                    test=len(test[name]),
                    dimension=train[name].dimension,
                    given=0 if self._given[name] == len(train[name]) else self._given[name],
                    unlabelled=int((~train[name].labelled).sum()),
                    gallery=0 if gallery is None else len(gallery[name]),
                )
                for name in dataset.modalities
            },
            metrics=self._metrics(ranked, test, gallery),
            notes={**chosen.notes},
            zero_rows={rule: dict(found.zero_rows) for rule, found in ranked.items() if found.zero_rows},
            refused=refused,
            chance=expected_random_map(test, gallery),
            effective=self._effective,
            unavailable=unavailable,
            snapshot_error=self.snapshot_error,
        )

    def _ranked(
        self, selection: Selection, shown: str, test: Split, gallery: Split | None, rules: Sequence[Protocol]
    ) -> tuple[dict[str, Evaluation], dict[str, str]]:
        """Evaluate the state that each selection rule chose, each state once even if several chose it.

        If a state cannot be ranked, only the rules that chose it have no numbers. The evaluation of the
        ``shown`` rule has `MEASURES`, too.

        Returns:
            The evaluations by selection rule, and why the states of others could not be ranked.

        Raises:
            RefusedEmbeddings: if the state of the shown rule cannot be ranked.
        """
        method, checkpoints = selection.method, selection.checkpoints
        states = {rule: str(point.epoch) for rule, point in checkpoints.items()} or {shown: ""}
        found: dict[str, Evaluation] = {}
        refused: dict[str, str] = {}
        for rule, state in states.items():
            if state in found or state in refused:
                continue
            if checkpoints:
                method.restore(rule)
            measures = MEASURES if state == states[shown] else {}
            try:
                found[state] = self._evaluate(method, test, rules, gallery=gallery, measures=measures)
            except RefusedEmbeddings as error:
                if state == states[shown]:
                    raise
                refused[state] = str(error)
        return (
            {rule: found[state] for rule, state in states.items() if state in found},
            {rule: refused[state] for rule, state in states.items() if state in refused},
        )

    def _metrics(self, ranked: Mapping[str, Evaluation], test: Split, gallery: Split | None) -> list[Metric]:
        """Return the metrics, and keep the values per query."""
        metrics = []
        for rule, evaluation in ranked.items():
            for direction in evaluation.directions:
                query, items = direction.query, direction.gallery
                for protocol, values in direction.ap.items():
                    self.per_query[rule, protocol, query, items] = values
                    metrics.append(
                        Metric(
                            query=query,
                            gallery=items,
                            protocol=protocol,
                            selection=rule,
                            value=direction.map(protocol),
                            queries=len(test[query]),
                            items=len((gallery or test)[items]),
                        )
                    )
        return metrics

    def _draw(self, method: Method, dataset: Dataset, shown: Evaluation, *, restore: bool) -> None:
        """Take the snapshot; a failure is noted and costs no number."""
        try:
            with self._stage("view"):
                if restore:
                    method.restore("best")
                self.view = snapshot_of(method, dataset, shown)
        except Exception as error:
            self.snapshot_error = failure_of(error)[1].reason
            print("nothing can be drawn of this cell:", traceback.format_exc(), sep="\n", file=self.log)

    def _keep(self, method: Method, dataset: Dataset, selected: Selected | None) -> None:
        """Store the selected state, or the reason why it cannot be stored, if models are kept."""
        if not self._context.keep_models or self._cell.identity.given:
            return
        with self._stage("keep"), restored_generators():
            if selected is not None:
                method.restore(selected.rule)
            self.model, reason = kept_model(
                method, dataset, self._cell.identity, selected, self._context.device
            )
        print(f"the model is not kept: {reason}" if reason else "the model is kept", file=self.log)

    def _load(self) -> Dataset:
        identity = self._cell.identity
        # First, under the seal: a loader may open test data, and may be in the same file as the method.
        registry.method_class(identity.method)
        with self._stage("load", limited=False):
            dataset = self.dataset()
        chosen = dataset.select(identity.modalities)
        dataset, self._effective = under_condition(
            chosen, identity.condition, identity.seed, self._cell.condition_file
        )
        self._given = {name: len(modality) for name, modality in dataset.train.items()}
        return dataset

    def dataset(self) -> Dataset:
        """Return the dataset that the cell was planned with, whole.

        Raises:
            DataChanged: if its content has changed.
        """
        identity = self._cell.identity
        with opened_by_harness():
            dataset = load_dataset(self._cell.source, self._context.data_dir, profile=identity.profile)
        if (dataset.kind, dataset.fingerprint) != (identity.data_kind, identity.fingerprint):
            raise DataChanged(
                f"the data of {identity.dataset} changed after this cell was planned; run again"
            )
        return dataset

    def _method_context(self) -> Context:
        identity, limit = self._cell.identity, self._context.seconds
        return Context(
            seed=identity.seed,
            device=self._context.device,
            scope=scope_of(identity),
            threads=identity.threads,
            deadline=None if limit is None else self._started[1] + limit,
            progress=self._progress,
            trace=self.trace,
        )
