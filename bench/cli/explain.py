"""``explain``: one set of embeddings under every convention of mean average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bench.cli.finding import Which, which_options
from bench.cli.options import (
    FiniteRange,
    data_option,
    grouped,
    load_plugins,
    plugin_option,
    results_option,
)
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.cli.embedded import FromCell, FromFiles
    from bench.evaluation.conventions import Reading

_SHOWN: Final = 6
"""Directions that a table shows one by one; of more it shows the average, and those that are asked for."""


def _cutoffs(_context: click.Context, _option: click.Parameter, word: str) -> list[int]:
    from bench.evaluation.protocol import check_cutoff

    try:
        cutoffs = [int(part) for part in word.split(",") if part.strip()]
    except ValueError as error:
        raise UsageError(f"--cutoffs {word!r} is not a list of ranks, such as 5,50") from error
    for cutoff in cutoffs:
        check_cutoff(cutoff)
    return cutoffs


def _shares(_context: click.Context, _option: click.Parameter, word: str) -> list[Fraction]:
    try:
        shares = [Fraction(part.strip()) for part in word.split(",") if part.strip()]
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"--galleries {word!r} is not a list of parts, such as 1/2,1/4 or .1") from error
    if not all(0 < share <= 1 for share in shares):
        raise UsageError(f"--galleries {word!r}: a part of the gallery is above 0 and at most 1")
    return shares


@dataclass(frozen=True)
class Views:
    """Which conventions, and which of the readings are shown, as typed."""

    cutoffs: list[int]
    galleries: list[Fraction]
    query: str | None
    gallery: str | None
    printed: tuple[float, ...]
    form: str


views_options = grouped(
    Views,
    "views",
    click.option(
        "--cutoffs",
        default="50",
        show_default=True,
        callback=_cutoffs,
        metavar="K,K",
        help="Ranks of the gallery at which to cut off, besides the full ranking.",
    ),
    click.option(
        "--galleries",
        default="1/2,1/4,1/8",
        show_default=True,
        callback=_shares,
        metavar="P,P",
        help="Parts of the gallery to rank besides the whole, each in five fixed random draws.",
    ),
    click.option("--query", default=None, metavar="MODALITY", help="Only directions with these queries."),
    click.option("--gallery", default=None, metavar="MODALITY", help="Only directions with this gallery."),
    click.option(
        "--printed",
        multiple=True,
        type=FiniteRange(0, 100),
        help="A printed number, such as .562 or 56.2: name the conventions that may have made it.",
    ),
    click.option(
        "--format", "form", type=click.Choice(("table", "csv", "json")), default="table", show_default=True
    ),
)


@click.command("explain", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("method", required=False)
@click.argument("dataset", required=False)
@click.option(
    "--embeddings",
    multiple=True,
    metavar="FILE",
    help="Embeddings instead of a cell: one file with arrays {modality} and {modality}_labels, or for each "
    "modality MODALITY=FILE:KEY_OF_EMBEDDINGS:KEY_OF_LABELS (.npz, .mat, .h5).",
)
@views_options
@which_options
@click.option("--device", default="cpu", show_default=True, help="Where to fit: cpu, or a GPU as cuda:0.")
@results_option
@data_option
@plugin_option
def command(
    method: str | None,
    dataset: str | None,
    embeddings: Sequence[str],
    views: Views,
    which: Which,
    device: str,
    results: Path,
    data_dir: Path,
    plugin_files: Sequence[Path],
) -> int:
    """Show one set of embeddings under every convention of mean average precision.

    Cut-offs, denominators, ties, queries without hits, sizes of the gallery: how much a number moves by
    convention alone, and which convention a printed number was made with.

    Either METHOD and DATASET name a recorded cell, which is fitted again here (the test split is opened
    after the selection, and the numbers are held against the record's), or --embeddings names files.
    Of several seeds the lowest is taken, unless --seed says another.

    Exit status 0; 1 if a record is damaged or the cell fails now; 2 for wrong usage or bad input.
    """
    from bench.cli.embedded import from_cell, from_files
    from bench.cli.finding import find
    from bench.cli.reading import read_records
    from bench.evaluation.conventions import readings

    if bool(embeddings) == bool(method) or bool(method) != bool(dataset):
        raise UsageError("explain takes METHOD and DATASET of a recorded cell, or --embeddings FILE")
    load_plugins(plugin_files)
    source: FromFiles | FromCell
    if method and dataset:
        records, problems = read_records(results)
        source = from_cell(find(records, method, dataset, which, results), device, data_dir)
    else:
        source, problems = from_files(embeddings), []
    _require_modalities(source.retrieval.modalities, views)
    found = readings(source.retrieval, views.cutoffs, views.galleries)
    _print(source, found, views)
    return int(bool(problems))


def _require_modalities(names: Sequence[str], views: Views) -> None:
    from bench.registry.names import unknown

    for name in (views.query, views.gallery):
        if name is not None and name not in names:
            raise unknown("modality of these embeddings", name, names)


def _print(source: FromFiles | FromCell, found: Sequence[Reading], views: Views) -> None:
    from bench.cli.phrases import printable
    from bench.cli.readings import csv_of, json_of, matches_of, tables_of
    from bench.evaluation.conventions import near

    asked = [one for one in found if _is_asked_for(one, views)]
    matches = {printed: near(asked, printed) for printed in views.printed}
    if views.form == "csv":
        click.echo(csv_of(asked), nl=False)
    elif views.form == "json":
        click.echo(json_of(source.facts(found), asked, matches))
    else:
        lines = [*source.lines(found), *tables_of(_shown(asked))]
        for printed, near_ones in matches.items():
            lines += ["", *matches_of(printed, near_ones)]
        for line in lines:
            click.echo(printable(line))


def _is_asked_for(reading: Reading, views: Views) -> bool:
    """Whether a direction is asked for; the average is, unless single directions are."""
    from bench.evaluation.conventions import AVERAGE

    if reading.direction == AVERAGE:
        return views.query is None and views.gallery is None
    return views.query in (None, reading.query) and views.gallery in (None, reading.gallery)


def _shown(asked: Sequence[Reading]) -> list[Reading]:
    """Return what fits on a screen: of many directions the average alone."""
    from bench.evaluation.conventions import AVERAGE

    directions = {one.direction for one in asked if one.direction != AVERAGE}
    if len(directions) <= _SHOWN or len(asked) == sum(one.direction != AVERAGE for one in asked):
        return list(asked)
    click.echo(f"{len(directions)} directions: here their average; one of them with --query and --gallery")
    return [one for one in asked if one.direction == AVERAGE]
