"""``data``: find, check, download, import and extract datasets."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import click

from bench import data as datasets
from bench import registry
from bench.cli import extract, import_data
from bench.cli.formatting import print_lines
from bench.cli.options import ARGUMENT, DataOption, FilePath, make_command
from bench.contract import Unsupported, UsageError
from bench.experiment.selection import split_words

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@click.group("data", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Find, check, download, import and extract datasets."""


@make_command("doctor")
def doctor(*, names: Annotated[tuple[str, ...], ARGUMENT] = (), folder: DataOption) -> int:
    """Check datasets: where their files are, what is missing, and problems in their contents.

    NAMES are datasets, or paths of files, folders or recipes; without any, all datasets are checked.

    Exit status 0; 2 if a file is damaged, or there is none at a path that is given.
    """
    given = [
        name if datasets.is_bundle(name) else registry.dataset(name).card.name
        for name in names or registry.dataset_names()
    ]
    found = [datasets.diagnose(name, folder.data) for name in given]
    for diagnosis in found:
        print_lines(*str(diagnosis).split("\n"))
    wrong = [
        diagnosis.status == "damaged" or (diagnosis.status == "missing" and datasets.is_bundle(name))
        for name, diagnosis in zip(given, found, strict=True)
    ]
    return 2 if any(wrong) else 0


@make_command("fetch")
def fetch(names: Annotated[tuple[str, ...], ARGUMENT], folder: DataOption) -> None:
    """Download the public files of datasets; an interrupted download is resumed."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    for name in names:
        card = registry.dataset(name).card
        terminal = Console(stderr=True)
        terminal.quiet = not terminal.is_terminal  # a disabled view ends with an empty line in rich 13.6
        with Progress(*columns, console=terminal, transient=True, disable=terminal.quiet) as view:
            transfer = view.add_task("", total=None)
            files = datasets.fetch(card, folder.data, progress=partial(_show, view, transfer))
        found = [*map(str, files)] or ["comes with the project, nothing to download"]
        print_lines(*(f"{name}: {line}" for line in found))


def _show(view: Progress, transfer: TaskID, done: int, total: int | None) -> None:
    view.update(transfer, completed=done, total=total)


@make_command("path", plugins="none")
def path(*, name: Annotated[str | None, ARGUMENT] = None, folder: DataOption) -> None:
    """Print the folder for the files of dataset NAME, or of all datasets."""
    root = folder.data.resolve()
    print_lines(str(root if name is None else root / registry.dataset(name).card.name))


@make_command("condition")
def condition(
    dataset: Annotated[str, ARGUMENT],
    name: Annotated[str, ARGUMENT],
    *,
    write: Annotated[Path, FilePath()],
    seed: int = 0,
    profile: Literal["quick", "paper"] = "quick",
    modalities: tuple[str, ...] = (),
    folder: DataOption,
) -> None:
    """Write how condition NAME changes the training rows of DATASET, for one seed.

    The file has a line per training row: label and id before and after, and whether the row stays.
    `run --conditions CONDITION=FILE` reads it.

    Args:
        write: File to write: .csv or .npz.
        seed: Seed index of the cells.
        profile: Profile of the cells.
        modalities: Modalities of the cells, such as image,text; draws depend on them.  [default: all]
    """
    from bench.conditions import condition_class, parse_conditions
    from bench.conditions.drawn import write_drawn

    found = parse_conditions([name])
    if len(found) != 1 or found[0] is None:
        raise UsageError(f"{name!r} is not one condition at one level; write it as label-noise@.4")
    data = datasets.load_dataset(dataset, folder.data, profile=profile)
    names, order = split_words(modalities), data.modalities
    for word in names:
        if word not in order:
            raise registry.unknown(f"modality of {data.name}", word, order)
    data = data.select(tuple(word for word in data.modalities if word in names)) if names else data
    applied = found[0]
    if not condition_class(applied.name).card.in_files:
        raise UsageError(
            f"{applied.name} cannot be written to a file: files hold only rows, labels and ids for training"
        )
    try:
        edited = applied.drawn(data.train, (data.name, *data.modalities), seed, order)
    except Unsupported as error:
        raise UsageError(f"{applied.id} cannot be applied to {data.name}: {error}") from error
    about = {"dataset": data.name, "fingerprint": data.fingerprint, "condition": applied.id, "seed": seed}
    write_drawn(write, data.train, edited, {**about, "effective": edited.effective})
    reached = edited.effective if isinstance(edited.effective, str) else f"{edited.effective:.4g}"
    print_lines(f"wrote {write}: {applied.id} on {data.name}, seed {seed}, effective level {reached}")


for subcommand in (condition, doctor, extract.command, fetch, import_data.command, path):
    command.add_command(subcommand)
