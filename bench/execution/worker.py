"""Child side of a worker: the code of a slot's process, and its messages to the parent.

Messages are MessagePack with a checked schema, after their length. The value of a work function is decoded as
the declared return type; the parent unpickles no message.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import pickle
import select
import signal
import socket
import struct
import sys
import threading
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from io import TextIOWrapper
from typing import Any, Final

import msgspec

from bench.execution.memory import MemoryLimit, leave_gpu
from bench.execution.tasks import ImportFailed, Loss, loss_of
from bench.experiment.process_state import process_state
from bench.experiment.sizes import memory_limit_text

_PAUSE: Final = 0.1  # seconds between two progress messages; those in between are dropped
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_LENGTH: Final = struct.Struct(">Q")
_LARGEST: Final = 1 << 34  # bytes of the longest message


class Ready(msgspec.Struct, tag=True):
    """The work function is loaded; ``resident`` is the memory of the process, 0 without a limit."""

    resident: int


class TaskStarted(msgspec.Struct, tag=True):
    """The task has begun."""


class TaskProgress(msgspec.Struct, tag=True):
    """Values that the work function gave to `report`."""

    values: dict[str, Any]


class Importing(msgspec.Struct, tag=True):
    """The task begins to import a plug-in, or, with an empty name, has imported it."""

    name: str


class Finished(msgspec.Struct, tag=True):
    """The end of a task: the encoded value of the work function, or its loss.

    The process is ``unusable`` if it cannot run another task: it holds too much memory, a thread or a child
    process of the task still runs, `process_state` has changed, or its GPU has failed.
    """

    value: bytes | None
    lost: Loss | None
    seconds: float
    unusable: bool = False


Message = Ready | TaskStarted | TaskProgress | Importing | Finished
_MESSAGES: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)


class Setup(typing.NamedTuple):
    """First message to a worker: the pickled work function, and limits, of which None is no limit.

    A task may take ``max_memory`` bytes beyond the memory of the process after the import of the function's
    module; without a task for ``idle_seconds`` the process ends.
    """

    work: bytes
    max_memory: int | None
    idle_seconds: float | None


def encode_value(value: Any) -> bytes:
    """Encode the value of a work function.

    Raises:
        TypeError: if it has other parts than plain values, bytes, dataclasses and structs.
    """
    return msgspec.msgpack.encode(value, enc_hook=_plain)


def decode_value(content: bytes, work: Callable[[Any], Any]) -> Any:
    """Decode the value of a work function as its declared return type.

    Raises:
        msgspec.DecodeError: if the content is not such a value.
    """
    hints = typing.get_type_hints(work) if hasattr(work, "__annotations__") else {}
    return msgspec.msgpack.decode(content, type=hints.get("return", Any))


def _plain(value: Any) -> Any:
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a value of type {type(value).__name__} cannot be sent between processes")


def framed(content: bytes) -> bytes:
    """Return a message after its length."""
    return _LENGTH.pack(len(content)) + content


def unframed(buffer: bytearray) -> Iterator[Message]:
    """Remove the complete messages from a buffer, and yield them.

    Raises:
        msgspec.DecodeError: if one is no message.
    """
    while len(buffer) >= _LENGTH.size:
        end = _LENGTH.size + _LENGTH.unpack_from(buffer)[0]
        if end > _LARGEST:
            raise msgspec.DecodeError(f"a message of {end} bytes")
        if len(buffer) < end:
            return
        content = bytes(buffer[_LENGTH.size : end])
        del buffer[:end]
        yield _MESSAGES.decode(content)


class Reporter:
    """Receiver of `report`: the parent of a worker, a function of the caller's process, or none."""

    def __init__(self) -> None:
        self.connect(None)

    def connect(self, send: Callable[[dict[str, Any]], None] | None) -> None:
        """Set the receiver; None drops all values."""
        self._send, self._next = send, 0.0

    def __call__(self, values: dict[str, Any]) -> None:
        """Send ``values`` unless others were sent just before."""
        now = time.monotonic()
        if self._send is not None and now >= self._next:
            self._next = now + _PAUSE
            self._send(values)


REPORTER = Reporter()
_parent: _Parent | None = None


def report(**values: Any) -> None:
    """Send the progress of a task to the parent, at most ten times a second; others are dropped."""
    REPORTER(values)


@contextmanager
def importing(plugin: str) -> Iterator[None]:
    """Report the body as the import of a plug-in, which is at fault if the process ends or hangs meanwhile.

    Raises:
        ImportFailed: if the plug-in exits the process.
    """
    if _parent is not None:
        _parent.send(Importing(plugin))
    try:
        yield
    except SystemExit as error:
        raise ImportFailed(f"{plugin} exits with status {error.code} when it is imported") from error
    finally:
        if _parent is not None:
            _parent.send(Importing(""))


class _Parent:
    """The connection to the parent."""

    def __init__(self, handle: int) -> None:
        self._socket = socket.socket(fileno=os.dup(handle))  # a copy that no child process inherits
        os.close(handle)

    def send(self, message: Message) -> None:
        """Send a message, and wait if the parent is busy."""
        self._socket.sendall(framed(msgspec.msgpack.encode(message, enc_hook=_plain)))

    def progress(self, values: dict[str, Any]) -> None:
        """Send progress, unless the parent is busy."""
        if select.select([], [self._socket], [], 0)[1]:
            self.send(TaskProgress(values))

    def receive(self, idle_seconds: float | None = None) -> bytes:
        """Return the next payload; empty if the parent has closed the connection or none came in time."""
        if idle_seconds is not None and not select.select([self._socket], [], [], idle_seconds)[0]:
            return b""
        head = self._socket.recv(_LENGTH.size, socket.MSG_WAITALL)
        size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
        content = self._socket.recv(size, socket.MSG_WAITALL)
        return content if len(content) == size else b""

    def watch(self) -> None:
        """End this process when the parent has ended."""
        if sys.platform == "linux":
            library = ctypes.CDLL(None, use_errno=True)
            # The kernel kills it, also while C code blocks the interpreter.
            library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            # Processes below it stay below it when those between end: they can be found, and are sealed.
            library.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        poll = select.poll()
        poll.register(self._socket, 0)  # only the end of the connection

        def wait() -> None:
            poll.poll()
            os._exit(1)  # without clean-up

        threading.Thread(target=wait, name="parent-watch", daemon=True).start()


def serve(handle: int) -> None:
    """Run a worker: read the setup, then one payload after another, until the parent closes the connection.

    ``handle`` is the file descriptor of the socket to the parent; standard output and error are a file.
    """
    global _parent
    _parent = parent = _Parent(handle)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, TextIOWrapper)
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    faulthandler.enable()
    parent.watch()
    setup = Setup(*pickle.loads(parent.receive()))  # noqa: S301 (from our parent)
    work = pickle.loads(setup.work)  # noqa: S301 (from our parent)
    allowance = None
    if setup.max_memory is not None:
        libraries = getattr(sys.modules[getattr(work, "__module__", __name__)], "PRELOAD", ())
        on_gpu = bool(os.environ.get("CUDA_VISIBLE_DEVICES"))
        allowance = MemoryLimit(setup.max_memory, on_gpu=on_gpu, libraries=libraries)
    parent.send(Ready(0 if allowance is None else allowance.resident))
    process, state = os.getpid(), process_state()
    while payload := parent.receive(setup.idle_seconds):
        finished = _perform(parent, work, payload, allowance)
        faulthandler.cancel_dump_traceback_later()  # which may end the process
        if process_state() != state:
            finished.unusable = True
        if os.getpid() != process:  # a task has forked: its answer would pass for that of the next task
            os._exit(1)
        parent.send(finished)


def _perform(
    parent: _Parent, work: Callable[[Any], Any], payload: bytes, allowance: MemoryLimit | None
) -> Finished:
    """Run one task; any exception becomes a `Loss`."""
    with suppress(OSError):
        os.ftruncate(1, 0)
        os.lseek(1, 0, os.SEEK_SET)
    REPORTER.connect(parent.progress)
    parent.send(TaskStarted())
    begin, threads = time.monotonic(), {*threading.enumerate()}
    value, lost = None, None
    try:
        argument = pickle.loads(payload)  # noqa: S301 (from our parent)
        with nullcontext() if allowance is None else allowance.enforced():
            value = encode_value(work(argument))
    except BaseException as error:
        lost = loss_of(error)
        if lost.kind == "memory" and allowance is not None:
            lost = replace(lost, reason=f"{lost.reason}; {memory_limit_text(allowance.limit)}")
    seconds = time.monotonic() - begin
    REPORTER.connect(None)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # What the task has left running would go on within the next one, which would answer for what it does.
    left = bool({*threading.enumerate()} - threads) or _children_left()
    unusable = not leave_gpu() or left or (allowance is not None and allowance.holds_too_much())
    return Finished(value, lost, seconds, unusable)


def _children_left() -> bool:
    """Return whether this process has running children; reaps those that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return False
    return True
