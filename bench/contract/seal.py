"""The seal on test data: while it is on, test splits open neither in this process nor in those below it."""

from __future__ import annotations

import os
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.contract.errors import SealedTestError

SEAL_VARIABLE: Final = "BENCH_SEALED_TEST"
"""Set while the seal is on, so that child processes inherit it; names a file that an attempt creates.

On Linux, an open file in memory of the same name holds the same text: a child without the variable finds it
among the open files of the processes above it.
"""


@dataclass
class _Seal:
    """Whether test data may be opened in this process, and whether an attempt was made.

    Attributes:
        marker: path of the file that tells other processes of an attempt; empty where nothing is sealed here.
        attempted: whether this process made an attempt.
        earlier: threads that ran before the seal; what they attempt is refused, but not held against it.
        harness: ``opens`` tells whether a thread may open test data under the seal.
    """

    marker: str = ""
    attempted: bool = False
    earlier: set[threading.Thread] = field(default_factory=set)
    harness: threading.local = field(default_factory=threading.local)


_SEAL = _Seal()


def check_seal(what: str) -> None:
    """Refuse test data if this process, or one above it, is sealed.

    Raises:
        SealedTestError: naming ``what``; the attempt is noted for the process that set the seal.
    """
    if getattr(_SEAL.harness, "opens", False):
        return
    marker = _SEAL.marker or os.environ.get(SEAL_VARIABLE, "") or _marker_above()
    if not marker:
        return
    if threading.current_thread() not in _SEAL.earlier:
        _SEAL.attempted = True
        with suppress(OSError):  # on a full disk a child's attempt is refused all the same
            Path(marker).touch()
    raise SealedTestError(
        f"a method asked for the test split of {what}; "
        "it gets training and validation rows, and feature arrays to embed"
    )


@contextmanager
def sealed_test() -> Iterator[None]:
    """Close every test split while the body runs, for all threads and for child processes.

    Raises:
        SealedTestError: at the access; and at the end of the body if an access was swallowed, or turned into
            another exception, in this process or in a child.
    """
    outer, inherited = _SEAL.marker, os.environ.get(SEAL_VARIABLE) or None
    _SEAL.marker = outer or inherited or _new_marker()
    _SEAL.earlier = _SEAL.earlier if outer else {*threading.enumerate()}
    _SEAL.earlier.discard(threading.current_thread())
    os.environ[SEAL_VARIABLE] = _SEAL.marker
    try:
        with nullcontext() if outer else _shown_below(_SEAL.marker):
            yield
        _require_unbroken(None)
    except SealedTestError:
        raise
    except Exception as error:
        _require_unbroken(error)
        raise
    finally:
        marker, _SEAL.marker = _SEAL.marker, outer
        if inherited is None:
            os.environ.pop(SEAL_VARIABLE, None)
            with suppress(OSError):
                Path(marker).unlink(missing_ok=True)
        else:
            os.environ[SEAL_VARIABLE] = inherited
        if not outer:
            _SEAL.attempted, _SEAL.earlier = False, set()


@contextmanager
def opened_by_harness() -> Iterator[None]:
    """Let this thread, and no other, open test data under the seal while the body runs.

    The harness takes the test rows in such a body, which calls no method, once the selection is written down.
    """
    before = getattr(_SEAL.harness, "opens", False)
    _SEAL.harness.opens = True
    try:
        yield
    finally:
        _SEAL.harness.opens = before


def _require_unbroken(cause: Exception | None) -> None:
    if _SEAL.attempted or Path(_SEAL.marker).exists():
        raise SealedTestError("a method asked for test data and hid the refusal") from cause


def _new_marker() -> str:
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError:  # no folder can be written; attempts of this process are noted in memory
        folder = Path.cwd()
    return str(folder / f"bench-test-opened-{uuid.uuid4().hex}")


@contextmanager
def _shown_below(marker: str) -> Iterator[None]:
    """Keep the marker in an open file, which `_marker_above` finds from any process below this one."""
    try:
        file = os.memfd_create(SEAL_VARIABLE)
    except (AttributeError, OSError):  # not Linux, or no file can be opened
        yield
        return
    try:
        os.write(file, os.fsencode(marker))
        yield
    finally:
        os.close(file)


def _marker_above() -> str:
    """Return the marker of a process above this one that is sealed; empty without one."""
    process = os.getppid()
    while process > 0:
        folder = f"/proc/{process}/fd"
        files: list[str] = []
        with suppress(OSError):
            files = os.listdir(folder)  # noqa: PTH208  pathlib takes four times as long for hundreds of files
        for file in files:
            with suppress(OSError):  # it was closed meanwhile
                if os.readlink(f"{folder}/{file}").startswith(f"/memfd:{SEAL_VARIABLE} "):  # noqa: PTH115
                    return os.fsdecode(Path(folder, file).read_bytes())
        try:
            # After the name, which may contain anything: state and parent.
            process = int(Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return ""
    return ""
