"""Slots of this machine: which device, how many threads, and the environment that pins a worker to them."""

from __future__ import annotations

import os
from typing import Final

from bench.contract.errors import UsageError
from bench.execution.tasks import Slot

_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)

_SAME_BYTES: Final = {
    # Libraries that use fewer threads on a busy machine would add up in another order.
    "OMP_DYNAMIC": "FALSE",
    "MKL_DYNAMIC": "FALSE",
    # The order of a set of strings must not differ between workers.
    "PYTHONHASHSEED": "0",
}


def local_slots(n_slots: int, threads: int, device: str = "cpu", memory: int | None = None) -> list[Slot]:
    """Return slots on one device of this machine.

    Args:
        n_slots: how many tasks run on the device at once.
        threads: CPU threads of each.
        device: ``cpu``, ``cuda`` or ``cuda:N``, counted as the user sees them; inside its worker a GPU is
            always ``cuda:0``, because it sees no other.
        memory: of the device, in bytes; None where tasks need not fit.

    Raises:
        UsageError: if a number is below 1 or the device is of another kind.
    """
    if n_slots < 1 or threads < 1:
        raise UsageError(f"{n_slots} slots with {threads} threads: both must be at least 1")
    environment = worker_environment(threads, device)
    inside = "cpu" if device == "cpu" else "cuda:0"
    return [
        Slot(f"{device}/{number}", inside, threads, environment, device, memory) for number in range(n_slots)
    ]


def worker_environment(threads: int, device: str) -> dict[str, str]:
    """Return the variables that keep a worker to its threads and its device.

    Raises:
        UsageError: if the device is neither ``cpu`` nor ``cuda:N``.
    """
    environment = dict.fromkeys(_THREAD_VARIABLES, str(threads)) | _SAME_BYTES
    environment["CUDA_VISIBLE_DEVICES"] = _visible(device)
    if device != "cpu":
        environment["CUDA_DEVICE_ORDER"] = os.environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        # cuBLAS gives the same bits from run to run only with a workspace of fixed size.
        environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    return environment


def _visible(device: str) -> str:
    """Return the value of ``CUDA_VISIBLE_DEVICES`` for a device, within what this process may see."""
    if device == "cpu":
        return ""
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number or "0").isdecimal():
        raise UsageError(f"unknown device {device!r}; known are cpu, cuda and cuda:0, cuda:1, ...")
    index = int(number or 0)
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return str(index)
    names = [name.strip() for name in allowed.split(",") if name.strip()]
    if index >= len(names):
        raise UsageError(f"{device} is not among the {len(names)} devices of CUDA_VISIBLE_DEVICES={allowed}")
    return names[index]
