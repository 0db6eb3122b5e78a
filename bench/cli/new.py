"""``new``: a working file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click

from bench import registry
from bench.cli.formatting import say
from bench.cli.options import ARGUMENT, FOLDER, make_command
from bench.conformance.scaffold import write_method


@click.group("new", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Write a working file to start a method from."""


@make_command("method")
def method(
    name: Annotated[str, ARGUMENT],
    folder: Annotated[Path | None, FOLDER] = None,
    linear: bool = False,
) -> None:
    """Write NAME.py, a method that can be checked and run at once.

    Args:
        name: of the method.
        folder: Folder of the file.  [default: methods]
        linear: Start from a closed form instead of a network.
    """
    path = write_method(name, folder, "linear" if linear else "deep")
    registered = path.resolve().parent == registry.folder_of("methods").resolve()
    plugin = "" if registered else f" --plugin {path}"
    say(
        f"wrote {path}",
        "Next:",
        f"  python -m bench check {name}{plugin}",
        f"  python -m bench run --methods {name},sm,chance --datasets emoji{plugin}",
    )


command.add_command(method)
