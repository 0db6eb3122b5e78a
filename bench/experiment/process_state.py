"""State of this process outside of Python's modules, which code of a plug-in may change and leave behind.

A pending alarm would kill the next cell of the process; a lower limit or another umask would reach it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

_LIMITS: Final = {name: number for name, number in vars(resource).items() if name.startswith("RLIMIT_")}
_TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_OUTPUTS: Final = (1, 2)


def process_state() -> dict[str, Any]:
    """Return the state that a plug-in may change: equal before and after code that changes nothing of it.

    Timers and the handlers of signals only in the main thread, which alone may set them.
    """
    state: dict[str, Any] = {f"limit {name}": resource.getrlimit(number) for name, number in _LIMITS.items()}
    state |= {f"output {number}": _identity(number) for number in _OUTPUTS}
    state["folder"], state["mask"] = _identity("."), _file_mask()
    state["blocked signals"] = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if sys.platform == "linux":
        state["root"], state["users"] = _identity("/"), (os.getresuid(), os.getresgid())
    if threading.current_thread() is threading.main_thread():
        state |= {f"signal {number}": signal.getsignal(number) for number in signal.valid_signals()}
        state |= {f"timer {which}": any(signal.getitimer(which)) for which in _TIMERS}
    return state


def restore_process_state(stack: ExitStack) -> None:
    """Restore at the end what `process_state` returns, as far as the system allows that."""
    for number in _LIMITS.values():
        _keep(stack, partial(resource.getrlimit, number), partial(resource.setrlimit, number))
    _keep(stack, _file_mask, os.umask)
    for number in _OUTPUTS:
        _keep_output(stack, number)
    _keep(stack, sys.getprofile, sys.setprofile)
    _keep(stack, sys.gettrace, sys.settrace)
    _keep(
        stack,
        partial(signal.pthread_sigmask, signal.SIG_BLOCK, ()),
        partial(signal.pthread_sigmask, signal.SIG_SETMASK),
    )
    if threading.current_thread() is threading.main_thread():
        for number in signal.valid_signals():
            if signal.getsignal(number) is not None:
                _keep(stack, partial(signal.getsignal, number), partial(signal.signal, number))
        for which in _TIMERS:  # last in, first out: before the handlers
            if not any(signal.getitimer(which)):
                stack.callback(signal.setitimer, which, 0.0)


def _keep(stack: ExitStack, read: Callable[[], Any], write: Callable[[Any], Any]) -> None:
    """Write a value back at the end if it differs, unless the system refuses."""
    value = read()

    def restore() -> None:
        with suppress(OSError, ValueError):  # a limit may be lowered for good
            if read() != value:
                write(value)

    stack.callback(restore)


def _keep_output(stack: ExitStack, number: int) -> None:
    """Restore the file of a standard stream at the end: the next file that is opened gets a closed one's."""
    with suppress(OSError):
        copy = os.dup(number)
        stack.callback(_close, copy)
        _keep(stack, partial(_identity, number), lambda _: os.dup2(copy, number))


def _close(handle: int) -> None:
    with suppress(OSError):
        os.close(handle)


def _identity(path: str | int) -> tuple[int, int] | None:
    """Return what identifies a file, by its path or its number; None if it is absent or closed."""
    with suppress(OSError):
        status = os.stat(path)  # noqa: PTH116 (of a number, too)
        return status.st_dev, status.st_ino
    return None


def _file_mask() -> int:
    """Return the mask of new files' permissions; where the system does not show it, by setting it twice."""
    with suppress(OSError, ValueError, IndexError):
        text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(text.partition("\nUmask:")[2].split()[0], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
