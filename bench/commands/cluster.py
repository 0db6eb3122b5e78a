"""Where cells run, here or on a Dask cluster: the options that say it, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from bench.commands.options import FiniteRange, grouped
from bench.commands.places import Places, Site, executor_for, require_possible, survey
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.execution import Executor

_PATIENCE: Final = 300.0


@dataclass(frozen=True)
class Remote:
    """Which cluster, as typed."""

    executor: str
    scheduler: str | None
    patience: float | None


remote_options = grouped(
    Remote,
    "remote",
    click.option(
        "--executor",
        default="local",
        show_default=True,
        type=click.Choice(["local", "dask"]),
        help="local: on this machine; dask: on the Dask cluster of --scheduler.",
    ),
    click.option("--scheduler", default=None, metavar="ADDRESS", help="Such as tcp://host:8786."),
    click.option(
        "--patience",
        default=None,
        type=FiniteRange(0),
        help=f"Seconds to wait while there is no Dask worker.  [default: {_PATIENCE:g}]",
    ),
)
"""Adds the options of `Remote`; the command gets them as ``remote``."""


def require_consistent(remote: Remote, places: Places) -> None:
    """Check what needs no look at any machine.

    Raises:
        UsageError: if options contradict each other.
    """
    if remote.executor == "dask":
        if not remote.scheduler:
            raise UsageError(
                "--executor dask needs --scheduler ADDRESS, such as tcp://host:8786, "
                "which `dask scheduler` prints when it starts"
            )
        for option, value in (("--jobs", places.jobs), ("--jobs-per-device", places.jobs_per_device)):
            if value is not None:
                raise UsageError(
                    f"{option} is for this machine; with --executor dask each worker says what it has: "
                    'dask worker ADDRESS --nthreads 1 --resources "GPU=1"'
                )
        return
    for option, given in (("--scheduler", remote.scheduler), ("--patience", remote.patience)):
        if given is not None:
            raise UsageError(f"{option} is of no use without --executor dask; add that, or leave it out")


@contextmanager
def opened(
    remote: Remote, places: Places, threads: int, *, needed: bool
) -> Iterator[tuple[Site, Executor[Any]]]:
    """Find out where cells run and what runs them; a cluster stays connected while the body runs.

    Args:
        remote: as typed.
        places: as typed.
        threads: CPU threads of a cell.
        needed: False where no cell is to run: then nobody waits for a long look at any machine.

    Raises:
        UsageError: if a device, the scheduler or fitting workers are not there.
        WorkerError: if no Dask worker comes within the patience.
    """
    if remote.executor == "local" and not needed:
        require_possible(places)
    if not needed or remote.executor == "local":
        site = survey(places, threads) if needed else Site([], "cpu")
        yield site, executor_for(site, places)
        return
    from bench.execution.campaign import hard_limit
    from bench.execution.cluster import cluster_executor, open_cluster

    assert remote.scheduler is not None
    with open_cluster(
        remote.scheduler,
        device=_devices(places),
        patience=_PATIENCE if remote.patience is None else remote.patience,
        say=lambda sentence: click.echo(f"note: {sentence}", err=True),
    ) as cluster:
        slots = cluster.slots(threads)
        execute = cluster_executor(
            cluster,
            threads=threads,
            timeout=hard_limit(places.timeout),
            max_memory=places.max_memory,
            retries=places.retries,
        )
        yield Site(slots, slots[0].device), execute


def _devices(places: Places) -> str:
    """Return the devices asked for; unless somebody typed them, the cluster's workers say what they have."""
    source = click.get_current_context().get_parameter_source("devices")
    return "auto" if source is ParameterSource.DEFAULT else places.devices
