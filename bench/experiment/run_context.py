"""Run context of a cell: where it runs, and the command line that runs it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import registry
from bench.contract import BenchError
from bench.data.look_alike import DRAW, OTHER_DRAW, draw
from bench.evaluation import STANDARD_PROTOCOLS
from bench.experiment.grid import Cell
from bench.experiment.sizes import describe_size
from bench.records.protocols import base_of
from bench.records.schema import Result


@dataclass(frozen=True)
class RunContext:
    """Options of a run that change no number of a cell, except for the kind of device.

    Attributes:
        data_dir: folder of the data files; None for the default.
        device: torch name of the device, as the running process sees it.
        plugins: files to load before looking names up.
        seconds: time after which a method that watches its deadline stops by itself.
        trace_test: whether to trace the test oracle as well.
        keep_models: whether the selected state is stored beside the record.
        protocols: ids to evaluate besides the four of mAP, without ``/gallery``.
        max_memory: bytes that a cell may take in its worker beyond the libraries; None for no limit.
    """

    data_dir: Path | None = None
    device: str = "cpu"
    plugins: tuple[str, ...] = ()
    seconds: float | None = None
    trace_test: bool = False
    max_memory: int | None = None
    protocols: tuple[str, ...] = ()
    keep_models: bool = False


def has_all(result: Result, protocols: Collection[str], *, trace_test: bool) -> bool:
    """Return whether a result has further protocols, by ids without ``/gallery``, and the oracle's trace.

    Methods in closed form have no trace.
    """
    known = {*(base_of(metric.protocol) for metric in result.metrics), *result.unavailable}
    traced = result.selection == "none" or _is_traced(result)
    return (traced or not trace_test) and known.issuperset(protocols)


def keeping(context: RunContext, result: Result | None) -> RunContext:
    """Return the context under which a finished cell gets all its numbers again, and those of ``context``."""
    if result is None:
        return context
    further = [base_of(metric.protocol) for metric in result.metrics] + [*result.unavailable]
    known = {rule.id for rule in STANDARD_PROTOCOLS}
    protocols = dict.fromkeys([*context.protocols, *(name for name in further if name not in known)])
    return replace(context, protocols=tuple(protocols), trace_test=context.trace_test or _is_traced(result))


def _is_traced(result: Result) -> bool:
    """Return whether a result has the oracle's numbers, or the reason why the method has none."""
    return "oracle" in {*result.refused, *(item.rule for item in result.selected)}


def command_for(cell: Cell, context: RunContext) -> str:
    """Return the command line that makes this cell's record again."""
    identity = cell.identity
    is_other_draw = identity.data_kind == "look-alike" and draw() != DRAW
    words = [f"{OTHER_DRAW}={draw()}"] if is_other_draw else []
    words += ["python", "-m", "bench", "run"]
    if cell.file is not None:
        words += [w for path in cell.file.paths for w in ("--embeddings", f"{identity.method}={path}")]
        words += ["--similarity", cell.file.similarity]
        words += ["--datasets", cell.source] if cell.source else []
    else:
        words += ["--methods", identity.method, "--datasets", cell.source]
        words += ["--seeds", f"{identity.seed}-{identity.seed}"]
    words += ["--profile", identity.profile]
    words += ["--threads", str(identity.threads)]
    dataset = registry.registered().datasets.get(identity.dataset)
    if cell.file is None and (
        dataset is None or identity.modalities != tuple(modality.name for modality in dataset.card.modalities)
    ):
        words += ["--modalities", ",".join(identity.modalities)]
    if identity.condition:
        head = identity.condition.partition("=")[0]
        words += ["--conditions", f"{head}={file}" if (file := cell.condition_file) else identity.condition]
    if identity.variant != "full":
        words += ["--variants", identity.variant]
    for key, value in _changed(cell).items():
        words += ["--set", f"{identity.method}.{key}={json.dumps(value)}"]
    device = identity.device or context.device.partition(":")[0]
    words += ["--devices", device] if device != "cpu" else []
    words += [word for plugin in context.plugins for word in ("--plugin", plugin)]
    if context.data_dir is not None and context.data_dir.resolve() != Path("data").resolve():
        words += ["--data", str(context.data_dir)]
    if context.seconds is not None:
        words += ["--timeout", f"{context.seconds:g}"]
    if context.max_memory is not None:
        words += ["--max-memory", describe_size(context.max_memory)]
    if context.protocols:
        words += ["--protocols", ",".join(context.protocols)]
    words += ["--trace-test"] if context.trace_test else []
    words += ["--keep-models"] if context.keep_models and cell.file is None else []
    return shlex.join(words)


def _changed(cell: Cell) -> dict[str, Any]:
    """Return the settings that the request changed: those that the profile did not give the cell."""
    identity = cell.identity
    usual: Mapping[str, Any] = {} if cell.method is None else cell.method.usual
    if cell.method is None:  # of a record that does not hold them: what the profile gives today
        with suppress(BenchError):  # a method that is gone has no usual settings
            usual = registry.resolve_settings(
                registry.method(identity.method),
                profile=identity.profile,
                dataset=identity.dataset,
                kind=identity.data_kind,
                variant=identity.variant,
            )
    return {key: value for key, value in identity.settings.items() if key not in usual or usual[key] != value}
