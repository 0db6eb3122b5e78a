"""``data``: where the datasets' files are, whether they are right, and how to get them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bench.cli.options import data_option, load_plugins, plugin_option


@click.group("data", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Find, check and fetch the datasets' files."""


@command.command("doctor")
@click.argument("names", nargs=-1)
@data_option
@plugin_option
def doctor(names: Sequence[str], data_dir: Path, plugin_files: Sequence[Path]) -> int:
    """Say for every dataset where its files are, and what is wrong or missing."""
    from bench import registry
    from bench.data import examine

    load_plugins(plugin_files)
    findings = [
        examine(registry.dataset_loader(name), data_dir) for name in names or registry.dataset_names()
    ]
    for finding in findings:
        click.echo(str(finding))
    return 2 if any(finding.status == "damaged" for finding in findings) else 0


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@data_option
@plugin_option
def fetch(names: Sequence[str], data_dir: Path, plugin_files: Sequence[Path]) -> None:
    """Download a dataset's files where they are public; resumable, checked, never half-written."""
    from bench import registry
    from bench.data import fetch as download

    load_plugins(plugin_files)
    for name in names:
        for path in download(registry.dataset(name).card, data_dir):
            click.echo(f"{name}: {path}")


@command.command("path")
@click.argument("name", required=False)
@data_option
def path(name: str | None, data_dir: Path) -> None:
    """Print the folder to put files into."""
    from bench import registry

    click.echo(data_dir.resolve() if name is None else data_dir.resolve() / registry.dataset(name).card.name)
