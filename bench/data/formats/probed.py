"""Program that reads files through for `bench.data.formats.probe`, and may be lost.

It reads paths of files, a line each, and answers with what is wrong: a JSON text, empty where nothing is. It
limits its memory, and ends when its input does or no request came for a while.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.contract import DataError
from bench.data.formats import open_arrays
from bench.data.formats.hdf5 import Hdf5

_CPU_SECONDS: Final = 5
_CPU_BYTES: Final = 5_000_000
"""Seconds of computing that a file may take, and bytes for one more; then SIGPROF ends this process."""
_IDLE_SECONDS: Final = 30
_MEMORY: Final = 4 << 30
_WHOLE: Final = 1 << 22
"""Arrays up to so many numbers are read; of larger ones, the index of their pieces."""


def read_through(path: Path) -> None:
    """Read everything that a damaged file could make a library stumble over."""
    with open_arrays(path, probe=False) as source:
        for key in source.keys():  # noqa: SIM118 - a file of arrays is no dictionary
            with suppress(DataError):  # reported when the array is read
                if isinstance(source, Hdf5):
                    source.visit_pieces(key)
                if math.prod(source.shape(key)) <= _WHOLE:
                    source.array(key)


def _serve() -> None:
    """Read files by the paths in the input, and answer each; the program."""
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
