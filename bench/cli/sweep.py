"""``sweep``: run a method with all combinations of some settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Annotated, Any, Final

from bench.cli.grid_options import CellOptions, Wanted, parse_grid, parse_overrides
from bench.cli.options import ARGUMENT, Words, make_command
from bench.cli.run import JobOptions, run_grid
from bench.contract.errors import UsageError

MOST: Final = 10_000
"""Combinations that a sweep may mean: more are a slip of the keyboard."""


@make_command("sweep", plugins="all")
def command(
    method: Annotated[str, ARGUMENT],
    *,
    param: Annotated[tuple[str, ...], Words("PARAM=VALUE,VALUE")],
    datasets: tuple[str, ...],
    cells: CellOptions,
    job: JobOptions,
) -> int:
    """Run a method with its usual settings and with every combination of the given values.

    Recorded cells are not run again. `report` draws a curve if one setting varies, a heat map if two do.

    The exit status is that of run.

    Args:
        param: Values of a setting, such as alpha=0.1,1,10; may be repeated for other settings.
        datasets: Names, globs, groups, or paths of files.
    """
    grid = [{method: changes} for changes in combinations(method, param, cells.set_)]
    return run_grid(job, Wanted((method,), datasets, cells, grid=({}, *grid)))


def combinations(method: str, params: Sequence[str], changes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the settings of every combination of ``params``, which ``--set`` does not change.

    Raises:
        UsageError: for words that do not fit, or more than `MOST` combinations.
    """
    grid = parse_grid(method, params)
    for target, fixed in parse_overrides(changes).items():
        for key in sorted(fixed.keys() & grid.keys()):
            raise UsageError(f"--set {target}.{key} and --param {key} contradict each other; leave one out")
    count = math.prod(len(values) for values in grid.values())
    if count > MOST:
        raise UsageError(
            f"these values make {count:,} combinations, more than {MOST:,}; name fewer values or settings"
        )
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
