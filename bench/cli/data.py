"""``data``: where the datasets' files are, whether they are right, and how to get them."""

from __future__ import annotations

from typing import Annotated

import click

from bench import data as datasets
from bench import registry
from bench.cli.formatting import say
from bench.cli.options import ARGUMENT, DataOption, PluginOption, make_command


@click.group("data", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Find, check and fetch the datasets' files."""


@make_command("doctor")
def doctor(
    *, names: Annotated[tuple[str, ...], ARGUMENT] = (), folder: DataOption, plugins: PluginOption
) -> int:
    """Say for every dataset where its files are, and what is wrong or missing.

    Args:
        names: of datasets; none for all.
        folder: of the datasets' files.
        plugins: files with plug-ins.
    """
    plugins.load()
    cards = [registry.dataset(name).card for name in names or registry.dataset_names()]
    found = [datasets.diagnose(card.name, folder.data) for card in cards]
    for diagnosis in found:
        say(*str(diagnosis).split("\n"))
    return 2 if any(diagnosis.status == "damaged" for diagnosis in found) else 0


@make_command("fetch")
def fetch(names: Annotated[tuple[str, ...], ARGUMENT], folder: DataOption, plugins: PluginOption) -> None:
    """Download a dataset's files where they are public; resumable, checked, never half-written.

    Args:
        names: of datasets.
        folder: of the datasets' files.
        plugins: files with plug-ins.
    """
    plugins.load()
    for name in names:
        say(*(f"{name}: {path}" for path in datasets.fetch(registry.dataset(name).card, folder.data)))


@make_command("path")
def path(*, name: Annotated[str | None, ARGUMENT] = None, folder: DataOption) -> None:
    """Print the folder to put files into.

    Args:
        name: of a dataset; None for the folder of all.
        folder: of the datasets' files.
    """
    root = folder.data.resolve()
    say(str(root if name is None else root / registry.dataset(name).card.name))


for subcommand in (doctor, fetch, path):
    command.add_command(subcommand)
