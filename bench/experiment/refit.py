"""Checks a record: fits its cell again in this process, or evaluates the model that was kept of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench import registry
from bench.conditions import condition_of
from bench.contract import BenchError, DataError, Dataset, Method, UsageError, sealed_test
from bench.contract.context import Progress
from bench.evaluation import Evaluation
from bench.evaluation.retrieval import Retrieval
from bench.experiment.cell import CellRun, Selection
from bench.experiment.grid import Cell, GivenFile, describe_data
from bench.experiment.isolation import opened_test
from bench.experiment.models import load_method
from bench.experiment.run_context import RunContext, keeping
from bench.experiment.running import run_of
from bench.experiment.stale import stale_changes
from bench.records.schema import Environment, Record, Series


class RefitFailed(BenchError):
    """A recorded cell cannot be run again, or fails now."""


class StaleRecord(BenchError):
    """Other code than that at hand made a record: its numbers need not come out again."""


@dataclass(frozen=True)
class Refit:
    """A cell that was fitted again: its test split as embedded by the selected state, and its audit line."""

    retrieval: Retrieval
    audit: str
    environment: Environment


def cell_of(
    record: Record, data_dir: Path | None, device: str | None = None, *, any_code: bool = False
) -> Cell:
    """Return the cell of a record, if everything that its numbers depend on still exists.

    ``device`` replaces the record's kind of device. With ``any_code`` the record may be stale.

    Raises:
        StaleRecord: if other code made the record; names what differs now.
        BenchError: if the method or its data is gone or differs, or the settings do not fit any more; in one
            sentence.
    """
    identity = record.identity
    changes = () if any_code else stale_changes(record)
    if changes:
        raise StaleRecord(
            f"the record of {identity.title} is stale ({', '.join(changes)}), so its numbers may not be "
            "reproduced; `python -m bench run` with --retry stale runs the cell with the present code"
        )
    if identity.given:
        return _given_cell_of(record)
    known, settings = registry.method(identity.method).defaults, identity.settings
    unknown, missing = sorted(settings.keys() - known.keys()), sorted(known.keys() - settings.keys())
    if unknown or missing:
        what = f"has no setting {unknown[0]!r}" if unknown else f"now has a setting {missing[0]!r}"
        raise UsageError(f"{identity.method} {what}, unlike when the record was made; run the cell again")
    if registry.checked_settings(identity.method, settings) != settings:
        raise UsageError(f"{identity.method} now reads the record's settings differently; run the cell again")
    source = source_of_record(record)
    data = describe_data(source, data_dir, identity.profile, None)
    if (data.kind, data.fingerprint) != (identity.data_kind, identity.fingerprint):
        raise DataError(
            f"the data of {identity.dataset} differs from that of the record: {data.kind} "
            f"{data.fingerprint[:8]} now, {identity.data_kind} {identity.fingerprint[:8]} in the record; "
            "restore that data (--data names its folder), or run the cell on the present data"
        )
    if gone := [name for name in identity.modalities if name not in data.modalities]:
        raise DataError(
            f"{identity.dataset} has no modality {gone[0]!r} any more; run the cell on the present modalities"
        )
    if device is not None:
        identity = msgspec.structs.replace(identity, device=device)
    return Cell(identity, source, method=record.method, condition_file=_condition_file(record))


def _condition_file(record: Record) -> str:
    """Return the path of the file that a record's condition was read from; empty where it was drawn.

    Raises:
        DataError: if the file has moved or changed.
    """
    head, equals, _ = record.identity.condition.partition("=")
    if not equals:
        return ""
    words = (word.partition("=") for option, word in _options_of(record) if option == "--conditions")
    path = next((path for name, _, path in words if name == head), "")
    if (applied := condition_of(record.identity.condition, path)) is not None and applied.file is not None:
        applied.file.require_unchanged()
    return path


def moved_condition_files(records: Iterable[Record]) -> list[str]:
    """Return a sentence for each file of a condition that has moved or changed."""
    found: dict[str, None] = {}
    for record in records:
        try:
            _condition_file(record)
        except BenchError as error:
            found[f"{record.identity.condition}: {error}"] = None
    return [*found]


def _given_cell_of(record: Record) -> Cell:
    """Return the cell of embeddings that another program computed; its record's command names their file.

    Raises:
        UsageError: if the command names no file, or the file is gone.
    """
    identity, options = record.identity, _options_of(record)
    named = (word.partition("=") for option, word in options if option == "--embeddings")
    paths = [path for name, _, path in named if name == identity.method]
    path = paths[identity.seed] if identity.seed < len(paths) else ""
    if not path or not Path(path).is_file():
        raise UsageError(
            f"{identity.title} was not trained here, and its file {path or '(of unknown path)'} is gone; "
            "run --embeddings reads it from another path"
        )
    source = next((word for option, word in options if option == "--datasets"), "")
    similarity = {} if record.method is None else record.method.card
    file = GivenFile((*paths,), similarity.get("similarity", "cosine"))
    return Cell(identity, source, method=record.method, file=file)


def _options_of(record: Record) -> list[tuple[str, str]]:
    """Return pairs of neighbouring words of a record's command, options with their values among them."""
    try:
        return [*pairwise(shlex.split(record.environment.command))]
    except ValueError:  # written by hand, or by another program
        return []


def source_of_record(record: Record) -> str:
    """Return the source of a record's data: the dataset's name, or the path of its feature bundle.

    Raises:
        UsageError: if neither is known.
    """
    from bench.data.loading import is_bundle

    name = record.identity.dataset
    if name in registry.registered().datasets:
        return name
    for option, value in _options_of(record):
        if option == "--datasets" and is_bundle(value) and Path(value).stem == name:
            return value
    raise UsageError(
        f"the record does not say where the data of {name} is, and no dataset of that name is registered; "
        "run the cell again from its feature bundle"
    )


def refit(cell: Cell, context: RunContext, rule: str, progress: Progress | None = None) -> Refit:
    """Fit a cell in this process, as `run_cell` does, and embed its test split with the selected state.

    The test split is opened once the selection is written down. ``rule`` is the selection rule of the
    state, ``none`` in closed form.

    Raises:
        RefitFailed: if it fails.
    """
    run, threads = run_of(cell, context, progress), cell.identity.threads

    def work() -> tuple[Retrieval, str]:
        with threadpool_limits(threads):
            selection = run.selection()
            if selection.checkpoints:
                selection.method.restore(rule)
            test, gallery = opened_test(selection.dataset)
            ranked = Retrieval.of_method(selection.method, test, threads=threads, gallery=gallery)
            return ranked, selection.audit

    try:
        done, status, failure = run.attempt(work)
    except SystemExit as error:
        raise RefitFailed(f"{cell.identity.title}: the method ends the program (SystemExit)") from error
    if done is None or failure is not None:
        reason = "" if failure is None else failure.reason
        raise RefitFailed(f"{cell.identity.title}: {status} now: {reason}")
    return Refit(*done, run.environment())


class Rechecked(NamedTuple):
    """A record with the numbers of its selected state alone, and the same with those of its stored model.

    ``per_query`` has the new average precisions by series.
    """

    old: Record
    new: Record
    per_query: Mapping[Series, NDArray[np.float64]]


class _StoredRun(CellRun):
    """The run of a cell whose method is loaded."""

    folder: Path

    def selection(self) -> Selection:
        """Load data and model; what was selected is in the record."""
        with sealed_test():
            dataset = self._load()
            with self._stage("load_model", limited=False):
                method = load_method(self.folder, device=self._context.device).method
        return Selection(method, dataset, dataset.train, "a stored model was loaded")

    def _draw(self, method: Method, dataset: Dataset, shown: Evaluation, *, restore: bool) -> None:
        """Take no snapshot."""


def recheck(record: Record, cell: Cell, folder: Path, data_dir: Path, device: str = "cpu") -> Rechecked:
    """Evaluate the model in ``folder`` of a finished record and its cell, as a run does.

    Raises:
        RefitFailed: if that fails; one sentence.
    """
    assert record.result is not None
    known, rule = record.result, record.result.selection
    context = keeping(RunContext(data_dir=data_dir.resolve(), device=device), known)
    run = _StoredRun(cell, context)
    run.folder = folder
    found, status, failure = run.attempt(run.result)
    if found is None or failure is not None:
        raise RefitFailed(f"its model: {status}: {'' if failure is None else failure.reason}")
    metrics = [msgspec.structs.replace(metric, selection=rule) for metric in found.metrics]
    before = msgspec.structs.replace(
        known,
        metrics=[metric for metric in known.metrics if metric.selection == rule],
        zero_rows={name: counts for name, counts in known.zero_rows.items() if name == rule},
        refused={},
    )
    zero_rows = {rule: next(iter(found.zero_rows.values()))} if found.zero_rows else {}
    after = msgspec.structs.replace(before, metrics=metrics, zero_rows=zero_rows)
    return Rechecked(
        msgspec.structs.replace(record, result=before),
        msgspec.structs.replace(record, result=after, environment=run.environment()),
        {Series(rule, *rest): np.asarray(values) for (_, *rest), values in run.per_query.items()},
    )
