"""Options for devices, workers, limits of a cell, and Dask clusters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import click

from bench import registry
from bench.cli.formatting import warn
from bench.cli.options import FiniteRange, Words
from bench.contract.errors import UsageError
from bench.execution import devices
from bench.execution.grid_runner import hard_limit
from bench.execution.local import local_executor, run_inline
from bench.execution.tasks import Executor, Slot
from bench.experiment.grid import DeviceKind
from bench.experiment.run_context import RunContext
from bench.experiment.sizes import parse_size

if TYPE_CHECKING:
    from bench.execution.dask_cluster import Cluster

_PATIENCE: Final = 300.0
_LONGEST: Final = 10_000_000  # seconds, about four months: timeouts that the system's locks accept
_LARGEST: Final = 1 << 50


def _size(word: str) -> int:
    with suppress(OverflowError):
        if (size := parse_size(word)) <= _LARGEST:
            return size
    raise UsageError(f"{word[:40]!r} is more than 1024T")


Seconds = Annotated[float | None, FiniteRange(0, _LONGEST, min_open=True)]


@dataclass(frozen=True)
class DeviceOptions:
    """Devices of this machine, and limits of a cell.

    Attributes:
        devices: cpu; GPUs such as cuda:0,cuda:1; cuda for all GPUs; auto for all GPUs, or the CPU if there
            are none.
        jobs: Number of worker processes on the CPU; 0 runs cells in this process.  [default: processors /
            threads]
        jobs_per_device: Number of cells that share a GPU.  [default: 1]
        timeout: Time limit of a cell, in seconds.
        max_memory: Memory limit of a cell, besides the loaded libraries, such as 500M or 4G.
        retries: Further attempts for a cell whose worker was killed from outside or lost.
    """

    devices: str = "cpu"
    jobs: Annotated[int | None, click.IntRange(0, 1024)] = None
    jobs_per_device: Annotated[int | None, click.IntRange(1, 1024)] = None
    timeout: Seconds = None
    max_memory: Annotated[int | None, Words("SIZE", _size)] = None
    retries: Annotated[int, click.IntRange(0, 1000)] = 1

    def context(self, site: Site, data_dir: Path, **asked: Any) -> RunContext:
        """Return the run context of cells at a site; ``asked`` are further fields of it."""
        limits: dict[str, Any] = {"seconds": self.timeout, "max_memory": self.max_memory}
        return RunContext(data_dir.resolve(), site.device, registry.plugins(), **limits, **asked)

    @property
    def limits(self) -> dict[str, Any]:
        """The limits of a task, for an executor."""
        seconds = hard_limit(self.timeout)
        return {"timeout": seconds, "max_memory": self.max_memory, "retries": self.retries}


@dataclass(frozen=True)
class ExecutorOptions:
    """This machine, or a Dask cluster.

    Attributes:
        executor: local runs cells on this machine, dask on the Dask cluster of --scheduler.
        scheduler: Address of the Dask scheduler, such as tcp://host:8786.
        patience: Seconds to wait for a Dask worker when there is none.  [default: 300]
    """

    executor: Literal["local", "dask"] = "local"
    scheduler: Annotated[str | None, Words("ADDRESS")] = None
    patience: Annotated[float | None, FiniteRange(0, _LONGEST)] = None


@dataclass(frozen=True)
class Site:
    """Slots in which cells run, none for this process; and the device as a worker sees it."""

    slots: list[Slot]
    device: str
    execute: Executor[Any] = run_inline


@dataclass
class LocalMachine:
    """This machine, for cells of ``threads`` threads; GPUs are listed when needed, which takes seconds."""

    options: DeviceOptions
    threads: int = 1
    _inventory: devices.Inventory | None = None

    @cached_property
    def devices(self) -> str:
        """The devices of the options, with ``auto`` replaced by the available ones; raises as `site`."""
        words = self.options.devices.strip()
        if "auto" not in [word.strip() for word in words.split(",")]:
            return words
        possible = devices.possible_inventory(words)
        if possible.gpus:
            self._inventory = devices.take_inventory(gpus=True)
        return ",".join(devices.choose_devices(words, self._inventory or possible))

    @property
    def kind(self) -> DeviceKind:
        """The kind of the devices."""
        return kind_of(self.devices)

    def site(self, *, needed: bool = True) -> Site:
        """Return the slots; where none is ``needed``, only check that there can be such devices.

        Raises:
            UsageError: if there is no such device, or options contradict each other.
            DeviceError: if GPUs are asked for and cannot be listed.
        """
        options = self.options
        if not needed:
            devices.choose_devices(self.devices, devices.possible_inventory(self.devices))
            return Site([], "cpu")
        gpus = devices.wants_gpus(self.devices)
        inventory = self._inventory or devices.take_inventory(gpus=gpus)
        chosen = devices.choose_devices(self.devices, inventory)
        if options.devices == "cpu" and options.jobs_per_device is not None:
            raise UsageError("--jobs-per-device is for GPUs; --jobs sets how many cells share the CPU")
        if chosen != ["cpu"] and options.jobs:
            raise UsageError("--jobs is for the CPU; --jobs-per-device sets how many cells share a GPU")
        if options.jobs == 0:
            if len(chosen) > 1:
                ways = f"name one of {', '.join(chosen)} with --devices"
                raise UsageError(f"--jobs 0 runs in this process, on one device; {ways}")
            if options.max_memory is not None:
                raise UsageError(
                    "--max-memory needs a worker process that can be stopped; leave --jobs 0 out"
                )
            return Site([], chosen[0])
        slots = devices.device_slots(
            chosen,
            inventory,
            jobs=max(1, inventory.cpus // self.threads) if options.jobs is None else options.jobs,
            jobs_per_device=options.jobs_per_device or 1,
            threads=self.threads,
        )
        return Site(slots, slots[0].device, local_executor(slots, **options.limits))


@dataclass
class DaskMachines:
    """The machines of a Dask cluster; connected when needed, for as long as ``stack`` is open."""

    executor: ExecutorOptions
    options: DeviceOptions
    threads: int
    stack: ExitStack

    @property
    def kind(self) -> DeviceKind:
        """The kind of device of ``--devices``; ``auto`` asks the cluster; raises as `site`."""
        words = self.options.devices.strip()
        return "cpu" if words == "cpu" else "cuda" if words == "cuda" else self._cluster.device

    @cached_property
    def _cluster(self) -> Cluster:
        """Connect to the cluster, and return it."""
        from bench.execution.dask_cluster import open_cluster

        patience = _PATIENCE if self.executor.patience is None else self.executor.patience
        address, note = self.executor.scheduler or "", partial(warn, kind="note")
        opening = open_cluster(address, device=self.options.devices, patience=patience, report=note)
        return self.stack.enter_context(opening)

    def site(self, *, needed: bool = True) -> Site:
        """Return the slots of the workers, if any is ``needed``.

        Raises:
            UsageError: if there is no scheduler, or no worker with such devices.
            WorkerError: if no Dask worker connects within the patience.
        """
        if not needed:
            return Site([], "cpu")
        from bench.execution.dask_client import dask_executor
        from bench.execution.dask_worker import GPU

        cluster, options = self._cluster, self.options
        if cluster.device == "cpu" and any(facts.slots(GPU) for facts in cluster.workers):
            warn("the cluster has GPUs, but this run is on CPUs; --devices cuda uses the GPUs", "note")
        slots = cluster.slots(self.threads)
        return Site(slots, slots[0].device, dask_executor(cluster, threads=self.threads, **options.limits))


@contextmanager
def machines(
    executor: ExecutorOptions, options: DeviceOptions, threads: int
) -> Iterator[LocalMachine | DaskMachines]:
    """Yield the machines of a run; a `UsageError` if options contradict each other."""
    if executor.executor == "local":
        for name, given in (("--scheduler", executor.scheduler), ("--patience", executor.patience)):
            if given is not None:
                raise UsageError(
                    f"{name} has no effect without --executor dask; add this option, or leave {name} out"
                )
        yield LocalMachine(options, threads)
        return
    if not executor.scheduler:
        raise UsageError(
            "--executor dask needs --scheduler ADDRESS, such as tcp://host:8786, "
            "which `dask scheduler` prints when it starts"
        )
    for name, value in (("--jobs", options.jobs), ("--jobs-per-device", options.jobs_per_device)):
        if value is not None:
            raise UsageError(
                f"{name} is for this machine; with --executor dask, each worker declares its slots: "
                'dask worker ADDRESS --nthreads 1 --resources "GPU=1"'
            )
    with ExitStack() as stack:
        yield DaskMachines(executor, options, threads, stack)


def kind_of(device: str) -> DeviceKind:
    """Return the kind of a device that torch calls ``cpu`` or such as ``cuda:0``."""
    return "cpu" if device == "cpu" else "cuda"
