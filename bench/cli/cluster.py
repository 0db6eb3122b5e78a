"""Where cells run, here or on a Dask cluster: the options that say it, and what they come to."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import click

from bench.cli.options import FiniteRange, grouped
from bench.cli.places import Places, Resolved, Site, executor_for, require_possible, resolve, survey
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.execution import Executor
    from bench.execution.dask_client import Cluster
    from bench.experiment.grid import DeviceKind

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


class Machines:
    """Where the cells of a run are planned for and run: this machine, or a Dask cluster.

    A context manager: a cluster stays connected while the body runs. Nothing is connected or looked at before
    it is needed, so that a finished grid is recognised at once.
    """

    def __init__(self, remote: Remote, places: Places, threads: int) -> None:
        """Take the options as typed; ``threads`` are the CPU threads of a cell."""
        self._remote, self._places, self._threads = remote, places, threads
        self._open = ExitStack()

    def __enter__(self) -> Machines:
        """Connect to nothing yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the connection to the cluster."""
        self._open.close()

    @cached_property
    def kind(self) -> DeviceKind:
        """Return the kind of device that all cells of the run are for.

        It is what ``--devices`` says; ``auto`` asks this machine or the cluster.

        Raises:
            UsageError: if the words mean nothing, or the scheduler or its workers are not there.
            WorkerError: if no Dask worker comes within the patience.
            DeviceError: if GPUs may be there and cannot be listed.
        """
        if self._remote.executor == "local":
            return self._here.kind
        words = self._places.devices.strip()
        return "cpu" if words == "cpu" else "cuda" if words == "cuda" else self._cluster.device

    def ready(self, *, needed: bool) -> tuple[Site, Executor[Any]]:
        """Return where cells run and what runs them.

        Args:
            needed: False where no cell is to run: then nobody waits for a long look at any machine.

        Raises:
            UsageError: if a device, the scheduler or fitting workers are not there.
            WorkerError: if no Dask worker comes within the patience.
        """
        if not needed:
            if self._remote.executor == "local":
                require_possible(self._here.places)
            site = Site([], "cpu")
            return site, executor_for(site, self._places)
        if self._remote.executor == "local":
            site = survey(self._here.places, self._threads, self._here.inventory)
            return site, executor_for(site, self._here.places)
        return self._on_cluster()

    @cached_property
    def _here(self) -> Resolved:
        return resolve(self._places)

    @cached_property
    def _cluster(self) -> Cluster:
        from bench.execution.dask_client import open_cluster

        assert self._remote.scheduler is not None
        return self._open.enter_context(
            open_cluster(
                self._remote.scheduler,
                device=self._places.devices,
                patience=_PATIENCE if self._remote.patience is None else self._remote.patience,
                say=_note,
            )
        )

    def _on_cluster(self) -> tuple[Site, Executor[Any]]:
        from bench.execution.dask_checks import GPU
        from bench.execution.dask_client import dask_executor
        from bench.execution.grid_runner import hard_limit

        cluster, places = self._cluster, self._places
        if cluster.device == "cpu" and any(facts.slots(GPU) for facts in cluster.workers):
            _note("the cluster has GPUs, but this run is on CPUs; --devices cuda uses the GPUs")
        slots = cluster.slots(self._threads)
        execute = dask_executor(
            cluster,
            threads=self._threads,
            timeout=hard_limit(places.timeout),
            max_memory=places.max_memory,
            retries=places.retries,
        )
        return Site(slots, slots[0].device), execute


def _note(sentence: str) -> None:
    click.echo(f"note: {sentence}", err=True)
