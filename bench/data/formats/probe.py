"""Reading a file through in another process, before a library that can crash or hang reads it in this one.

That process runs `bench.data.formats.probed`.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.contract import DataError

_SECONDS: Final = 120
_PROGRAM: Final = "bench.data.formats.probed"

_READ: dict[tuple[str, int, int, int], str] = {}
"""What was found, by path, size, time and inode of the file."""
_LOCK: Final = threading.Lock()
_READERS: dict[int, subprocess.Popen[str]] = {}
"""The reading process of this process, by the latter's id: a forked child starts another."""


def require_harmless(path: Path) -> None:
    """Read a file through in another process, unless this one is itself a worker that may be lost.

    Raises:
        DataError: if the file is damaged, or reading it crashes or takes too long.
        OSError: if the file is not there.
    """
    import multiprocessing  # `list` reads no file, and should start at once

    if multiprocessing.parent_process() is not None:
        return
    status = path.stat()
    key = (str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino)
    with _LOCK:
        if key not in _READ:
            _READ[key] = _problem(path.absolute())
    if _READ[key]:
        raise DataError(_READ[key])


def _problem(path: Path) -> str:
    """Return what is wrong with a file, as the reading process or its end says; empty for nothing."""
    for first in (True, False):
        reader = _reader(new=not first)
        assert reader.stdin is not None
        assert reader.stdout is not None
        answer = None
        with suppress(BrokenPipeError), selectors.DefaultSelector() as selector:
            reader.stdin.write(json.dumps(str(path)) + "\n")
            reader.stdin.flush()
            selector.register(reader.stdout, selectors.EVENT_READ)
            if not selector.select(_SECONDS):
                reader.kill()
                return (
                    f"{path}: reading it does not end within {_SECONDS} s; the file is damaged. Get it again"
                )
            answer = reader.stdout.readline()
        if answer:
            return str(json.loads(answer))
        ended = -reader.wait()
        if ended == signal.SIGPROF:
            return f"{path}: reading it does not end; the file is damaged. Get it again"
        if ended != signal.SIGALRM:  # no request came in time
            break
    return f"{path}: reading it crashes the library that reads it; the file is damaged. Get it again"


def _reader(new: bool) -> subprocess.Popen[str]:
    """Return the process that reads, started anew if there is none."""
    known = _READERS.get(os.getpid())
    if known is None or new or known.poll() is not None:
        root = Path(__file__).resolve().parents[3]
        known = subprocess.Popen(  # noqa: S603 - a module of this package, by this interpreter
            [sys.executable, "-m", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path[1:]])},
        )
        _READERS[os.getpid()] = known
    return known
