"""Describes sources in a process of its own, so that a command that needs no torch never gets it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.contract import PluginError, SealedTestError, sealed_test
from bench.registry.descriptions import describe
from bench.registry.sources import Source

_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from bench.registry.describing import main
main()
"""


_HERE: ContextVar[bool] = ContextVar("here", default=False)


@contextmanager
def importing() -> Iterator[None]:
    """Let plug-ins be imported in this process while the body runs: it is about to use them anyway."""
    before = _HERE.set(True)
    try:
        yield
    finally:
        _HERE.reset(before)


@dataclass(frozen=True)
class Answer:
    """A source's descriptions as JSON values, or why there are none."""

    value: list[Any] = field(default_factory=list)
    problem: str = ""


def describe_here(source: Source) -> Answer:
    """Describe a source in this process; its import may not open test data."""
    try:
        with sealed_test():
            return Answer(value=msgspec.to_builtins(describe(source)))
    except PluginError as error:
        return Answer(problem=str(error))
    except SealedTestError as error:
        sys.modules.pop(source.module, None)  # it is not to be had without asking again
        return Answer(problem=f"{source.where}: {error}")


def describe_apart(sources: Sequence[Source]) -> list[Answer]:
    """Describe sources in another process; in this one under `importing`, or if torch is here anyway.

    A plug-in that kills the other process is described here as well, where its crash is seen.
    """
    if not sources:
        return []
    told = None if _HERE.get() or "torch" in sys.modules else _ask(sources)
    return [describe_here(source) for source in sources] if told is None else told


def _ask(sources: Sequence[Source]) -> list[Answer] | None:
    with tempfile.TemporaryDirectory() as folder:
        reply = Path(folder) / "reply.json"  # not the standard output: a plug-in may print
        request = json.dumps([asdict(source) for source in sources])
        words = [sys.executable, "-c", _PROGRAM, str(reply), json.dumps([str(place) for place in sys.path])]
        try:
            subprocess.run(words, input=request, text=True, capture_output=True, check=True)  # noqa: S603
            return msgspec.json.decode(reply.read_bytes(), type=list[Answer])
        except (OSError, subprocess.CalledProcessError, msgspec.DecodeError):
            return None


def main() -> None:
    """Read sources from the standard input; write their descriptions to the file named first."""
    sources = msgspec.json.decode(sys.stdin.read(), type=list[Source])
    told = [asdict(describe_here(source)) for source in sources]
    Path(sys.argv[1]).write_text(json.dumps(told), encoding="utf-8")
