"""A real Dask scheduler and real workers on this machine, as processes that tests may kill."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.execution.watching import wait_until

ROOT = Path(__file__).resolve().parents[2]


class DaskProcesses:
    """A scheduler and its workers; all end with the `with` block of `dask_processes`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        words = ("--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
        self.scheduler = self._start("scheduler", "dask_scheduler", *words)
        assert wait_until(lambda: _is_open(port) or self.scheduler.poll() is not None)

    def worker(
        self,
        name: str,
        *words: str,
        nanny: bool = False,
        environment: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        """Start a worker; without a nanny, its process is the worker itself."""
        scratch = self._folder / f"scratch-{name}"
        usual = ("--host", "127.0.0.1", "--no-dashboard", "--nthreads", "1", "--local-directory", scratch)
        named = (self.address, "--name", name, "--nanny" if nanny else "--no-nanny", *usual)
        started = self._start(name, "dask_worker", *named, *words, environment=environment, cwd=cwd)
        self.workers[name] = started

    def keep(self, count: int) -> None:
        """Start workers until so many are alive, and wait until the scheduler has registered all."""
        while sum(process.poll() is None for process in self.workers.values()) < count:
            self.worker(f"worker{len(self.workers)}")
        self._await("Register worker", len(self.workers))

    def drop(self, name: str) -> None:
        """Kill a worker and its children, and wait until the scheduler has removed it."""
        before = self.log("scheduler").count("Remove worker")
        _kill_all(self.workers[name])
        self._await("Remove worker", before + 1)

    def _await(self, words: str, count: int) -> None:
        assert wait_until(lambda: self.log("scheduler").count(words) >= count)

    def log(self, name: str) -> str:
        """Return what a process has printed."""
        return (self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Kill all processes and their children."""
        for process in self._processes:
            _kill_all(process)

    def _start(
        self,
        name: str,
        module: str,
        *words: object,
        environment: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> subprocess.Popen[bytes]:
        settings = {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "DASK_LOGGING__DISTRIBUTED": "info",
            # With the default intervals an idle cluster keeps a core busy.
            "DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL": "10s",
            "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
            "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
            **(environment or {}),
        }
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *map(str, words)],
                cwd=cwd,
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._processes.append(process)
        return process


@contextmanager
def dask_processes(folder: Path, workers: int = 0) -> Iterator[DaskProcesses]:
    """Run a scheduler with so many workers; their output is in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    processes = DaskProcesses(folder)
    try:
        processes.keep(workers)
        yield processes
    finally:
        processes.stop()


def _is_open(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        return True
    return False


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
    process.wait()
