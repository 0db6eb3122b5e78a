"""Work functions of the tests; a worker imports them by name."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.execution.worker import importing, report, serve
from tests.execution.watching import wait_until

PRELOAD = ("numpy",)


def echo(payload: Any) -> Any:
    return payload


def call(payload: tuple[str, Any]) -> Any:
    """Call another function of this module, given by its name."""
    name, argument = payload
    return globals()[name](argument)


def pid(payload: Any) -> int:
    return os.getpid()


def leave_thread(payload: Any) -> int:
    """Start a thread that goes on after the task; returns the process."""
    threading.Thread(target=time.sleep, args=(60.0,), daemon=True).start()
    return os.getpid()


def leave_umask(payload: Any) -> int:
    """Change the permissions of new files for good; returns the process."""
    os.umask(0o777)
    return os.getpid()


def leave_closed(payload: Any) -> int:
    """Close the standard output, whose number the next file gets; returns the process."""
    os.close(1)
    return os.getpid()


def leave_alarm(payload: Any) -> int:
    """Set an alarm that kills the process; returns the process."""
    signal.alarm(60)
    return os.getpid()


def leave_folder(payload: Any) -> int:
    """Change the working folder; returns the process."""
    os.chdir("/")
    return os.getpid()


def leave_child(path: str) -> int:
    """Start a child process in another session whose parent has ended, note its id; return this process."""
    program = f"""
import os, pathlib, time
if os.fork() == 0:
    os.setsid()
    pathlib.Path({path!r}).write_text(str(os.getpid()))
    time.sleep(60)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert wait_until(lambda: Path(path).exists() and Path(path).read_text() != "")
    return os.getpid()


def environment(names: list[str]) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in names}


def wait_for_file(path: str) -> str:
    """Note the id of this process in PATH.pids, wait until PATH has content, and return it."""
    _note(path, os.getpid())
    assert wait_until(lambda: Path(path).exists() and bool(Path(path).read_text(encoding="ascii")))
    return Path(path).read_text(encoding="ascii")


def wait_with_child(path: str) -> str:
    """Do the same with a child process, whose id is noted, too."""
    _note(path, subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid)
    return wait_for_file(path)


def _note(path: str, number: int) -> None:
    with Path(f"{path}.pids").open("a", encoding="ascii") as file:
        file.write(f"{number}\n")


def rendezvous(payload: tuple[str, str, int]) -> tuple[str | None, bool]:
    """Return which GPU is visible here, and whether so many tasks ran at once."""
    folder, name, count = payload
    (Path(folder) / name).touch()
    met = wait_until(lambda: len(list(Path(folder).iterdir())) >= count)
    return os.environ.get("CUDA_VISIBLE_DEVICES"), met


def synthesise(payload: Any) -> None:
    print("to stdout", payload)
    sys.stderr.write("to stderr\n")
    os.write(1, b"from C\n")


def count(steps: int) -> int:
    for step in range(steps):
        report(step=step)
        time.sleep(0.12)
    return steps


def threads_of_numpy(payload: Any) -> set[int]:
    """Return how many threads each numerical library of this process uses."""
    import numpy  # noqa: F401
    from threadpoolctl import threadpool_info

    return {library["num_threads"] for library in threadpool_info()}


def session(payload: Any) -> list[bool]:
    """Return whether this process leads a session, and ignores Ctrl-C."""
    return [os.getsid(0) == os.getpid(), signal.getsignal(signal.SIGINT) is signal.SIG_IGN]


def inherited(payload: Any) -> int:
    """Return how many sockets are open in a program that this process starts."""
    program = "import os; print(sum('socket' in os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.islink(f'/proc/self/fd/{n}')))"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return int(done.stdout or -1)


def send_raw(content: bytes) -> None:
    """Write bytes that are no message into the connection to the parent."""
    from bench.execution import worker

    if content:
        assert worker._parent is not None
        worker._parent._socket.sendall(content)
        time.sleep(60)


def wrong_type(payload: Any) -> dict[str, int]:
    return "text"  # type: ignore[return-value]


def large(kind: str) -> bytes:
    """Return many bytes, or be killed meanwhile."""
    if kind == "killed":
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return bytes(400_000_000)
    return bytes(5_000_000)


def fork_and_exit(payload: Any) -> None:
    if os.fork() == 0:
        time.sleep(30)
    os._exit(3)


def serve_here(connection: socket.socket, output: str) -> None:
    """Run a worker that prints into a file, until it is idle for a while."""
    handle = os.open(output, os.O_RDWR | os.O_CREAT)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    serve(connection.detach())


class Unloadable:
    """A work function, or a value, that only the process that made it can unpickle."""

    def __reduce__(self) -> tuple[Callable[[int], Unloadable], tuple[int]]:
        return _load_only_in, (os.getpid(),)

    def __call__(self, payload: Any) -> Any:
        return payload


def _load_only_in(home: int) -> Unloadable:
    if os.getpid() != home:
        raise RuntimeError("this work cannot be loaded here")
    return Unloadable()


def unreadable(payload: Any) -> Unloadable:
    return Unloadable()


def break_gpu_if(broken: bool) -> int:
    """Break the GPU of this worker, or not; returns the process."""

    def synchronize() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    cuda = SimpleNamespace(is_initialized=lambda: broken, synchronize=synchronize)
    sys.modules["torch"] = SimpleNamespace(cuda=cuda)  # type: ignore[assignment]
    return os.getpid()


def fault(kind: str) -> Any:
    """Cause the fault that the payload names."""
    return FAULTS[kind]()


def fault_and_note(payload: tuple[str, str]) -> Any:
    """Note an attempt in a file, then cause the fault; ``once ...`` at the first attempt only."""
    path, kind = payload
    with Path(path).open("a", encoding="ascii") as file:
        file.write("x")
    if kind.startswith("once ") and Path(path).read_text(encoding="ascii") != "x":
        return "ok"
    return fault(kind.removeprefix("once "))


def import_plugin(kind: str) -> str:
    """Cause the fault while a plug-in is imported; ``then ...`` after that."""
    if kind == "ok":
        return kind
    with importing("the method broken"):
        if kind in ("slow", "then c loop"):
            time.sleep(0.6)
        else:
            fault(kind)
    if kind == "then c loop":
        fault("c loop")
    return "ok"


def _raise() -> None:
    raise ValueError("a wrong value")


def _endless_c_loop() -> None:
    # The sum of a C iterator never releases the interpreter, not even for a signal's handler.
    sum(itertools.repeat(0))


def _endless_python_loop() -> None:
    while True:
        pass


def _ignores_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def _segfault() -> None:
    ctypes.string_at(0)


FAULTS: dict[str, Callable[[], Any]] = {
    "ok": lambda: "ok",
    "raise": _raise,
    "memory": lambda: bytearray(1 << 60),
    "exit 3": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit(4),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "segfault": _segfault,
    "c loop": _endless_c_loop,
    "python loop": _endless_python_loop,
    "ignores signals": _ignores_signals,
    "unpicklable": lambda: lambda: None,
    "fork": os.fork,
}


def memory_fault(kind: str) -> Any:
    """Use memory as the payload names it; return the process otherwise."""
    return MEMORY_FAULTS[kind]()


def _small_pieces() -> None:
    pieces: list[str] = []
    while True:
        pieces.append(str(len(pieces)))


def _at_once() -> None:
    import numpy as np

    np.ones(1 << 30)


def _shared() -> None:
    """Take shared memory, which the system's limit does not count."""
    with mmap.mmap(-1, 4 << 30) as pages:
        for start in range(0, len(pages), 1 << 20):
            pages[start : start + (1 << 20)] = bytes(1 << 20)
            time.sleep(0.001)
        time.sleep(60)


def _by_child() -> None:
    program = "import time; x = bytearray(180 << 20); time.sleep(60)"
    for _ in range(3):
        subprocess.Popen([sys.executable, "-c", program])
    time.sleep(60)


def _leave_behind() -> int:
    LEFT.append(bytearray(100 << 20))
    return os.getpid()


LEFT: list[bytearray] = []

MEMORY_FAULTS: dict[str, Callable[[], Any]] = {
    "sound": os.getpid,
    "last": os.getpid,
    "small pieces": _small_pieces,
    "at once": _at_once,
    "shared": _shared,
    "by child": _by_child,
    "left behind": _leave_behind,
}
