"""``new``: a working template of a method or a condition."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click

from bench import registry
from bench.cli.formatting import print_lines
from bench.cli.options import ARGUMENT, FOLDER, make_command
from bench.conformance.scaffold import write_condition, write_method


@click.group("new", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Write a working template of a method or a condition."""


@make_command("method", plugins="none")
def method(
    name: Annotated[str, ARGUMENT], folder: Annotated[Path | None, FOLDER] = None, linear: bool = False
) -> None:
    """Write NAME.py, a small method that works as it stands.

    Args:
        folder: Folder of the file.  [default: methods; in an installed copy the current folder]
        linear: Write a method in closed form instead of a deep one.
    """
    path = write_method(name, folder, "linear" if linear else "deep")
    registered = path.resolve().parent == registry.folder_of("methods").resolve()
    plugin = "" if registered else f" --plugin {path}"
    print_lines(
        f"wrote {path}",
        "Next:",
        f"  python -m bench check {name}{plugin}",
        f"  python -m bench run --methods {name},sm,chance --datasets emoji{plugin}",
    )


@make_command("condition", plugins="none")
def condition(name: Annotated[str, ARGUMENT], folder: Annotated[Path, FOLDER] = Path()) -> None:
    """Write NAME.py (with _ for -), a small condition that works as it stands.

    Args:
        folder: Folder of the file.
    """
    path = write_condition(name, folder)
    run = f"run --methods sm,chance --datasets emoji --conditions clean,{name}"
    print_lines(f"wrote {path}", "Next:", f"  python -m bench check {name} --plugin {path}")
    print_lines(f"  python -m bench {run} --plugin {path}")


command.add_command(method)
command.add_command(condition)
