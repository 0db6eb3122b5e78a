"""What is wanted of a run: the options that say it, and how their words become cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import grouped, parse_overrides
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.execution.grid_runner import Sources
    from bench.experiment.grid import Cell, DeviceKind


@dataclass(frozen=True)
class Wanted:
    """What to run, as typed."""

    methods: Sequence[str]
    datasets: Sequence[str]
    seeds: str
    profile: str
    variants: Sequence[str]
    changes: Sequence[str]
    threads: int
    modalities: Sequence[str]


_SEEDS = click.option("--seeds", default="1", show_default=True, help="How many (3), or which (0,4 or 2-5).")
_PROFILE = click.option("--profile", default="quick", show_default=True, help="quick or paper.")
_CHANGES = click.option(
    "--set", "changes", multiple=True, metavar="METHOD.PARAM=VALUE", help="* for every method."
)
_THREADS = click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(1), help="CPU threads per cell."
)
_MODALITIES = click.option(
    "--modalities",
    multiple=True,
    help="Confine the datasets to these, such as image,text.  [default: all]",
)

wanted_options = grouped(
    Wanted,
    "wanted",
    click.option(
        "--methods", multiple=True, default=("all",), show_default="all", help="Names, globs, groups."
    ),
    click.option(
        "--datasets",
        multiple=True,
        default=("all",),
        show_default="all",
        help="Names, globs, groups, paths of feature bundles.",
    ),
    _SEEDS,
    _PROFILE,
    click.option(
        "--variants",
        multiple=True,
        default=("full",),
        show_default="full",
        help="full and names of ablations, or all; a method without such a variant is left out of it.",
    ),
    _CHANGES,
    _THREADS,
    _MODALITIES,
)
"""Adds the options of `Wanted`; the command gets them as ``wanted``."""


@dataclass(frozen=True)
class Study:
    """On what a method is studied, as typed."""

    datasets: Sequence[str]
    seeds: str
    profile: str
    changes: Sequence[str]
    threads: int
    modalities: Sequence[str]

    def wanted(self, methods: Sequence[str], variants: Sequence[str] = ("full",)) -> Wanted:
        """Return what to run of some methods."""
        return Wanted(
            methods, variants=variants, **{name.name: getattr(self, name.name) for name in fields(self)}
        )


study_options = grouped(
    Study,
    "study",
    click.option(
        "--datasets", multiple=True, required=True, help="Names, globs, groups, paths of feature bundles."
    ),
    _SEEDS,
    _PROFILE,
    _CHANGES,
    _THREADS,
    _MODALITIES,
)
"""Adds the options of `Study`; the command gets them as ``study``."""


def cells_of(
    wanted: Wanted,
    results: Path,
    data_dir: Path,
    *,
    device: DeviceKind,
    keep_fingerprints: bool,
    grid: Sequence[Mapping[str, Mapping[str, Any]]] = ({},),
) -> tuple[Sources, list[Cell]]:
    """Turn words into cells; every word is checked before any data is looked at.

    Args:
        wanted: as typed.
        results: folder of the records, which keeps the digests of data files.
        data_dir: folder of the data files.
        device: kind of device that the cells are for.
        keep_fingerprints: whether that folder may be made for them.
        grid: settings by method on top of those that are wanted; the cells of every entry are returned.

    Raises:
        UsageError: for names that do not exist, settings that do not fit, or an absent data folder.
    """
    from bench.data.fingerprint import CACHE_NAME
    from bench.execution.grid_runner import describe_sources
    from bench.experiment.grid import Request, plan
    from bench.experiment.selection import parse_seeds, select_datasets, select_methods, split_words
    from bench.registry import Versions

    if data_dir != Path("data") and not data_dir.is_dir():
        raise UsageError(f"there is no data folder {data_dir}")
    methods, seeds, overrides = (
        select_methods(wanted.methods),
        parse_seeds(wanted.seeds),
        parse_overrides(wanted.changes),
    )
    given = select_datasets(wanted.datasets, lambda name: _is_real(name, data_dir))
    cache = results / CACHE_NAME if keep_fingerprints or results.is_dir() else None
    sources = describe_sources(given, data_dir, wanted.profile, cache)
    request = Request(
        methods=methods,
        datasets=list(sources.usable),
        seeds=seeds,
        variants=list(dict.fromkeys(split_words(wanted.variants))),
        profile=wanted.profile,
        threads=wanted.threads,
        overrides=overrides,
        modalities=split_words(wanted.modalities),
        device=device,
    )
    if not sources.usable:
        return sources, []
    versions = Versions()
    plans = [
        plan(replace(request, overrides=_on_top(overrides, changes)), sources.usable, versions)
        for changes in grid
    ]
    return sources, list({cell.identity.digest: cell for cells in plans for cell in cells}.values())


def _on_top(
    overrides: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    return {
        method: {**overrides.get(method, {}), **changes.get(method, {})} for method in (*overrides, *changes)
    }


def _is_real(name: str, data_dir: Path) -> bool:
    from bench.contract import DataError
    from bench.data.source import source_of

    try:
        return source_of(name, data_dir).kind == "real"
    except DataError:
        return False
