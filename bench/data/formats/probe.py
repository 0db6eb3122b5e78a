"""Reading a file through in another process, before a library that can crash or hang reads it in this one.

Run as a program, it reads paths of files, a line each, and answers with what is wrong: a JSON text, empty
where nothing is. It limits its memory, and ends when its input does or no request came for a while.
"""

from __future__ import annotations

import json
import math
import multiprocessing
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
_CPU_SECONDS: Final = 5
_CPU_BYTES: Final = 5_000_000
"""Seconds of computing that a file may take, and bytes for one more; then SIGPROF ends the reader."""
_IDLE_SECONDS: Final = 30
_MEMORY: Final = 4 << 30
_WHOLE: Final = 1 << 22
"""Arrays up to so many numbers are read; of larger ones, the index of their pieces."""

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
        known = subprocess.Popen(  # noqa: S603 - this module, by this interpreter
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path[1:]])},
        )
        _READERS[os.getpid()] = known
    return known


def read_through(path: Path) -> None:
    """Read everything that a damaged file could make a library stumble over."""
    from bench.data.formats import open_arrays
    from bench.data.formats.hdf5 import Hdf5

    with open_arrays(path, probe=False) as source:
        for key in source.keys():  # noqa: SIM118 - a file of arrays is no dictionary
            with suppress(DataError):  # reported when the array is read
                if isinstance(source, Hdf5):
                    source.visit_pieces(key)
                if math.prod(source.shape(key)) <= _WHOLE:
                    source.array(key)


def _serve() -> None:
    """Read files by the paths in the input, and answer each; the program."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MEMORY if most == resource.RLIM_INFINITY else min(_MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print about damaged files: no answer to anything
    signal.alarm(_IDLE_SECONDS)
    for line in sys.stdin:
        signal.alarm(0)
        problem, path = "", Path(json.loads(line))
        try:
            signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS + path.stat().st_size / _CPU_BYTES)
            read_through(path)
        except DataError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{path}: cannot be read ({error.strerror})"
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(problem), file=answers, flush=True)
        signal.alarm(_IDLE_SECONDS)


if __name__ == "__main__":
    _serve()
