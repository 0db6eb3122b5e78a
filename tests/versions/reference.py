"""The reference grid: every method on tiny data in a few steps, and whether its numbers have moved.

They depend on no settings file, so that only code moves them. They are compared within a tolerance: another
processor, or other libraries, round in another way, and training amplifies that; so few steps are taken that
the amplification stays below it. What it was chosen by: docs/changing-numbers.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import registry
from bench.execution.data_check import describe_sources
from bench.experiment.cell import Finished, run_cell
from bench.experiment.grid import Cell, Request, plan
from bench.experiment.run_context import RunContext
from tests.grid import write_bundle

STORED: Final = Path(__file__).with_name("reference.json")

RANKED: Final = 2e-3
"""Largest difference of two mean average precisions that counts as rounding: near ties in another order."""

COMPUTED: Final = 2e-4
"""The same of losses and of what embeddings spread over; relative to numbers above 1."""

_SMALL: Final = {"hidden": [16], "dim": 8, "epochs": 2, "batch_size": 20, "lr": 0.001}
"""Settings of every method that has them: small networks, and few steps."""

Numbers = dict[str, float]
Reference = dict[str, dict[str, Numbers]]
"""By method and dataset; a cell without a result has no numbers but ``nan`` under its status."""


def measure(folder: Path) -> Reference:
    """Run the reference grid in this process and return its numbers; ``folder`` takes the data."""
    found: Reference = {}
    for cell in _cells(folder):
        numbers = dict(_numbers(run_cell(cell, RunContext(data_dir=folder))))
        found.setdefault(cell.identity.method, {})[cell.identity.dataset] = numbers
    return found


def moved(stored: Mapping[str, Mapping[str, Numbers]], now: Reference) -> dict[str, list[str]]:
    """Return, by method, which numbers are another than those stored beyond the tolerance, in sentences.

    A method that is stored or run alone has moved nothing: there is nothing to compare with.
    """
    found: dict[str, list[str]] = {}
    for method in stored.keys() & now.keys():
        for dataset in sorted(stored[method].keys() | now[method].keys()):
            before, after = stored[method].get(dataset, {}), now[method].get(dataset, {})
            for name in sorted(before.keys() | after.keys()):
                was, now_is = before.get(name), after.get(name)
                if not _agree(name, was, now_is):
                    found.setdefault(method, []).append(f"{method} on {dataset}, {name}: {was} → {now_is}")
    return found


def largest_difference(stored: Mapping[str, Mapping[str, Numbers]], now: Reference) -> tuple[float, str]:
    """Return the largest difference between two references in parts of the tolerance, and where it is."""
    gaps = [
        (_gap(name, value, now[method][dataset][name]), f"{method} on {dataset}, {name}")
        for method in stored.keys() & now.keys()
        for dataset in stored[method].keys() & now[method].keys()
        for name, value in stored[method][dataset].items()
        if name in now[method][dataset]
    ]
    return max(gaps, default=(0.0, ""))


def read_stored() -> dict[str, Any]:
    """Return what the command wrote: ``methods`` and ``datasets``; nothing of each before it ever ran."""
    if not STORED.is_file():
        return {"methods": {}, "datasets": {}}
    content: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    return content


def _cells(folder: Path) -> Iterator[Cell]:
    """Yield the cells: pairs without a validation split, several classes per row, and three modalities.

    With three modalities rows are no pairs; a method for two gets the first two.
    """
    bundles = [
        _without_validation(write_bundle(folder / "pairs.npz", rows=80, classes=4, seed=1)),
        write_bundle(folder / "multi.npz", multi_label=True, rows=60, classes=4, seed=2),
        write_bundle(folder / "three.npz", ("image", "text", "audio"), paired=False, classes=4, seed=3),
    ]
    sources = describe_sources([str(path) for path in bundles], folder, "paper")
    names = [name for name in registry.method_names() if _is_ours(name)]
    request = Request(names, list(sources.usable), profile="paper", overrides={"*": _SMALL})
    seen = set()
    for cell in plan(request, sources.usable):
        key = (cell.identity.method, cell.identity.dataset)
        if key not in seen:
            seen.add(key)
            yield cell


def _is_ours(method: str) -> bool:
    return Path(registry.method(method).where).parent == registry.folder_of("methods")


def _without_validation(path: Path) -> Path:
    with np.load(path) as bundle:
        arrays = {name: bundle[name] for name in bundle.files if not name.startswith("validation")}
    np.savez(path, **arrays)
    return path


def _numbers(finished: Finished) -> Iterator[tuple[str, float]]:
    """Yield mAP of every direction and rule, the last row of the trace, and how embeddings spread."""
    result = finished.record.result
    if result is None:
        yield finished.record.status, float("nan")
        return
    for metric in result.metrics:
        if metric.protocol in ("map@all", "map@50/hits"):
            name = f"{metric.selection} {metric.protocol} {metric.query}>{metric.gallery}"
            yield name, round(metric.value, 6)
    for name, value in (finished.trace[-1] if finished.trace else {}).items():
        if isinstance(value, float) and "second" not in name:
            yield f"trace {name}", _rounded(value)
    space = None if finished.view is None else finished.view.space
    if space is not None:
        for modality, points in space.points.items():
            yield f"spread of {modality}", _rounded(float(np.abs(points).mean()))


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _agree(name: str, was: float | None, now: float | None) -> bool:
    if was is None or now is None:
        return False
    return _gap(name, was, now) <= 1.0


def _gap(name: str, was: float, now: float) -> float:
    """Return the difference of two numbers in parts of the tolerance."""
    if math.isnan(was) or math.isnan(now):
        return 0.0 if math.isnan(was) and math.isnan(now) else math.inf
    return abs(was - now) / max(1.0, abs(was), abs(now)) / (RANKED if "map" in name else COMPUTED)
