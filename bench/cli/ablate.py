"""``ablate``: a method and all its variants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from bench import registry
from bench.cli.formatting import print_lines
from bench.cli.grid_options import CellOptions, Wanted
from bench.cli.options import ARGUMENT, make_command
from bench.cli.run import JobOptions, run_grid
from bench.contract.errors import UsageError
from bench.experiment.grid import EVERY_VARIANT, Cell
from bench.experiment.selection import select_methods


@make_command("ablate", plugins="all")
def command(
    methods: Annotated[tuple[str, ...], ARGUMENT],
    *,
    datasets: tuple[str, ...],
    cells: CellOptions,
    job: JobOptions,
) -> int:
    """Run methods and all their variants (ablations); variants for absent modalities are left out.

    Recorded cells are not run again. `report` compares each variant with the method itself, paired by seed
    and query. --dry-run names the variants.

    The exit status is that of run.

    Args:
        datasets: Names, globs, groups, or paths of files.
    """
    names = select_methods(methods)
    without = [name for name in names if not registry.method(name).variants]
    if len(without) == len(names):
        raise UsageError(
            f"{', '.join(without)}: no variants to run; Method.variants in a method's file names them"
        )
    if without:
        print_lines(f"note: without variants: {', '.join(without)}")
    wanted = Wanted(methods, datasets, cells, (EVERY_VARIANT,))
    return run_grid(job, wanted, lambda planned: _left_out(names, planned))


def _left_out(methods: Sequence[str], cells: Sequence[Cell]) -> Iterator[str]:
    """Yield which variants the modalities of each dataset do not admit."""
    for dataset in dict.fromkeys(cell.identity.dataset for cell in cells):
        here = [cell.identity for cell in cells if cell.identity.dataset == dataset]
        admitted = {(identity.method, identity.variant) for identity in here}
        for name in methods:
            lacking = [word for word in registry.method(name).variants if (name, word) not in admitted]
            if lacking:
                variants = ", ".join(lacking)
                yield f"note: {dataset} lacks the modality that these are for: {name} {variants}"
