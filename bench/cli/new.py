"""``new``: a working file to start from."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("new", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Write a working file to start a method from."""


@command.command("method")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the file goes.  [default: methods]",
)
@click.option("--linear", is_flag=True, help="Start from a closed form instead of a network.")
def method(name: str, folder: Path | None, linear: bool) -> None:
    """Write NAME.py, a method that can be checked and run at once."""
    from bench import registry
    from bench.conformance.scaffold import write_method

    path = write_method(name, folder, "linear" if linear else "deep")
    own = path.resolve().parent == registry.folder_of("methods").resolve()
    plugin = "" if own else f" --plugin {path}"
    click.echo(f"wrote {path}\nNext:")
    click.echo(f"  python -m bench check {name}{plugin}")
    click.echo(f"  python -m bench run --methods {name},sm,chance --datasets emoji{plugin}")
