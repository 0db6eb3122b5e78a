"""``sweep``: a method under all combinations of some settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import click

from bench.cli.options import parse_grid, parse_overrides
from bench.cli.request import Study, cells_of, study_options
from bench.cli.running import Job, carry_out, job_options
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.execution.grid_runner import Sources
    from bench.experiment.grid import Cell, DeviceKind

MOST: Final = 10_000
"""Combinations that a sweep may mean: more are a slip of the keyboard."""


@click.command("sweep", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("method", metavar="METHOD")
@click.option(
    "--param",
    "params",
    multiple=True,
    required=True,
    metavar="PARAM=VALUE,VALUE",
    help="Values of a setting, such as alpha=0.1,1,10; may be repeated for others.",
)
@study_options
@job_options
def command(method: str, params: Sequence[str], study: Study, job: Job) -> int:
    """Run a method with the usual settings and with every combination of the values given.

    What is already recorded is not run again; `report` draws a heat map where two settings vary, and lines
    where one does.

    Exit status as of run.
    """
    return carry_out(
        job, study.profile, study.threads, lambda device: _cells(method, params, study, job, device)
    )


def _cells(
    method: str, params: Sequence[str], study: Study, job: Job, device: DeviceKind
) -> tuple[Sources, list[Cell]]:
    grid = [{method: changes} for changes in combinations(method, params, study.changes)]
    return cells_of(
        study.wanted((method,)),
        job.results,
        job.data_dir,
        device=device,
        keep_fingerprints=not job.way.dry_run,
        grid=({}, *grid),
    )


def combinations(method: str, params: Sequence[str], changes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the settings of every combination.

    Args:
        method: registry name.
        params: words such as ``alpha=0.1,1``.
        changes: what ``--set`` says, which must not be about the same settings.

    Raises:
        UsageError: for words that do not fit, or more than `MOST` combinations.
    """
    grid = parse_grid(method, params)
    for owner, fixed in parse_overrides(changes).items():
        for key in sorted(fixed.keys() & grid.keys()):
            raise UsageError(f"--set {owner}.{key} and --param {key} contradict each other; leave one out")
    count = math.prod(len(values) for values in grid.values())
    if count > MOST:
        raise UsageError(
            f"these values make {count:,} combinations, more than {MOST:,}; name fewer values or settings"
        )
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
