"""Devices of a machine, and the slots that they provide."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.contract.errors import BenchError, UsageError
from bench.execution.tasks import Slot

_LIST: Final = """
import json, torch
found = []
for index in range(torch.cuda.device_count()):
    properties = torch.cuda.get_device_properties(index)
    free = properties.total_memory
    try:
        free = torch.cuda.mem_get_info(index)[0]
    except RuntimeError:  # another process uses it exclusively
        pass
    found.append([properties.name, free])
print(json.dumps(found))
"""
_DRIVERS: Final = ("/proc/driver/nvidia/gpus", "/dev/kfd", "/dev/dxg")
"""Paths on Linux: a folder with an entry for each NVIDIA GPU; files for GPUs of AMD and of Windows hosts."""

_DIGITS: Final = 3  # of the largest index of a GPU
_LIST_SECONDS: Final = 120.0
_LETTERS: Final = 300  # of PyTorch's error in messages


class DeviceError(BenchError):
    """The GPUs of this machine cannot be listed."""


@dataclass(frozen=True)
class Gpu:
    """A GPU: its index in this process, its name, and its free memory in bytes."""

    index: int
    name: str
    memory: int

    @property
    def device(self) -> str:
        """Return its name in options."""
        return f"cuda:{self.index}"


@dataclass(frozen=True)
class Inventory:
    """Processors that this process may use, and GPUs."""

    cpus: int
    gpus: tuple[Gpu, ...] = ()

    @property
    def devices(self) -> list[str]:
        """Return the names of all devices."""
        return ["cpu", *(gpu.device for gpu in self.gpus)]


def take_inventory(*, gpus: bool) -> Inventory:
    """Return the inventory of this machine within the limits of its container and ``CUDA_VISIBLE_DEVICES``.

    With ``gpus``, a separate process lists the GPUs of PyTorch, as the workers will; that takes some seconds.

    Raises:
        DeviceError: if PyTorch cannot list them.
    """
    from joblib import cpu_count  # includes the limits of containers

    return Inventory(max(1, int(cpu_count())), _find_gpus() if gpus and _torch_has_gpus() else ())


def possible_inventory(words: str) -> Inventory:
    """Return the largest inventory that the files of the system admit, without PyTorch.

    If they do not show the number of GPUs, all that the ``words`` of ``--devices`` name are possible.
    """
    most = _most_gpus()
    if most is None:
        named = [word.partition(":")[2] for word in _split(words) if word.startswith("cuda:")]
        numbers = [int(number) for number in named if number.isdecimal() and len(number) <= _DIGITS]
        most = 1 + max(numbers, default=0)
    return Inventory(1, tuple(Gpu(index, "", 0) for index in range(most)))


def wants_gpus(words: str) -> bool:
    """Return whether GPUs must be listed for the words of ``--devices``."""
    return any(word != "cpu" for word in _split(words))


def choose_devices(words: str, inventory: Inventory) -> list[str]:
    """Return the devices of a text such as ``cuda:0,cuda:2``, each once.

    The words, separated by commas, are ``cpu``, names of GPUs, ``cuda`` for all GPUs, and ``auto`` for all
    GPUs, or the CPU if there are none.

    Raises:
        UsageError: if there is no such device, or CPU and GPUs are mixed.
    """
    known = inventory.devices
    meaning = {"auto": known[1:] or ["cpu"], "cuda": known[1:], **{device: [device] for device in known}}
    chosen: dict[str, None] = {}
    for word in _split(words):
        if not meaning.get(word):
            raise UsageError(f"there is no device {word!r} here; there are: {', '.join(known)}")
        chosen |= dict.fromkeys(meaning[word])
    if "cpu" in chosen and len(chosen) > 1:
        raise UsageError(
            f"--devices {words}: a run is either on the CPU or on GPUs, because a cell's last digits depend "
            "on which; leave one out"
        )
    return list(chosen)


def device_slots(
    devices: Sequence[str], inventory: Inventory, *, jobs: int, jobs_per_device: int, threads: int
) -> list[Slot]:
    """Return the slots of devices, which alternate so that a few cells use all devices.

    There are ``jobs`` slots on the CPU, or ``jobs_per_device`` on each GPU, with so many ``threads``.
    """
    if list(devices) == ["cpu"]:
        return local_slots(jobs, threads)
    memories = {gpu.device: gpu.memory for gpu in inventory.gpus}
    each = [local_slots(jobs_per_device, threads, device, memories[device]) for device in devices]
    return [slot for row in zip(*each, strict=True) for slot in row]


def _split(words: str) -> list[str]:
    return [word.strip() for word in words.split(",")]


def _torch_has_gpus() -> bool:
    """Return whether PyTorch is installed and built for GPUs."""
    from importlib import metadata  # slow to load; workers do not need it

    try:
        return not metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return False


def _most_gpus() -> int | None:
    """Return the largest possible number of GPUs; None if it is unknown."""
    if not _torch_has_gpus():
        return 0
    nvidia, *others = (Path(path) for path in _DRIVERS)
    if sys.platform != "linux" or any(path.exists() for path in others):
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip()])
    return len(list(nvidia.iterdir())) if nvidia.is_dir() else 0


def _find_gpus() -> tuple[Gpu, ...]:
    environment = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **os.environ}  # as in the workers
    options: Any = {"capture_output": True, "text": True, "timeout": _LIST_SECONDS, "check": True}
    try:
        done = subprocess.run([sys.executable, "-c", _LIST], env=environment, **options)  # noqa: S603
        found = json.loads(done.stdout.splitlines()[-1])
        return tuple(Gpu(index, name, memory) for index, (name, memory) in enumerate(found))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        lines = str(getattr(error, "stderr", None) or error).strip().splitlines() or [""]
        raise DeviceError(
            f"PyTorch cannot list the GPUs of this machine: {lines[-1][:_LETTERS]}; "
            "repair its installation, or use --devices cpu"
        ) from error


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
    # With fewer threads on a busy machine, libraries would sum in another order.
    "OMP_DYNAMIC": "FALSE",
    "MKL_DYNAMIC": "FALSE",
    # The order of a set of strings must not differ between workers.
    "PYTHONHASHSEED": "0",
}


def local_slots(n_slots: int, threads: int, device: str = "cpu", memory: int | None = None) -> list[Slot]:
    """Return slots on one device of this machine, each with ``threads`` CPU threads.

    The device is ``cpu``, ``cuda`` or ``cuda:N`` within ``CUDA_VISIBLE_DEVICES``; its ``memory`` is in bytes,
    None for no limit.

    Raises:
        UsageError: if a number is below 1 or the device is of another kind.
    """
    if n_slots < 1 or threads < 1:
        raise UsageError(f"{n_slots} slots with {threads} threads: both must be at least 1")
    usual = inside(device), threads, worker_environment(threads, device), device, memory
    return [Slot(f"{device}/{number}", *usual) for number in range(n_slots)]


def inside(device: str) -> str:
    """Return the torch name of a device in its worker, where no other GPU is visible."""
    return "cpu" if device == "cpu" else "cuda:0"


def worker_environment(threads: int, device: str) -> dict[str, str]:
    """Return the environment variables that limit a worker to its threads and its device.

    Raises:
        UsageError: if the device is neither ``cpu`` nor ``cuda:N``, or is not visible to this process.
    """
    environment = dict.fromkeys(_THREAD_VARIABLES, str(threads)) | _SAME_BYTES
    if device == "cpu":
        return {**environment, "CUDA_VISIBLE_DEVICES": ""}
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number or "0").isdecimal():
        raise UsageError(f"unknown device {device!r}; known are cpu, cuda and cuda:0, cuda:1, ...")
    visible = str(int(number or 0))
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        names = [name.strip() for name in allowed.split(",") if name.strip()]
        if int(visible) >= len(names):
            raise UsageError(
                f"{device} is not among the {len(names)} devices of CUDA_VISIBLE_DEVICES={allowed}"
            )
        visible = names[int(visible)]
    return {
        **environment,
        "CUDA_VISIBLE_DEVICES": visible,
        "CUDA_DEVICE_ORDER": os.environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
        # cuBLAS gives the same bits in every run only with a workspace of fixed size.
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }
