"""``ablate``: a method and all its variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bench.cli.request import Study, cells_of, study_options
from bench.cli.running import Job, carry_out, job_options
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.execution.grid_runner import Sources
    from bench.experiment.grid import Cell, DeviceKind


@click.command("ablate", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("methods", metavar="METHOD...", nargs=-1, required=True)
@study_options
@job_options
def command(methods: Sequence[str], study: Study, job: Job) -> int:
    """Run methods and every variant of theirs that the data's modalities admit.

    What is already recorded is not run again; `report` compares each variant with the method itself, paired
    by seed and query. --dry-run names the variants.

    Exit status as of run.
    """
    return carry_out(job, study.profile, study.threads, lambda device: _cells(methods, study, job, device))


def _cells(methods: Sequence[str], study: Study, job: Job, device: DeviceKind) -> tuple[Sources, list[Cell]]:
    """Return the cells, and say what is left out of them.

    Raises:
        UsageError: if none of the methods has variants, and for wrong words.
    """
    from bench import registry
    from bench.experiment.grid import EVERY_VARIANT
    from bench.experiment.selection import select_methods

    names = select_methods(methods)
    offered = {name: registry.method(name).variants for name in names}
    without = [name for name in names if not offered[name]]
    if len(without) == len(names):
        raise UsageError(
            f"{', '.join(without)}: no variants to run; Method.variants in a method's file names them"
        )
    if without:
        click.echo(f"note: without variants: {', '.join(without)}")
    sources, cells = cells_of(
        study.wanted(methods, (EVERY_VARIANT,)),
        job.results,
        job.data_dir,
        device=device,
        keep_fingerprints=not job.way.dry_run,
    )
    for dataset in dict.fromkeys(cell.identity.dataset for cell in cells):
        ran = {
            (one.method, one.variant) for one in (cell.identity for cell in cells) if one.dataset == dataset
        }
        for name in names:
            left_out = [variant for variant in offered[name] if (name, variant) not in ran]
            if left_out:
                click.echo(
                    f"note: {dataset} lacks the modality that these are for: {name} {', '.join(left_out)}"
                )
    return sources, cells
