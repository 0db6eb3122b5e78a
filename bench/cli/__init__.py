"""The command line: one module per command, imported only when it is called."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

import bench

_COMMANDS = {
    "run": "Run methods on datasets; only what is missing.",
    "ablate": "Run methods and all their variants.",
    "sweep": "Run a method under all combinations of some settings.",
    "report": "Write the tables into the reports folder.",
    "list": "List methods, datasets, profiles and protocols.",
    "tune": "Choose settings on validation data, with equal budgets.",
    "status": "Say what is recorded, and why cells have no result.",
    "results": "Print one row per cell, direction and protocol.",
    "why": "Tell the whole story of a cell.",
    "explain": "Show embeddings under every convention of mAP.",
    "verify": "Run random recorded cells again and report drift.",
    "compare": "Test whether two methods differ on a dataset.",
    "merge": "Copy what another machine has recorded into this folder.",
    "check": "Run the conformance suite on methods.",
    "data": "Find, check and fetch the datasets' files.",
    "new": "Write a working file to start a method from.",
}

_WORKING = {"run", "ablate", "sweep", "tune", "verify", "merge", "check", "data"}
"""Commands that print while they work: their work is not done when nobody reads on."""

_NOT_ON_WINDOWS = (
    "error: bench runs on Linux, not on Windows, which lacks the locks, signals and process groups that "
    "it needs; type the same command in the Windows Subsystem for Linux (WSL)"
)

_EPILOG = """
Exit status: 0 every requested cell is done (or skipped for a declared reason); 1 a cell, a check or a
record failed; 2 wrong usage or bad input; 130 interrupted.
"""


class _Lazy(click.Group):
    """A group that imports a command's module when the command is called, and suggests near misses."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS]  # in this package `list` is a command

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"bench.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from bench.registry.names import unknown

            raise unknown("command", args[0], _COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*_COMMANDS.items()])


_HELP = """
Benchmark for supervised cross-modal retrieval: DRCL and its baselines under one protocol.

\b
The main job:  python -m bench run --methods all --datasets all
Then:          python -m bench report
"""


@click.group(cls=_Lazy, help=_HELP, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Take the options before a command."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with the documented exit status."""
    sys.exit(invoke(arguments))


def invoke(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    words = sys.argv[1:] if arguments is None else [*arguments]
    if sys.platform == "win32":
        click.echo(_NOT_ON_WINDOWS, err=True)
        return 2
    try:
        # Not `cli.main`: it would turn a broken pipe into a failure.
        with cli.make_context("python -m bench", [*words]) as context:
            status = cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
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
    return status if isinstance(status, int) else 0


def _discard_output() -> None:
    """Send what is still to be printed nowhere if the reader of our output has gone, as after `| head`.

    Otherwise Python would stumble over the closed pipe once more while it ends.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain(error: Exception) -> int:
    """Print a problem that the user can act on; let a fault of our own be seen as what it is."""
    from bench.contract.errors import BenchError

    if not isinstance(error, BenchError):
        raise error
    click.echo(f"error: {error}", err=True)
    return error.exit_status
