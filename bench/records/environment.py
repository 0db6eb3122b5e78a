"""Collects the environment of a cell: machine, versions, commit, memory, time."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

from bench.records.schema import Environment

LIBRARIES: Final = ("numpy", "scipy", "torch", "scikit-learn")
"""Distributions that numbers depend on; their versions are read without importing them."""

_PROCESS: Final = Path("/proc/self")


def collect(
    started: str,
    seconds: Mapping[str, float],
    device: str,
    source: str,
    command: str,
    peak_device_memory: int | None = None,
) -> Environment:
    """Return the environment of a cell that has just ended in this process.

    ``started`` is a `utc_now`, ``seconds`` are those of its parts, ``source`` is the digest of the method's
    file, ``command`` makes the record again, and ``peak_device_memory`` is in bytes.
    """
    commit, dirty = find_checkout()
    torch = _initialised_torch(device)
    gpu = {} if torch is None else {"gpu": str(torch.cuda.get_device_name(device))}
    return Environment(
        started=started,
        seconds=dict(seconds),
        peak_memory=peak_memory(),
        peak_device_memory=peak_device_memory,
        device=device,
        host={**describe_host(), **gpu},
        versions=dict(describe_versions()),
        commit=commit,
        dirty=dirty,
        source=source,
        command=command,
    )


def utc_now() -> str:
    """Return the time now in UTC, ISO 8601 to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


@lru_cache(maxsize=1)
def describe_host() -> Mapping[str, str]:
    """Return name, platform, processor and number of cores of this machine."""
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        model = re.search(r"^model name[^:]*:(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        processor = model[1].strip() if model else processor
    return {
        "name": platform.node(),
        "platform": platform.platform(),
        "processor": processor,
        "cores": str(os.cpu_count() or 0),
    }


@lru_cache(maxsize=1)
def describe_versions() -> Mapping[str, str]:
    """Return the versions of Python and of the installed `LIBRARIES`."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


@lru_cache(maxsize=1)
def find_checkout() -> tuple[str, bool]:
    """Return the commit of the checkout with this file, empty outside one, and whether it has changes."""
    here = Path(__file__).resolve()
    # The repository around an installed copy is another one.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return "", False
    commit = _git(here.parent, "rev-parse", "HEAD")
    changes = _git(here.parent.parent.parent, "status", "--porcelain")
    return (commit or "").strip(), bool(changes)


def peak_memory() -> int | None:
    """Return the largest resident size of this process in bytes, on Linux since `reset_peak_memory`.

    There `getrusage` would include the memory of the parent at the fork.
    """
    with suppress(OSError):
        if size := re.search(r"^VmHWM:\s*(\d+)", (_PROCESS / "status").read_text(), re.MULTILINE):
            return int(size[1]) * 1024
    try:
        import resource
    except ImportError:  # pragma: no cover (Windows)
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(largest) if sys.platform == "darwin" else int(largest) * 1024


def device_peak_memory(device: str) -> int | None:
    """Return the largest allocation on a GPU in bytes, since `reset_peak_memory`; None without one."""
    torch = _initialised_torch(device)
    return None if torch is None else int(torch.cuda.max_memory_allocated(device))


class DeviceMemory(NamedTuple):
    """Bytes of a GPU: peak and present memory of this process, free memory, all memory."""

    peak: int
    reserved: int
    free: int
    total: int


def device_memory(device: str) -> DeviceMemory | None:
    """Return the memory of a GPU; None without one, or after a fault of it."""
    torch = _initialised_torch(device)
    if torch is None:
        return None
    try:
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError:  # after a fault inside a kernel
        return None
    peak, reserved = torch.cuda.max_memory_allocated(device), torch.cuda.memory_reserved(device)
    return DeviceMemory(int(peak), int(reserved), int(free), int(total))


def reset_peak_memory(device: str = "cpu") -> None:
    """Reset the peaks, so that they are those of one cell; that of the process on Linux only."""
    with suppress(OSError):
        (_PROCESS / "clear_refs").write_text("5")
    torch = _initialised_torch(device)
    if torch is not None:
        torch.cuda.reset_peak_memory_stats(device)


def _initialised_torch(device: str) -> ModuleType | None:
    """Return torch if this process has used a GPU with it, without loading or initialising it."""
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda") or not torch.cuda.is_initialized():
        return None
    return torch


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, or None if it fails or is not installed."""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            # With optional locks, `git status` can disturb a git command of the user.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
