"""Options that choose the cells of a grid, and the cells that they mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from bench import registry
from bench.cli.options import DataOption, Settings, Threads
from bench.contract.errors import UsageError
from bench.data.loading import find_file
from bench.execution.data_check import Sources, describe_sources
from bench.experiment.grid import Cell, DeviceKind, Request, plan
from bench.experiment.selection import parse_seeds, select_datasets, select_methods, split_words
from bench.registry import parse_yaml


@dataclass(frozen=True)
class CellOptions:
    """Which cells of the chosen methods and datasets.

    Attributes:
        seeds: How many (3), or which (0,4 or 2-5).
        profile: quick or paper.
        set_: Change a setting; * for every method.
        threads: CPU threads per cell.
        modalities: Confine the datasets to these, such as image,text.  [default: all]
    """

    seeds: str = "1"
    profile: str = "quick"
    set_: Settings = ()
    threads: Threads = 1
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """Methods, variants and datasets as given, and which of their cells.

    Attributes:
        methods: names, globs and groups.
        datasets: the same, and paths of bundles.
        cells: which of their cells.
        variants: ``full`` and names of ablations.
        grid: settings by method on top of the others; the cells of every entry are wanted.
    """

    methods: Sequence[str]
    datasets: Sequence[str]
    cells: CellOptions
    variants: Sequence[str] = ("full",)
    grid: Sequence[Mapping[str, Mapping[str, Any]]] = ({},)


def plan_cells(
    wanted: Wanted,
    device: DeviceKind,
    results: Path,
    data_dir: Path,
    *,
    keep_fingerprints: bool,
    timeout: float | None = None,
    max_memory: int | None = None,
) -> tuple[Sources, list[Cell]]:
    """Turn words into cells; every word is checked before any data is looked at.

    Args:
        wanted: as given.
        device: kind of device that the cells are for.
        results: folder of the records, which keeps the digests of data files.
        data_dir: folder of the data files.
        keep_fingerprints: whether that folder may be made for them.
        timeout: seconds that a cell may take.
        max_memory: bytes that a cell may take.

    Raises:
        UsageError: for names that do not exist, settings that do not fit, or an absent data folder.
    """
    if data_dir != DataOption.data and not data_dir.is_dir():
        raise UsageError(f"there is no data folder {data_dir}")
    options, methods = wanted.cells, select_methods(wanted.methods)
    seeds, overrides = parse_seeds(options.seeds), parse_overrides(options.set_)
    given = select_datasets(wanted.datasets, lambda name: _is_real(name, data_dir))
    memory = results if keep_fingerprints or results.is_dir() else None
    sources = describe_sources(
        given, data_dir, options.profile, memory, timeout=timeout, max_memory=max_memory
    )
    request = Request(
        methods=methods,
        datasets=list(sources.usable),
        seeds=seeds,
        variants=list(dict.fromkeys(split_words(wanted.variants))),
        profile=options.profile,
        threads=options.threads,
        modalities=split_words(options.modalities),
        device=device,
    )
    cells: dict[str, Cell] = {}
    if sources.usable:
        versions = registry.Versions()
        for changes in wanted.grid:
            merged = {
                method: {**overrides.get(method, {}), **changes.get(method, {})}
                for method in (*overrides, *changes)
            }
            planned = plan(replace(request, overrides=merged), sources.usable, versions)
            cells.update((cell.identity.digest, cell) for cell in planned)
    return sources, list(cells.values())


def parse_overrides(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return settings by method from words such as ``drcl.epochs=20``; ``*`` stands for every method.

    Raises:
        UsageError: for a word of another form, or a method or setting that does not exist.
    """
    overrides: dict[str, dict[str, Any]] = {}
    for word in words:
        target, equals, text = word.partition("=")
        name, dot, key = target.strip().rpartition(".")
        if not (equals and dot and name and key):
            raise UsageError(f"--set {word!r} is not of the form METHOD.PARAM=VALUE, such as drcl.epochs=20")
        if name != "*":
            _require_setting(name, key)
        overrides.setdefault(name, {})[key] = _value(f"--set {word!r}", text)
    return overrides


def parse_grid(method: str, words: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values of each setting from words such as ``alpha=0.1,1,10``, written as for ``--set``.

    Raises:
        UsageError: for a word of another form, a setting that does not exist or is there twice, or no values.
    """
    grid: dict[str, list[Any]] = {}
    for word in words:
        key, equals, text = (part.strip() for part in word.partition("="))
        if not (equals and key):
            raise UsageError(f"--param {word!r} is not of the form PARAM=VALUE,VALUE, such as alpha=0.1,1,10")
        _require_setting(method, key)
        if key in grid:
            raise UsageError(f"--param {key} is given twice; name all its values once, as in {word},...")
        grid[key] = _value(f"--param {word!r}", f"[{text}]")
        if not grid[key]:
            raise UsageError(f"--param {word!r} has no values; write them with commas, as in {key}=1,2")
    return grid


def _require_setting(method: str, key: str) -> None:
    defaults = registry.method(method).defaults
    if key not in defaults:
        raise registry.unknown(f"setting of {method}", key, defaults)


def _value(option: str, text: str) -> Any:
    try:
        value = registry.plain(parse_yaml(text))
        json.dumps(value, allow_nan=False)
    except yaml.YAMLError as error:
        raise UsageError(f"{option}: the value is not valid YAML") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{option}: the value is neither text, finite number, list nor map") from error
    return value


def _is_real(name: str, data_dir: Path) -> bool:
    card = registry.dataset(name).card
    return all(find_file(card, file, data_dir) is not None for file in card.files)
