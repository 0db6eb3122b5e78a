"""What is wanted of a run: the options that say it, and how their words become cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.options import grouped, parse_overrides
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.execution.campaign import Sources
    from bench.experiment.grid import Cell


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
    click.option("--seeds", default="1", show_default=True, help="How many (3), or which (0,4 or 2-5)."),
    click.option("--profile", default="quick", show_default=True, help="quick or paper."),
    click.option(
        "--variants",
        multiple=True,
        default=("full",),
        show_default="full",
        help="full and names of ablations; a method without such a variant is left out of it.",
    ),
    click.option("--set", "changes", multiple=True, metavar="METHOD.PARAM=VALUE", help="* for every method."),
    click.option(
        "--threads", default=1, show_default=True, type=click.IntRange(1), help="CPU threads per cell."
    ),
    click.option(
        "--modalities",
        multiple=True,
        help="Confine the datasets to these, such as image,text.  [default: all]",
    ),
)
"""Adds the options of `Wanted`; the command gets them as ``wanted``."""


def cells_of(
    wanted: Wanted, results: Path, data_dir: Path, *, keep_fingerprints: bool
) -> tuple[Sources, list[Cell]]:
    """Turn words into cells; every word is checked before any data is looked at.

    Args:
        wanted: as typed.
        results: folder of the records, which keeps the digests of data files.
        data_dir: folder of the data files.
        keep_fingerprints: whether that folder may be made for them.

    Raises:
        UsageError: for names that do not exist, settings that do not fit, or an absent data folder.
    """
    from bench.execution.campaign import describe_sources
    from bench.experiment.grid import Request, plan
    from bench.experiment.selection import parse_seeds, select_datasets, select_methods, split_words

    if data_dir != Path("data") and not data_dir.is_dir():
        raise UsageError(f"there is no data folder {data_dir}")
    methods, seeds, overrides = (
        select_methods(wanted.methods),
        parse_seeds(wanted.seeds),
        parse_overrides(wanted.changes),
    )
    given = select_datasets(wanted.datasets, lambda name: _is_real(name, data_dir))
    cache = results / "fingerprints.json" if keep_fingerprints or results.is_dir() else None
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
    )
    return sources, plan(request, sources.usable) if sources.usable else []


def _is_real(name: str, data_dir: Path) -> bool:
    from bench.contract import DataError
    from bench.data.source import source_of

    try:
        return source_of(name, data_dir).kind == "real"
    except DataError:
        return False
