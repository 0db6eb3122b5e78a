"""``merge``: what another machine has recorded comes into this results folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from bench.cli.options import results_option


@click.command("merge", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("other", metavar="OTHER_RESULTS", type=click.Path(path_type=Path))
@results_option
def command(other: Path, results: Path) -> int:
    """Copy the records and trials of another results folder into this one.

    Each is checked first and copied whole, byte for byte. A finished record is never replaced by a failure,
    nor a sound one by a damaged one. Where both folders have a finished record of a cell and their numbers
    differ, the one here stays and the cell is named. Merging again copies only what is missing.

    Exit status 0; 1 if finished records differ or something there is damaged; 2 for wrong usage.
    """
    from bench.records.merging import merge

    fates: dict[str, Counter[str]] = {"record": Counter(), "trial": Counter()}
    bad = False
    for item in merge(other, results):
        fates[item.kind][item.fate] += 1
        if item.fate == "conflict":
            click.echo(f"differs, ours is kept: {item.title}: {item.why}", err=True)
        elif item.fate == "damaged":
            click.echo(f"warning: left out: {item.why}", err=True)
        bad |= item.fate in ("conflict", "damaged")
    for kind, counts in fates.items():
        if counts:
            total = ", ".join(f"{counts[fate]} {words}" for fate, words in _WORDS.items() if counts[fate])
            click.echo(f"{counts.total()} {kind}s in {other}: {total}")
    click.echo(f"next: python -m bench status --results {results}")
    return int(bad)


_WORDS = {
    "copied": "copied",
    "replaced": "copied over a failure or a damaged one",
    "known": "known already",
    "kept": "left out for a better one here",
    "conflict": "different from the finished one here",
    "damaged": "damaged",
}
