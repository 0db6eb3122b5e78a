"""Imports of plug-ins in a child process, so that an exit, a hang or an error affects only the child."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from bench.contract import PluginError, SealedTestError, sealed_test
from bench.registry.descriptions import DatasetDescription, MethodDescription, describe
from bench.registry.sources import Source

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

LIMIT: Final = 30.0
"""Seconds of processor time that one plug-in may take to be imported, libraries included."""

CLOCK_LIMIT: Final = 120.0
"""Seconds that this may take by the clock: more than on a busy machine, because the import may only wait."""

_REMEMBERED: Final = "BENCH_IMPORTED"
"""Variable by which the processes that this one starts learn what its children found."""

_ANSWER_SECONDS: Final = 10.0
"""Seconds that the answer of a child may take once it has begun: it is a few kilobytes."""

_LOOK: Final = 0.5  # seconds between two looks at the processor time of a child
_LONGEST: Final = 100_000  # characters that a variable of the environment surely holds

_PROGRAM: Final = """
import json, sys
sys.path[:] = json.loads(sys.argv[3])
from bench.registry.imports import main
main(int(sys.argv[1]), sys.argv[2])
"""


@dataclass(frozen=True)
class Imported:
    """The plug-ins of an imported source, or why it is left out."""

    methods: list[MethodDescription] = field(default_factory=list)
    datasets: list[DatasetDescription] = field(default_factory=list)
    problem: str = ""


def import_apart(sources: Sequence[Source]) -> list[Imported]:
    """Import sources in a child process and describe them; each is imported once per content.

    A source that ends the child, or exceeds `LIMIT` or `CLOCK_LIMIT`, is left out with a sentence; then
    another child goes on with the next source.
    """
    known = dict(_decoded(os.environ.get(_REMEMBERED, "{}")))
    keys = [f"{'+'.join(source.kinds)} {source.where} {source.key}" for source in sources]
    waiting = [(key, source) for key, source in zip(keys, sources, strict=True) if key not in known]
    while waiting:
        found = _ask([source for _, source in waiting])
        known.update({key: answer for (key, _), answer in zip(waiting, found, strict=False)})
        waiting = waiting[len(found) :]
        text = msgspec.json.encode(known).decode()
        if len(text) <= _LONGEST:
            os.environ[_REMEMBERED] = text
    return [known[key] for key in keys]


@lru_cache(maxsize=1)
def _decoded(text: str) -> dict[str, Imported]:
    """Return what a variable of the environment remembers; nothing if it is no such text."""
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=dict[str, Imported])
    return {}


def import_here(source: Source) -> Imported:
    """Import a source in this process and describe it; its import may not open test data."""
    try:
        with sealed_test():
            found = [describe(cls, source.where, source.key) for cls in source.classes()]
    except PluginError as error:
        return Imported(problem=str(error))
    except SealedTestError:
        return Imported(problem=f"{source.where} cannot be imported: it asks for test data, which is sealed")
    return Imported(
        [plugin for plugin in found if isinstance(plugin, MethodDescription)],
        [plugin for plugin in found if isinstance(plugin, DatasetDescription)],
    )


def _ask(sources: Sequence[Source]) -> list[Imported]:
    """Return what a child process finds about the first sources: all of them, or up to one that ends it."""
    from multiprocessing import Pipe  # only where something is imported

    receiver, sender = Pipe(duplex=False)
    given = json.dumps([asdict(source) for source in sources]), json.dumps([str(path) for path in sys.path])
    found: list[Imported] = []
    reason = ""
    with receiver:
        with sender:
            try:
                child = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-c", _PROGRAM, str(sender.fileno()), *given],
                    pass_fds=[sender.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                problem = f"{sources[0].where} is not known: no process can be started to import it ({error})"
                return [Imported(problem=problem)]
        try:
            while not reason and len(found) < len(sources):
                if not (reason := _waited(receiver, child.pid)):
                    found.append(msgspec.json.decode(_received(receiver, child.pid), type=Imported))
        except (EOFError, OSError, msgspec.DecodeError):
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=1.0)
            reason = f"its import ends the process (status {child.poll()})"
        finally:
            _killed(child.pid)
            child.wait()
    if reason:
        reason = f"{sources[len(found)].where} cannot be imported: {reason}"
        found.append(Imported(problem=f"{reason}; take what does that out of the module's top level"))
    return found


def _waited(receiver: Connection, child: int) -> str:
    """Wait for the answer of a child process; returns why none came, or an empty text."""
    end, before = time.monotonic() + CLOCK_LIMIT, processor_seconds(child)
    while not receiver.poll(_LOOK):
        if processor_seconds(child) - before > LIMIT:
            return f"its import is not through after {LIMIT:g} s of processor time"
        if time.monotonic() > end:
            return f"its import is not through after {CLOCK_LIMIT:g} s"
    return ""


def _received(receiver: Connection, child: int) -> bytes:
    """Return an answer that has begun to arrive; a child that does not end it in time is killed.

    Raises:
        EOFError, OSError: if it did not end.
    """
    from threading import Timer

    timer = Timer(_ANSWER_SECONDS, _killed, [child])
    timer.start()
    try:
        return receiver.recv_bytes()
    finally:
        timer.cancel()


def _killed(child: int) -> None:
    """Kill a child process and its process group."""
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def processor_seconds(process: int) -> float:
    """Return the processor time of a process and its ended children; 0 if it has ended."""
    import psutil  # only where something is imported

    try:
        return sum(psutil.Process(process).cpu_times()[:4])
    except psutil.Error:
        return 0.0


def main(descriptor: int, sources: str) -> None:
    """Import sources one after the other and send what is found about each; the child's program."""
    from multiprocessing.connection import Connection

    process = os.getpid()
    with Connection(descriptor, readable=False) as sender:
        for source in msgspec.json.decode(sources, type=list[Source]):
            imported = import_here(source)
            if os.getpid() != process:  # a plug-in has forked: its answer would pass for that of the next one
                os._exit(1)
            sender.send_bytes(msgspec.json.encode(imported))
