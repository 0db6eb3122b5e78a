"""The command line: one module per command, imported only when it is called."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import click

import bench

_COMMANDS: Final = {
    "run": "Run methods on datasets; skip cells that are recorded.",
    "ablate": "Run methods and all their variants.",
    "sweep": "Run a method with all combinations of some settings.",
    "report": "Write tables, statistics, figures and an HTML page.",
    "list": "List methods, datasets, conditions, protocols and encoders.",
    "tune": "Choose settings on validation data, with equal budgets.",
    "status": "Count the records; show failures and runs in progress.",
    "results": "Print one row per cell, direction and protocol.",
    "why": "Show everything that is known about a cell.",
    "explain": "Evaluate embeddings under every convention of mAP.",
    "verify": "Run recorded cells again and report drift.",
    "embed": "Embed features with a stored model.",
    "search": "Search a gallery with a stored model.",
    "compare": "Test whether two methods differ on a dataset.",
    "merge": "Copy the records of another results folder into this one.",
    "check": "Run the conformance suite on methods or conditions.",
    "data": "Find, check, download, import and extract datasets.",
    "new": "Write a working template of a method or a condition.",
}

_WORKING: Final = {"run", "ablate", "sweep", "tune", "verify", "merge", "check", "data"}
"""Commands that print while they run: a closed output interrupts them."""

_OUTPUT_ERRORS: Final = {errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""Errors without a file's name that writing to the standard output raises."""

_NOT_ON_WINDOWS: Final = (
    "error: bench runs on Linux, not on Windows, which lacks the locks, signals and process groups that "
    "it needs; type the same command in the Windows Subsystem for Linux (WSL)"
)

_EPILOG: Final = """
Exit status: 0 every requested cell is done (or skipped because its method's card excludes the data); 1 a
cell, a check or a record failed; 2 wrong usage or bad input; 130 interrupted.
"""

_HELP: Final = """
Benchmark for supervised cross-modal retrieval: DRCL and 15 baselines under one protocol.

A cell is one fit and its evaluation: a method on a dataset with one seed. Its result is a record in results/.

\b
The main job:  python -m bench run --methods all --datasets all
Then:          python -m bench report
"""


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Collect no garbage in the body, which imports modules: collection takes a fifth of a short command."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class _Lazy(click.Group):
    """A group that imports a command's module when the command is called, and suggests near misses."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS]  # in this package `list` is a command

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        with no_collection():
            command: click.Command = import_module(f"bench.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from bench.registry import unknown

            raise unknown("command", args[0], _COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*_COMMANDS.items()])


@click.group(cls=_Lazy, help=_HELP, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Take the options before a command."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with the documented exit status."""
    status = invoke(arguments)
    gc.disable()
    gc.freeze()  # the end of the process frees everything
    sys.exit(status)


def invoke(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    words = sys.argv[1:] if arguments is None else [*arguments]
    if sys.platform == "win32":
        click.echo(_NOT_ON_WINDOWS, err=True)
        return 2
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # encodings such as ASCII lack letters of the output
            stream.reconfigure(errors="backslashreplace")
    try:
        for word in words:  # records and reports cannot hold it
            if any("\ud800" <= letter <= "\udfff" for letter in word):
                raise click.UsageError(f"{word[:80]!a} is not valid UTF-8; rename the file or folder")
        # Not `cli.main`: it would turn a broken pipe into a failure.
        with _terminable(), cli.make_context("python -m bench", [*words]) as context:
            status = cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _discard_output()
        click.echo("interrupted; run the same command again to go on", err=True)
        return 130
    except BrokenPipeError:
        _discard_output()
        return 130 if _WORKING.intersection(words) else 0
    except Exception as error:
        return _explain(error)
    finally:
        gc.unfreeze()  # a process may call several commands
    return status if isinstance(status, int) else 0


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the body at SIGTERM, and at SIGHUP, which the end of a terminal sends.

    The command leaves no process and no file behind. A signal that is ignored, as by ``nohup``, stays so.
    """

    def interrupt(*_: object) -> None:
        for number in handled:
            signal.signal(number, signal.SIG_IGN)  # while the command ends
        raise KeyboardInterrupt

    handled = [
        number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL
    ]
    if threading.current_thread() is not threading.main_thread():
        handled = []
    for number in handled:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def _open_closed_streams() -> None:
    """Open the null device for standard streams that are closed: no other file may get their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # the system gives the lowest free number
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _discard_output() -> None:
    """Discard buffered output if it cannot be written, as by `| head`: Python would fail when it flushes."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain(error: Exception) -> int:
    """Print an error that the user can act on and return its exit status; raise any other error."""
    from bench.cli.formatting import print_lines, warn
    from bench.contract.errors import BenchError

    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        if context is not None:
            print_lines(context.get_usage(), f"Try '{context.command_path} --help' for help.", "", err=True)
        warn(error.format_message(), "error")
        return error.exit_code
    if isinstance(error, BenchError):
        warn(str(error), "error")
        return error.exit_status
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        warn(f"cannot use {str(error.filename)[:400]}: {error.strerror}", "error")
        return 2
    if isinstance(error, FileNotFoundError) and error.filename is None:  # of `os.getcwd`
        warn("the current folder was removed; change to another one", "error")
        return 2
    if isinstance(error, OSError) and error.errno in _OUTPUT_ERRORS:
        _discard_output()
        warn(f"the output cannot be written: {error.strerror}", "error")
        return 1
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        warn(f"{error.object[:80]!a} is not valid UTF-8; rename the file or folder", "error")
        return 2
    raise error
