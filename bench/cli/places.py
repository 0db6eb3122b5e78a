"""Where cells run on this machine and within what limits: the options that say it, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import FiniteRange, grouped
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.execution import Executor, Slot
    from bench.execution.devices import Inventory
    from bench.experiment.grid import DeviceKind


@dataclass(frozen=True)
class Places:
    """Where and within what limits, as typed."""

    devices: str
    jobs: int | None
    jobs_per_device: int | None
    timeout: float | None
    max_memory: int | None
    retries: int


def _size(_context: click.Context, _option: click.Parameter, word: str | None) -> int | None:
    from bench.experiment.run_context import parse_size

    return None if word is None else parse_size(word)


place_options = grouped(
    Places,
    "places",
    click.option(
        "--devices",
        default="cpu",
        show_default=True,
        help="cpu; GPUs such as cuda:0,cuda:1; cuda: every GPU; auto: every GPU, or the CPU without any.",
    ),
    click.option(
        "--jobs",
        default=None,
        type=click.IntRange(0),
        help="Worker processes on the CPU; 0 runs in this process.  [default: processors / threads]",
    ),
    click.option(
        "--jobs-per-device",
        default=None,
        type=click.IntRange(1),
        help="Cells at once on a GPU.  [default: 1]",
    ),
    click.option("--timeout", default=None, type=FiniteRange(0, min_open=True), help="Seconds per cell."),
    click.option(
        "--max-memory",
        default=None,
        metavar="SIZE",
        callback=_size,
        help="Memory that a cell may take in its worker, beyond the libraries: 500M, 4G.",
    ),
    click.option(
        "--retries",
        default=1,
        show_default=True,
        type=click.IntRange(0),
        help="Attempts more for a cell whose worker was killed from outside; never for its own failure.",
    ),
)
"""Adds the options of `Places`; the command gets them as ``places``."""


@dataclass(frozen=True)
class Site:
    """Slots for cells; none if they run in this process.

    Attributes:
        slots: where cells run.
        device: as it is called there: a worker sees its own GPU only.
    """

    slots: list[Slot]
    device: str


@dataclass(frozen=True)
class Resolved:
    """Options that say where, with ``auto`` replaced by the devices that it means on this machine.

    Attributes:
        places: with these devices.
        kind: of all of them.
        inventory: of the machine, where a look was needed.
    """

    places: Places
    kind: DeviceKind
    inventory: Inventory | None = None


def resolve(places: Places) -> Resolved:
    """Return what the options mean here.

    Only ``auto`` takes a look at the machine, a long one only if there may be GPUs; named devices
    are not looked for.

    Raises:
        UsageError: if ``auto`` stands beside what contradicts it.
        DeviceError: if GPUs may be there and cannot be listed.
    """
    from bench.execution.devices import choose_devices, glance, take_inventory

    words = [word.strip() for word in places.devices.split(",")]
    if "auto" not in words:
        return Resolved(places, "cpu" if words == ["cpu"] else "cuda")
    possible = glance(places.devices)
    inventory = take_inventory(gpus=True) if possible.gpus else None
    chosen = choose_devices(places.devices, inventory or possible)
    kind: DeviceKind = "cpu" if chosen == ["cpu"] else "cuda"
    return Resolved(replace(places, devices=",".join(chosen)), kind, inventory)


def survey(places: Places, threads: int, inventory: Inventory | None = None) -> Site:
    """Look at the machine and return what the options mean on it.

    Args:
        places: as typed.
        threads: CPU threads of a cell.
        inventory: of the machine; None to take it.

    Raises:
        UsageError: if there is no such device, or options contradict each other.
        DeviceError: if GPUs are asked for and cannot be listed.
    """
    from bench.execution.devices import choose_devices, device_slots, take_inventory, wants_gpus

    inventory = inventory or take_inventory(gpus=wants_gpus(places.devices))
    devices = choose_devices(places.devices, inventory)
    on_cpu = devices == ["cpu"]
    if places.devices == "cpu" and places.jobs_per_device is not None:
        raise UsageError("--jobs-per-device is for GPUs; --jobs says how many cells run at once on the CPU")
    if not on_cpu and places.jobs:
        raise UsageError("--jobs is for the CPU; --jobs-per-device says how many cells share a GPU")
    if places.jobs == 0:
        return _here(places, devices)
    slots = device_slots(
        devices,
        inventory,
        jobs=max(1, inventory.cpus // threads) if places.jobs is None else places.jobs,
        jobs_per_device=places.jobs_per_device or 1,
        threads=threads,
    )
    return Site(slots, slots[0].device)


def kind_of(device: str) -> DeviceKind:
    """Return the kind of a device that torch calls ``cpu`` or such as ``cuda:0``."""
    return "cpu" if device == "cpu" else "cuda"


def require_possible(places: Places) -> None:
    """Check that there can be such devices, without a look at the machine that takes time.

    Raises:
        UsageError: if there cannot.
    """
    from bench.execution.devices import choose_devices, glance

    choose_devices(places.devices, glance(places.devices))


def executor_for(site: Site, places: Places) -> Executor[Any]:
    """Return what runs cells there."""
    from bench.execution import inline_executor, local_executor
    from bench.execution.grid_runner import hard_limit

    if not site.slots:
        return inline_executor
    return local_executor(
        site.slots,
        timeout=hard_limit(places.timeout),
        max_memory=places.max_memory,
        retries=places.retries,
    )


def _here(places: Places, devices: list[str]) -> Site:
    if len(devices) > 1:
        raise UsageError(
            f"--jobs 0 runs in this process, on one device; name one of {', '.join(devices)} with --devices"
        )
    if places.max_memory is not None:
        raise UsageError("--max-memory needs a worker process that can be stopped; leave --jobs 0 out")
    return Site([], devices[0])
