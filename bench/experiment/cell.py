"""Running one cell: load, fit under seal, write the selection down, open the test split, evaluate."""

from __future__ import annotations

import io
import json
import shlex
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from bench import registry
from bench.contract import (
    BenchError,
    Checkpoint,
    Context,
    Dataset,
    DeadlineExceeded,
    Method,
    RefusedEmbeddings,
    Split,
    Unsupported,
    sealed_test,
)
from bench.contract.context import Progress, Value
from bench.contract.limits import unsuitable
from bench.data import class_matched, load_dataset
from bench.evaluation import Evaluation, Protocol, evaluate
from bench.experiment.grid import Cell
from bench.records.circumstances import collect, reset_peak_memory, utc_now
from bench.records.schema import (
    Circumstances,
    Failure,
    Metric,
    Record,
    Result,
    Rows,
    Selected,
    Status,
)
from bench.registry import plain

MAP_ALL = Protocol.parse("map@all")


@dataclass(frozen=True)
class Workplace:
    """Where a cell runs: nothing here may change its numbers.

    Attributes:
        data_dir: folder of the data files; None for the default.
        device: torch name of the device.
        plugins: files to load before looking names up.
        seconds: time after which a method that watches its deadline stops by itself.
        trace_test: whether to trace the test oracle as well.
    """

    data_dir: Path | None = None
    device: str = "cpu"
    plugins: tuple[str, ...] = ()
    seconds: float | None = None
    trace_test: bool = False


@dataclass(frozen=True)
class Finished:
    """A cell's record and the files that go with it."""

    record: Record
    per_query: dict[tuple[str, str, str, str], Any]
    trace: list[dict[str, Value]]
    log: str


def run_cell(cell: Cell, place: Workplace, progress: Progress | None = None) -> Finished:
    """Run a cell and return its record, whatever happens inside: only the process's end is not caught."""
    clock = _Clock()
    log = io.StringIO()
    story = _Story(Context(seed=cell.identity.seed), {}, log)
    status: Status = "done"
    result: Result | None = None
    failure: Failure | None = None
    started = utc_now()
    reset_peak_memory()
    with _captured(log), threadpool_limits(cell.identity.threads):
        try:
            result = _run(cell, place, progress, clock, story)
        except Exception as error:
            status, failure = _failure(error)
            print(f"{status}: {failure.reason}", failure.traceback, sep="\n", file=log)
    circumstances = _circumstances(cell, place, started, clock)
    record = Record(
        identity=cell.identity, status=status, result=result, failure=failure, circumstances=circumstances
    )
    return Finished(record, story.per_query, story.context.trace.rows, log.getvalue())


def lost(
    cell: Cell, place: Workplace, status: Status, failure: Failure, seconds: float, output: str
) -> Finished:
    """Return the record of a cell whose worker was lost, for the process that noticed."""
    clock = _Clock()
    clock.seconds["total"] = round(seconds, 6)
    record = Record(
        identity=cell.identity,
        status=status,
        result=None,
        failure=failure,
        circumstances=_circumstances(cell, place, utc_now(), clock),
    )
    return Finished(record, {}, [], f"{output}\n{status}: {failure.reason}\n")


@dataclass
class _Story:
    """What a running cell leaves behind even if it fails half-way."""

    context: Context
    per_query: dict[tuple[str, str, str, str], Any]
    log: io.StringIO


class _Clock:
    """Wall-clock seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.start = time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - begin, 6)


def _run(cell: Cell, place: Workplace, progress: Progress | None, clock: _Clock, story: _Story) -> Result:
    for plugin in place.plugins:
        registry.add_plugin(plugin)
    with clock.part("load"):
        dataset = load_dataset(cell.source, place.data_dir, profile=cell.identity.profile)
        dataset = dataset.select(cell.identity.modalities)
    method = registry.instantiate(cell.identity.method, cell.identity.settings)
    context = story.context = _context(cell, place, progress, dataset)
    train = paired_if_needed(method, dataset.train, context)
    reason = unsuitable(method.card, train)
    if reason is not None:
        raise Unsupported(reason)
    with clock.part("fit"), sealed_test():
        method.fit(train, dataset.validation, context)
    checkpoints = dict(method.checkpoints())
    selected = [_selected(point) for point in checkpoints.values()]
    audit = _audit(selected)
    print(audit, file=story.log)
    with clock.part("evaluate"):
        metrics = _evaluate(method, dataset.test, checkpoints, cell.identity.threads, story)
    return Result(
        selection="best" if "best" in checkpoints else "none",
        selected=selected,
        audit=audit,
        pairing=train.pairing,
        split=dataset.split,
        rows={name: _rows(dataset, train, name) for name in dataset.modalities},
        metrics=metrics,
        notes=plain(dict(method.notes())),
    )


def _context(cell: Cell, place: Workplace, progress: Progress | None, dataset: Dataset) -> Context:
    identity = cell.identity
    oracle: Callable[[Method], float] | None = None
    if place.trace_test:
        test = dataset.open_test()

        def oracle(method: Method) -> float:
            return evaluate(method, test, [MAP_ALL], threads=identity.threads).mean("map@all")

    return Context(
        seed=identity.seed,
        device=place.device,
        scope=(identity.dataset, "+".join(identity.modalities)),
        threads=identity.threads,
        deadline=None if place.seconds is None else time.monotonic() + place.seconds,
        progress=progress,
        oracle=oracle,
    )


def paired_if_needed(method: Method, train: Split, context: Context) -> Split:
    """Return ``train``, with class-matched pseudo-pairs where the method needs pairs and there are none."""
    if method.card.pairs == "needed" and not train.paired:
        return class_matched(train, context.generator("pseudo-pairs"))
    return train


def _evaluate(
    method: Method, test: Split, checkpoints: dict[str, Checkpoint], threads: int, story: _Story
) -> list[Metric]:
    metrics: list[Metric] = []
    known: dict[str, Evaluation] = {}
    for rule in checkpoints or ("none",):
        state = str(checkpoints[rule].epoch) if checkpoints else ""
        if state not in known:
            if checkpoints:
                method.restore(rule)
            known[state] = evaluate(method, test, threads=threads)
        for direction in known[state].directions:
            for protocol, ap in direction.ap.items():
                story.per_query[rule, protocol, direction.query, direction.gallery] = ap
                metrics.append(
                    Metric(
                        query=direction.query,
                        gallery=direction.gallery,
                        protocol=protocol,
                        selection=rule,
                        value=direction.map(protocol),
                        queries=len(test[direction.query]),
                        items=len(test[direction.gallery]),
                    )
                )
    return metrics


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
        test=len(dataset.test[name]),
        dimension=train[name].dimension,
    )


def _failure(error: Exception) -> tuple[Status, Failure]:
    kind = type(error).__name__
    reason = f"{error}" or kind
    text = "".join(traceback.format_exception(error))
    if isinstance(error, Unsupported):
        return "skipped", Failure(reason=reason, kind="declared")
    if isinstance(error, RefusedEmbeddings):
        return "refused", Failure(reason=reason, kind=kind)
    if isinstance(error, DeadlineExceeded):
        return "timeout", Failure(reason=reason, kind="timeout")
    if isinstance(error, MemoryError) or kind == "OutOfMemoryError":
        return "out-of-memory", Failure(reason=f"{kind}: {reason}", kind="memory", traceback=text)
    return "failed", Failure(reason=f"{kind}: {reason}", kind=kind, traceback=text)


def _circumstances(cell: Cell, place: Workplace, started: str, clock: _Clock) -> Circumstances:
    clock.seconds.setdefault("total", round(time.perf_counter() - clock.start, 6))
    try:
        source = registry.method(cell.identity.method).key
    except Exception:  # the plug-in itself may be what is broken
        source = ""
    return collect(
        started,
        clock.seconds,
        place.device,
        source,
        command_for(cell, place),
        _peak_device_memory(place.device),
    )


def command_for(cell: Cell, place: Workplace) -> str:
    """Return the command line that makes this record again."""
    identity = cell.identity
    words = ["python -m bench run", f"--methods {identity.method}", f"--datasets {cell.source}"]
    words += [f"--seeds {identity.seed}-{identity.seed}", f"--profile {identity.profile}"]
    words += [f"--threads {identity.threads}"]
    if identity.variant != "full":
        words.append(f"--variants {identity.variant}")
    words += [f"--plugin {plugin}" for plugin in place.plugins]
    for key, value in _changed(cell).items():
        words.append("--set " + shlex.quote(f"{identity.method}.{key}={json.dumps(value)}"))
    return " ".join(words)


def _changed(cell: Cell) -> dict[str, Any]:
    """Return the settings that somebody overrode."""
    identity = cell.identity
    try:
        usual = registry.resolve_settings(
            registry.method(identity.method),
            profile=identity.profile,
            dataset=identity.dataset,
            variant=identity.variant,
        )
    except BenchError:  # a method that is gone has no usual settings
        return dict(identity.settings)
    return {key: value for key, value in identity.settings.items() if usual.get(key) != value}


def _peak_device_memory(device: str) -> int | None:
    if not device.startswith("cuda") or "torch" not in sys.modules:
        return None
    import torch

    return int(torch.cuda.max_memory_allocated(device))


@contextmanager
def _captured(log: io.StringIO) -> Iterator[None]:
    """Send what a method prints, and its warnings, to the record's log."""

    def show(message: Any, category: Any, *_: Any) -> None:
        print(f"{category.__name__}: {message}", file=log)

    with warnings.catch_warnings(), redirect_stdout(log), redirect_stderr(log), np.errstate(all="warn"):
        warnings.simplefilter("default")
        warnings.showwarning = show  # type: ignore[assignment]
        yield
