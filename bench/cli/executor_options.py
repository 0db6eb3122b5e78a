"""Options that say where cells run and within what limits, on this machine or on a Dask cluster."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import click

from bench.cli.formatting import warn
from bench.cli.options import FiniteRange, Words
from bench.contract.errors import UsageError
from bench.execution import Executor, Slot, devices, inline_executor, local_executor
from bench.execution.grid_runner import hard_limit
from bench.experiment.grid import DeviceKind
from bench.experiment.run_context import parse_size

if TYPE_CHECKING:
    from bench.execution.dask_client import Cluster

_PATIENCE: Final = 300.0
_LONGEST: Final = 10_000_000
"""Seconds, about four months: what clocks and locks of the system can wait for."""

_LARGEST: Final = 1 << 50


def _size(word: str) -> int:
    try:
        size = parse_size(word)
    except OverflowError:
        size = _LARGEST + 1
    if size > _LARGEST:
        raise UsageError(f"{word[:40]!r} is more than 1024T")
    return size


Seconds = Annotated[float | None, FiniteRange(0, _LONGEST, min_open=True)]


@dataclass(frozen=True)
class DeviceOptions:
    """Devices of this machine, and limits of a cell.

    Attributes:
        devices: cpu; GPUs such as cuda:0,cuda:1; cuda: every GPU; auto: every GPU, or the CPU without any.
        jobs: Worker processes on the CPU; 0 runs in this process.  [default: processors / threads]
        jobs_per_device: Cells at once on a GPU.  [default: 1]
        timeout: Seconds per cell.
        max_memory: Memory that a cell may take in its worker, beyond the libraries: 500M, 4G.
        retries: Further attempts for a cell whose worker was killed from outside; never for its own failure.
    """

    devices: str = "cpu"
    jobs: Annotated[int | None, click.IntRange(0, 1024)] = None
    jobs_per_device: Annotated[int | None, click.IntRange(1, 1024)] = None
    timeout: Seconds = None
    max_memory: Annotated[int | None, Words("SIZE", _size)] = None
    retries: Annotated[int, click.IntRange(0, 1000)] = 1


@dataclass(frozen=True)
class ExecutorOptions:
    """This machine, or a Dask cluster.

    Attributes:
        executor: local: on this machine; dask: on the Dask cluster of --scheduler.
        scheduler: Such as tcp://host:8786.
        patience: Seconds to wait while there is no Dask worker.  [default: 300]
    """

    executor: Literal["local", "dask"] = "local"
    scheduler: Annotated[str | None, Words("ADDRESS")] = None
    patience: Annotated[float | None, FiniteRange(0, _LONGEST)] = None


@dataclass(frozen=True)
class Site:
    """Slots for cells; none if they run in this process.

    Attributes:
        slots: where cells run.
        device: torch name of the device as a worker sees it, which is its own GPU only.
    """

    slots: list[Slot]
    device: str


@dataclass(frozen=True)
class Resolved:
    """Device options with ``auto`` replaced by devices of this machine.

    Attributes:
        options: with these devices.
        kind: of all of them.
        inventory: of the machine, if it was needed.
    """

    options: DeviceOptions
    kind: DeviceKind
    inventory: devices.Inventory | None = None


def resolve(options: DeviceOptions) -> Resolved:
    """Replace ``auto`` by devices; GPUs are listed, which takes seconds, only if there may be some.

    Raises:
        UsageError: if ``auto`` stands beside what contradicts it.
        DeviceError: if GPUs may be there and cannot be listed.
    """
    words = [word.strip() for word in options.devices.split(",")]
    if "auto" not in words:
        return Resolved(options, "cpu" if words == ["cpu"] else "cuda")
    possible = devices.glance(options.devices)
    inventory = devices.take_inventory(gpus=True) if possible.gpus else None
    chosen = devices.choose_devices(options.devices, inventory or possible)
    return Resolved(
        replace(options, devices=",".join(chosen)), "cpu" if chosen == ["cpu"] else "cuda", inventory
    )


def survey(options: DeviceOptions, threads: int, inventory: devices.Inventory | None = None) -> Site:
    """Return the slots on this machine.

    Args:
        options: as given.
        threads: CPU threads of a cell.
        inventory: of the machine; None to take it.

    Raises:
        UsageError: if there is no such device, or options contradict each other.
        DeviceError: if GPUs are asked for and cannot be listed.
    """
    inventory = inventory or devices.take_inventory(gpus=devices.wants_gpus(options.devices))
    chosen = devices.choose_devices(options.devices, inventory)
    if options.devices == "cpu" and options.jobs_per_device is not None:
        raise UsageError("--jobs-per-device is for GPUs; --jobs says how many cells run at once on the CPU")
    if chosen != ["cpu"] and options.jobs:
        raise UsageError("--jobs is for the CPU; --jobs-per-device says how many cells share a GPU")
    if options.jobs == 0:
        if len(chosen) > 1:
            raise UsageError(
                "--jobs 0 runs in this process, on one device; "
                f"name one of {', '.join(chosen)} with --devices"
            )
        if options.max_memory is not None:
            raise UsageError("--max-memory needs a worker process that can be stopped; leave --jobs 0 out")
        return Site([], chosen[0])
    slots = devices.device_slots(
        chosen,
        inventory,
        jobs=max(1, inventory.cpus // threads) if options.jobs is None else options.jobs,
        jobs_per_device=options.jobs_per_device or 1,
        threads=threads,
    )
    return Site(slots, slots[0].device)


def kind_of(device: str) -> DeviceKind:
    """Return the kind of a device that torch calls ``cpu`` or such as ``cuda:0``."""
    return "cpu" if device == "cpu" else "cuda"


def executor_for(site: Site, options: DeviceOptions) -> Executor[Any]:
    """Return what runs cells in the slots of this machine."""
    if not site.slots:
        return inline_executor
    return local_executor(
        site.slots,
        timeout=hard_limit(options.timeout),
        max_memory=options.max_memory,
        retries=options.retries,
    )


def require_consistent(executor: ExecutorOptions, options: DeviceOptions) -> None:
    """Check what needs no look at any machine.

    Raises:
        UsageError: if options contradict each other.
    """
    if executor.executor == "dask":
        if not executor.scheduler:
            raise UsageError(
                "--executor dask needs --scheduler ADDRESS, such as tcp://host:8786, "
                "which `dask scheduler` prints when it starts"
            )
        for name, value in (("--jobs", options.jobs), ("--jobs-per-device", options.jobs_per_device)):
            if value is not None:
                raise UsageError(
                    f"{name} is for this machine; with --executor dask each worker says what it has: "
                    'dask worker ADDRESS --nthreads 1 --resources "GPU=1"'
                )
        return
    for name, given in (("--scheduler", executor.scheduler), ("--patience", executor.patience)):
        if given is not None:
            raise UsageError(f"{name} is of no use without --executor dask; add that, or leave it out")


class Machines:
    """The machine or cluster that the cells of a run are planned for and run on.

    A context manager: a cluster stays connected while the body runs. Nothing is connected or listed before it
    is needed, so that a finished grid is recognised at once.
    """

    def __init__(self, executor: ExecutorOptions, options: DeviceOptions, threads: int) -> None:
        """Take the options as given; ``threads`` are the CPU threads of a cell."""
        self._executor, self._options, self._threads = executor, options, threads
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
        if self._executor.executor == "local":
            return self._local.kind
        words = self._options.devices.strip()
        return "cpu" if words == "cpu" else "cuda" if words == "cuda" else self._cluster.device

    def ready(self, *, needed: bool) -> tuple[Site, Executor[Any]]:
        """Return the slots and what runs cells there.

        Args:
            needed: False where no cell is to run: then no machine is looked at for long.

        Raises:
            UsageError: if a device, the scheduler or fitting workers are not there.
            WorkerError: if no Dask worker comes within the patience.
        """
        local = self._executor.executor == "local"
        if not needed:
            if local:
                words = self._local.options.devices
                devices.choose_devices(words, devices.glance(words))
            return Site([], "cpu"), inline_executor
        if local:
            site = survey(self._local.options, self._threads, self._local.inventory)
            return site, executor_for(site, self._local.options)
        return self._on_cluster()

    @cached_property
    def _local(self) -> Resolved:
        return resolve(self._options)

    @cached_property
    def _cluster(self) -> Cluster:
        from bench.execution.dask_client import open_cluster

        assert self._executor.scheduler is not None
        patience = self._executor.patience
        return self._open.enter_context(
            open_cluster(
                self._executor.scheduler,
                device=self._options.devices,
                patience=_PATIENCE if patience is None else patience,
                say=_note,
            )
        )

    def _on_cluster(self) -> tuple[Site, Executor[Any]]:
        from bench.execution.dask_checks import GPU
        from bench.execution.dask_client import dask_executor

        cluster, options = self._cluster, self._options
        if cluster.device == "cpu" and any(facts.slots(GPU) for facts in cluster.workers):
            _note("the cluster has GPUs, but this run is on CPUs; --devices cuda uses the GPUs")
        slots = cluster.slots(self._threads)
        execute = dask_executor(
            cluster,
            threads=self._threads,
            timeout=hard_limit(options.timeout),
            max_memory=options.max_memory,
            retries=options.retries,
        )
        return Site(slots, slots[0].device), execute


def _note(sentence: str) -> None:
    warn(sentence, "note")
