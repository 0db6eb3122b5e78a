"""Formatting of output: text without control characters, tables, durations, and states in one line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from unicodedata import category

import click

from bench.plural import counted

if TYPE_CHECKING:
    from bench.records.heartbeat import RunningCell, RunState

_LONGEST: Final = 400  # letters; an error cuts longer words, such as paths


def printable(text: str) -> str:
    """Return text in one line, with U+FFFD for every control, format and surrogate character.

    Characters that this Python does not know yet stay, such as newer emoji.
    """
    return "".join(
        letter if letter.isprintable() or category(letter) == "Cn" else "\N{REPLACEMENT CHARACTER}"
        for letter in text
    )


def print_lines(*lines: str, err: bool = False, colour: str | None = None) -> None:
    """Print lines; all text that comes from records, files, plug-ins or options is printed by this function.

    Control characters and escape sequences are replaced; a terminal shows the ``colour``.
    """
    stream = sys.stderr if err else sys.stdout
    for line in lines:
        text = printable(line)
        stream.write((click.style(text, fg=colour) if colour and stream.isatty() else text) + "\n")
    stream.flush()


def warn(sentence: str, kind: str = "warning") -> None:
    """Print a sentence to the standard error; its further lines are kept, and very long words are cut."""
    short = re.sub(rf"\S{{{_LONGEST},}}", lambda word: f"{word[0][:60]}...{word[0][-20:]}", sentence)
    print_lines(*f"{kind}: {short}".split("\n"), err=True)


def write_data(text: str) -> None:
    """Write CSV or JSON to the standard output: unchanged into a file or pipe, printable on a terminal."""
    if sys.stdout.isatty():
        print_lines(*text.splitlines())
    else:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()


def table(rows: Sequence[Sequence[object] | Mapping[str, object]], headings: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table of values as they are; numbers are not reformatted.

    The rows are sequences of one length, or mappings with the same keys, which are the headings if none are
    given.
    """
    from tabulate import tabulate

    if not rows:
        return []
    keys = [*rows[0]] if isinstance(rows[0], Mapping) and not headings else [*headings]
    values = [[*row.values()] if isinstance(row, Mapping) else [*row] for row in rows]
    cells = [["" if value is None else printable(str(value)) for value in row] for row in values]
    columns = zip(*values, strict=True)
    alignment = [
        "right" if all(isinstance(value, int | float) for value in column) else "left" for column in columns
    ]
    return tabulate(cells, headers=keys, disable_numparse=True, colalign=alignment).splitlines()


def first_line(reason: str) -> str:
    """Return the first line of a reason, which may be a traceback."""
    return reason.partition("\n")[0]


def and_more(names: Iterable[str], shown: int = 1) -> str:
    """Return the first names, and how many there are besides."""
    listed = list(names)
    rest = f" and {len(listed) - shown} more" if len(listed) > shown else ""
    return "; ".join(listed[:shown]) + rest


def clock(seconds: float) -> str:
    """Return a duration as ``0:01:23``, hours first."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def bytes_of(size: int) -> str:
    """Return a number of bytes in words, such as ``2.4 MB``."""
    for unit, bytes_per_unit in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= bytes_per_unit:
            return f"{size / bytes_per_unit:.1f} {unit}"
    return f"{size} bytes"


def stage(running: RunningCell) -> str:
    """Return the stage and epoch of a cell, such as ``train 3/20``; empty before its first report."""
    if not running.stage:
        return ""
    of = f"/{running.epochs}" if running.epochs else ""
    return printable(f"{running.stage} {running.epoch}{of}")


def headline(state: RunState, now: float) -> str:
    """Return the state of a run in one line; ``now`` in seconds since 1970."""
    part = f" of {state.what}" if state.what else ""
    ended = f"{state.ended}/{counted(state.total, 'cell')}{part}"
    words = [ended, f"{state.failed} failed", clock(now - state.began)]
    if state.left is not None and state.left >= 1.0:
        words.append(f"about {clock(state.left)} left")
    if state.held:
        words.append(f"{state.held} not on disk yet, which is full")
    if state.waiting:
        words.append(f"waiting for {counted(state.waiting, 'cell')} of another run on this folder")
    return ", ".join(words)
