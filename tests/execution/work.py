"""Work functions for the tests: a worker imports them by name."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any

from bench.execution import report

IMPORTED_IN = os.getpid()


def echo(payload: Any) -> Any:
    return payload


def fault(kind: str) -> Any:
    """Do what the payload names."""
    return _FAULTS[kind]()


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def pid(payload: Any) -> int:
    return os.getpid()


def environment(names: list[str]) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in names}


def speak(payload: Any) -> None:
    print("to stdout", payload)
    sys.stderr.write("to stderr\n")
    os.write(1, b"from C\n")


def count(steps: int) -> int:
    for step in range(steps):
        report(step=step)
        time.sleep(0.12)
    return steps


def begin_and_nap(path: str) -> None:
    """Say who works here in a file, then sleep for long."""
    with open(path, "a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(60)


def nap_with_child(path: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{child.pid}\n")
    time.sleep(60)


def _raise() -> None:
    raise ValueError("a wrong value")


def _endless_c_loop() -> None:
    # sum() over a C iterator never gives the interpreter back to Python code.
    import itertools

    ctypes.pythonapi.PyObject_Length  # noqa: B018
    sum(itertools.repeat(0))


def _endless_python_loop() -> None:
    while True:
        pass


def _deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def _segfault() -> None:
    ctypes.string_at(0)


_FAULTS = {
    "ok": lambda: "ok",
    "raise": _raise,
    "memory": lambda: bytearray(1 << 60),
    "exit 0": lambda: os._exit(0),
    "exit 3": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit(4),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "segfault": _segfault,
    "c loop": _endless_c_loop,
    "python loop": _endless_python_loop,
    "deaf": _deaf,
    "unpicklable": lambda: lambda: None,
}
