"""Options that select the cells of a grid, and the planning of these cells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from bench import registry
from bench.cli.options import DataOption, Settings, Threads
from bench.conditions import CLEAN, parse_conditions
from bench.contract import Similarity
from bench.contract.errors import UsageError
from bench.data.locations import find_file
from bench.execution.data_check import Sources, describe_condition_files, describe_given, describe_sources
from bench.experiment.given import given_cells, parse_given
from bench.experiment.grid import Cell, DeviceKind, Request, plan
from bench.experiment.selection import parse_seeds, select_datasets, select_methods, split_words
from bench.registry import parse_yaml


@dataclass(frozen=True)
class CellOptions:
    """Which cells of the chosen methods and datasets.

    Attributes:
        seeds: Number of seeds (3), or seed indices (0,4 or 2-5).
        profile: quick (small networks, minutes) or paper (published sizes and settings).
        set_: Change a setting of a method; * stands for every method. May be repeated.
        threads: CPU threads per cell.
        modalities: Use only these modalities of the datasets, such as image,text.  [default: all]
        conditions: Changes of the data: clean (none), a condition with levels such as label-noise@.2/.4, a
            name for its usual levels, label-noise=FILE, or a group: noise, pairs, labels, modalities,
            classes, all.
    """

    seeds: str = "1"
    profile: str = "quick"
    set_: Settings = ()
    threads: Threads = 1
    modalities: tuple[str, ...] = ()
    conditions: tuple[str, ...] = (CLEAN,)


@dataclass(frozen=True)
class Wanted:
    """Methods, variants and datasets as given, and which of their cells.

    Attributes:
        grid: settings by method on top of the others; the cells of every entry are wanted.
        embeddings: files that another program computed, such as ``CLIP=clip.npz``, several of a name for
            several seeds; without ``datasets`` each is one by itself.
        similarity: how embeddings are compared.
    """

    methods: Sequence[str]
    datasets: Sequence[str]
    cells: CellOptions
    variants: Sequence[str] = ("full",)
    grid: Sequence[Mapping[str, Mapping[str, Any]]] = ({},)
    embeddings: Sequence[str] = ()
    similarity: Similarity = "cosine"


def plan_cells(
    wanted: Wanted, device: DeviceKind, results: Path, data_dir: Path, *, remember: bool, **limits: Any
) -> tuple[Sources, list[Cell]]:
    """Turn words into cells for a kind of device; every word is checked before any data is read.

    Args:
        wanted: as given.
        device: kind of device that the cells are for.
        results: folder of the records, which keeps the digests of data files.
        data_dir: folder of the data files.
        remember: whether the folder of the records may be made for these digests.
        limits: ``timeout`` and ``max_memory`` of a cell.

    Raises:
        UsageError: for names that do not exist, settings that do not fit, an absent data folder, or a file of
            a condition that is not of these datasets.
    """
    if data_dir != DataOption.data and not data_dir.is_dir():
        raise UsageError(f"there is no data folder {data_dir}")
    options, request = wanted.cells, _request(wanted, device)
    given_files = parse_given(wanted.embeddings)
    if given_files:
        _require_as_given(request)
    overrides = parse_overrides(options.set_)
    cards = {name: found.card for name, found in registry.registered().datasets.items()}
    given = select_datasets(
        wanted.datasets,
        lambda name: all(find_file(cards[name], file, data_dir) is not None for file in cards[name].files),
    )
    memory = results if remember or results.is_dir() else None
    sources = describe_sources(given, data_dir, options.profile, memory, **limits)
    if request.condition_files and request.methods:
        usable = describe_condition_files(request, sources.usable, data_dir, **limits)
        sources = Sources(usable, sources.damaged)
    cells: dict[str, Cell] = {}
    versions = registry.Versions()
    if given_files and (sources.usable or not given):
        made, damaged = _given_cells(given_files, sources, wanted, versions.harness, **limits)
        sources = Sources(sources.usable, sources.damaged | damaged)
        cells.update((cell.identity.digest, cell) for cell in made)
    for changes in wanted.grid if sources.usable and request.methods else ():
        names = (*overrides, *changes)
        merged = {name: {**overrides.get(name, {}), **changes.get(name, {})} for name in names}
        part = replace(request, datasets=list(sources.usable), overrides=merged)
        cells.update((cell.identity.digest, cell) for cell in plan(part, sources.usable, versions))
    return sources, list(cells.values())


def _request(wanted: Wanted, device: DeviceKind) -> Request:
    """Return the grid that is wanted, without datasets and settings."""
    options = wanted.cells
    conditions = parse_conditions(split_words(options.conditions))
    if not conditions:
        raise UsageError("--conditions is empty; write clean for unchanged data")
    return Request(
        methods=select_methods(wanted.methods) if wanted.methods else [],
        datasets=[],
        seeds=parse_seeds(options.seeds),
        variants=list(dict.fromkeys(split_words(wanted.variants))),
        profile=options.profile,
        threads=options.threads,
        modalities=split_words(options.modalities),
        conditions=[applied.id if applied else "" for applied in conditions],
        condition_files={
            applied.id: applied.file.path for applied in conditions if applied is not None and applied.file
        },
        device=device,
    )


def _require_as_given(request: Request) -> None:
    """Raise `UsageError` for conditions and seeds, which embeddings of another program do not have."""
    if any(request.conditions):
        raise UsageError(
            "--conditions applies only to methods that this command trains: the condition under which given "
            "embeddings were trained cannot be checked; state it in the NAME of the row, and run methods "
            "under conditions without --embeddings"
        )
    if not request.methods and [*request.seeds] != [0]:
        raise UsageError(
            "--seeds applies only to methods that this command trains: the files of a row are its seeds 0, "
            "1, ... in the order given; leave --seeds out, or name methods"
        )


def _given_cells(
    files: Mapping[str, Sequence[Path]], sources: Sources, wanted: Wanted, harness: str, **limits: Any
) -> tuple[list[Cell], dict[str, str]]:
    """Return the cells of embeddings that another program computed, and by file why it has none."""
    usual = wanted.similarity, wanted.cells.profile, wanted.cells.threads, harness
    datasets = []
    for data in sources.usable.values():
        admitted = split_words(wanted.cells.modalities) or data.modalities
        names = tuple(name for name in data.modalities if name in admitted)
        datasets.append(replace(data, modalities=names))
    named, damaged = describe_given(files, datasets, **limits)
    cells = [given_cells(file, sources.usable.get(given), *usual) for (_, given), file in named.items()]
    return [cell for of_row in cells for cell in of_row], damaged


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
