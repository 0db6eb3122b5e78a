"""The reference grid: every method on tiny data in a few steps, and whether its numbers have moved.

They depend on no settings file, so that only code moves them. They are compared within a tolerance: another
processor, or other libraries, round in another way, and training amplifies that; so few steps are taken that
the amplification stays below it. What it was chosen by: docs/changing-numbers.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import registry
from bench.conditions import conditions, parse_conditions
from bench.execution.data_check import describe_sources
from bench.experiment.cell import Finished
from bench.experiment.grid import Cell, Request, plan
from bench.experiment.run_context import RunContext
from bench.experiment.running import run_cell
from bench.records.protocols import base_of
from tests.grid import data_opened_here, write_bundle

STORED: Final = Path(__file__).with_name("reference.json")

RANKED: Final = 2e-3
"""Largest difference of two mean average precisions that counts as rounding: near ties in another order."""

COMPUTED: Final = 2e-4
"""The same of losses and of what embeddings spread over; relative to numbers above 1."""

_SMALL: Final = {"hidden": [16], "dim": 8, "epochs": 2, "batch_size": 20, "lr": 0.001}
"""Settings of every method that has them: small networks, and few steps."""

_LESS: Final = {"drsl": {"lr": 0.0001}, "clip4cmr": {"dropout": 0.0}, "sm": {"strength": 1.0}}
"""Settings of methods whose numbers depend more than others' on the machine and the libraries.

DRSL normalises all batches: the gradient of every bias in front of a normalisation is zero but for rounding,
and Adam makes a whole step of it. PyTorch 2.13 draws other dropout masks than 2.4 with the same generator.
SM's posteriors on few rows are nearly uniform unless its penalty is small, and then similarities nearly tie.
"""

_UNDER: Final = " under "
"""Between dataset and condition."""

Numbers = dict[str, float]
Reference = dict[str, dict[str, Numbers]]
"""By method and dataset; a cell without a result has no numbers but ``nan`` under its status."""


def measure(folder: Path, device: str = "cpu", methods: Collection[str] | None = None) -> Reference:
    """Run the reference grid in this process and return its numbers.

    Args:
        folder: takes the data.
        device: to run on; the stored numbers are the CPU's.
        methods: to run; None for all.
    """
    found: Reference = {}
    for cell in _cells(folder):
        one = cell.identity
        if methods is not None and one.method not in methods:
            continue
        numbers = dict(_numbers(run_cell(cell, RunContext(data_dir=folder, device=device))))
        data = f"{one.dataset}{_UNDER}{one.condition}" if one.condition else one.dataset
        found.setdefault(one.method, {})[data] = numbers
    return found


def gaps(stored: Mapping[str, Mapping[str, Numbers]], now: Reference) -> list[tuple[float, str, str]]:
    """Return of every number its difference in parts of the tolerance, its method, and a sentence.

    A cell that is stored or run alone has moved nothing: there is nothing to compare with.
    """
    found = [(0.0, "", "")]
    for method in stored.keys() & now.keys():
        for dataset in sorted(stored[method].keys() & now[method].keys()):
            before, after = stored[method][dataset], now[method][dataset]
            for name in sorted(before.keys() | after.keys()):
                was, value = before.get(name), after.get(name)
                gap = math.inf  # one is missing, or one alone is not a number
                if was is not None and value is not None and math.isnan(was) == math.isnan(value):
                    tolerance = RANKED if "map" in name else COMPUTED
                    gap = abs(was - value) / max(1.0, abs(was), abs(value)) / tolerance
                    gap = 0.0 if math.isnan(was) else gap
                found.append((gap, method, f"{method} on {dataset}, {name}: {was} → {value}"))
    return found


def moved(stored: Mapping[str, Mapping[str, Numbers]], now: Reference) -> dict[str, list[str]]:
    """Return, by method, which numbers are another than those stored beyond the tolerance, in sentences."""
    found: dict[str, list[str]] = {}
    for gap, method, sentence in gaps(stored, now):
        if gap > 1.0:
            found.setdefault(method, []).append(sentence)
    return found


def only_under_conditions(moved: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the methods of which no number moved but under conditions."""
    return [name for name, sentences in moved.items() if all(_UNDER in one for one in sentences)]


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
    with data_opened_here():
        sources = describe_sources([str(path) for path in bundles], folder, "paper")
    names = [name for name in registry.method_names() if _is_ours(name)]
    request = Request(names, list(sources.usable), profile="paper", overrides={"*": _SMALL, **_LESS})
    pairs, several, three = sources.usable
    seen = set()
    for each in (request, *_under_conditions(request, pairs, several, three)):
        for cell in plan(each, sources.usable):
            key = (cell.identity.method, cell.identity.dataset, cell.identity.condition)
            if key not in seen:
                seen.add(key)
                yield cell


def _under_conditions(clean: Request, pairs: str, several: str, three: str) -> Iterator[Request]:
    """Yield every variant of every condition at its mildest level, on a method to which the change matters.

    Where a level leaves one labelled row per class, rounding decides the order of many items.

    Args:
        clean: the cells without conditions.
        pairs: dataset with pairs.
        several: with several classes per row.
        three: with three modalities.
    """
    for name, cls in conditions().items():
        levels = [level for level in cls.card.levels if isinstance(level, float)]
        mildest = max if cls.card.lower_is_harder else min
        level = f"{mildest(levels):g}" if levels else "last"
        ids = [f"{name}/{variant}@{level}" for variant in cls.card.variants] or [f"{name}@{level}"]
        requested = [applied.id if applied else "" for applied in parse_conditions(ids)]
        about = {"label-noise-multi": (["sdml"], several), "late": (["sdml"], three)}
        usual = ["mcca"] if cls.card.group == "pairs" else ["sm"]
        methods, dataset = about.get(name, (usual, pairs))
        less = {method: _LESS[method] for method in methods if method in _LESS}
        settings = {"*": _SMALL} if methods == ["sdml"] else less  # the others have none of `_SMALL`
        yield replace(clean, methods=methods, datasets=[dataset], conditions=requested, overrides=settings)


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
    if isinstance(result.effective, float):
        yield "effective level", _rounded(result.effective)
    for metric in result.metrics:
        if base_of(metric.protocol) in ("map@all", "map@50/hits"):
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
