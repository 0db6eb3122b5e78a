"""What a Dask worker is and has, asked of it before it gets any work, and what is wrong with it."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import bench

Device = Literal["cpu", "cuda"]

GPU: Final = "GPU"
CELL: Final = "cell"
"""Names of the worker resources that are slots."""

_JOBS: Final = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", "OAR_JOB_ID")
"""Variables of batch systems, which may number the GPUs of each job anew: then equal names mean nothing."""

_CODE: Final = {".py", ".yaml"}
_HOUSE: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Facts:
    """What a Dask worker says of itself.

    Attributes:
        address: where the scheduler knows it.
        host: name of its machine.
        python: version, such as ``3.11``.
        version: of this project.
        code: digest of this project's files on its disk.
        loaded: digest of the files of this package when the worker loaded them.
        threads: of the worker: how many tasks it runs at once.
        resources: declared when it was started.
        visible: its ``CUDA_VISIBLE_DEVICES``; None where it is not set.
        job: of the batch system that started it; empty for none.
    """

    address: str
    host: str
    python: str
    version: str
    code: str
    loaded: str
    threads: int
    resources: Mapping[str, float]
    visible: str | None
    job: str

    def slots(self, resource: str | None) -> int:
        """Return how many tasks it runs at once if each takes one of ``resource`` (None: one thread)."""
        return self.threads if resource is None else int(self.resources.get(resource, 0))

    def devices(self) -> list[str]:
        """Return the GPUs that its slots take, by the names that its machine gives them."""
        count = self.slots(GPU)
        if self.visible is None:
            return [str(index) for index in range(count)]
        return [name.strip() for name in self.visible.split(",") if name.strip()][:count]


def describe(dask_worker: Any) -> dict[str, Any]:
    """Return the fields of `Facts`; runs inside a Dask worker, which passes itself."""
    return {
        "address": dask_worker.address,
        "host": socket.gethostname(),
        "python": _python(),
        "version": bench.__version__,
        "code": code_digest(),
        "loaded": LOADED,
        "threads": int(dask_worker.state.nthreads),
        "resources": dict(dask_worker.state.total_resources),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "job": next((os.environ[name] for name in _JOBS if os.environ.get(name)), ""),
    }


def problem(facts: Facts) -> str | None:
    """Say in one sentence why a worker cannot run what this process plans; None if it can."""
    who = f"the Dask worker {facts.address} on {facts.host}"
    if facts.python != _python():
        return (
            f"{who} runs Python {facts.python}, but this is Python {_python()}; "
            "use the same environment for the scheduler, the workers and this command"
        )
    if facts.version != bench.__version__:
        return (
            f"{who} has version {facts.version} of this project, but this is {bench.__version__}; "
            "install the same version for the workers and start them anew"
        )
    if facts.code != code_digest():
        return (
            f"{who} has version {facts.version} of this project as this command, but some files differ; "
            "bring its checkout to the same state and start it anew"
        )
    if facts.loaded != LOADED:
        return f"{who} was started before the last change of this project; start it anew"
    if facts.visible is not None and len(facts.devices()) < facts.slots(GPU):
        return (
            f"{who} declares GPU={facts.slots(GPU)} but sees only {len(facts.devices())} "
            f"(CUDA_VISIBLE_DEVICES={facts.visible}); declare one GPU for each that it sees"
        )
    return None


def shared_device(known: Iterable[Facts], new: Facts) -> str | None:
    """Say in one sentence that two workers would run on the same GPU; None if they do not."""
    for other in known:
        common = set(other.devices()) & set(new.devices())
        same_machine = (other.host, other.job) == (new.host, new.job)
        if same_machine and other.address != new.address and common:
            return (
                f"the Dask workers {other.address} and {new.address} on {new.host} would both use GPU "
                f"{min(common)}; start one worker per GPU, each with its own CUDA_VISIBLE_DEVICES"
            )
    return None


def choose_resource(wanted: str, workers: Iterable[Facts]) -> tuple[Device, str | None]:
    """Return the kind of device to use and the resource that counts slots (None: threads).

    Args:
        wanted: ``auto``, ``cpu`` or ``cuda``.
        workers: those that are there; with ``auto`` one that declares ``GPU`` makes all run on GPUs.
    """
    declared = {name for facts in workers for name, amount in facts.resources.items() if amount >= 1}
    if wanted == "cuda" or (wanted == "auto" and GPU in declared):
        return "cuda", GPU
    return "cpu", CELL if CELL in declared else None


def code_digest() -> str:
    """Return the digest of all code and settings of this project as they are on disk now."""
    digest = hashlib.sha256()
    for name, path in _files():
        digest.update(f"{name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files() -> list[tuple[str, Path]]:
    """Return the project's files by names that do not depend on where or how it is installed."""
    from bench.registry.sources import folder_of

    rooms = {"bench": _HOUSE, "methods": folder_of("methods"), "datasets": folder_of("datasets")}
    found = [
        (f"{room}/{path.relative_to(folder).as_posix()}", path)
        for room, folder in rooms.items()
        for path in folder.rglob("*")
        if path.suffix in _CODE and not path.relative_to(folder).parts[0].startswith("installed_")
    ]
    return sorted(found)


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _execution_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted((_HOUSE / "execution").rglob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


LOADED: Final = _execution_digest()
"""A worker that was started long ago still runs what it loaded then."""
