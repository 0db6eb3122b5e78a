"""``run``: the main job."""

from __future__ import annotations

import click

from bench.cli.request import Wanted, cells_of, wanted_options
from bench.cli.running import Job, carry_out, job_options


@click.command("run", context_settings={"help_option_names": ["-h", "--help"]})
@wanted_options
@job_options
def command(wanted: Wanted, job: Job) -> int:
    """Run methods on datasets; what is already recorded is not run again.

    Groups of methods: all (roster and references), roster, baselines, linear, deep, references, extras.
    Groups of datasets: all (the five benchmarks and emoji), real (files at hand), every.

    Exit status 0: every cell is done, or skipped for a declared reason; 1: a cell failed; 2: wrong usage
    or a bad data file; 130: interrupted. Ctrl-C once lets the running cells finish; twice stops at once.
    """
    return carry_out(
        job,
        wanted.profile,
        wanted.threads,
        lambda device: cells_of(
            wanted, job.results, job.data_dir, device=device, keep_fingerprints=not job.way.dry_run
        ),
    )
