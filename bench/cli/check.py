"""``check``: does a method keep what every method promises?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import load_plugins, parse_overrides, plugin_option

if TYPE_CHECKING:
    from bench.conformance import Outcome


@click.command("check", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, required=True)
@click.option("--device", default="cpu", show_default=True, help="Where to fit: cpu, cuda, cuda:1.")
@click.option("--set", "words", multiple=True, metavar="METHOD.PARAM=VALUE", help="Change a setting.")
@plugin_option
def command(names: Sequence[str], device: str, words: Sequence[str], plugin_files: Sequence[Path]) -> int:
    """Run the conformance suite on the methods NAMES: names, groups such as `all`, or globs.

    Every promise is tried on tiny data. Exit status 0: all kept; 1: one was broken; 2: wrong usage.
    """
    from bench import registry
    from bench.experiment.selection import select_methods

    with registry.importing():
        load_plugins(plugin_files)
        overrides = parse_overrides(words)
        chosen = select_methods(names)
    broken = 0
    for name in chosen:
        known = registry.method(name).defaults
        for_all = {key: value for key, value in overrides.get("*", {}).items() if key in known}
        settings = {**for_all, **overrides.get(name, {})}
        broken += _check(name, device, settings)
    return 1 if broken else 0


def _check(name: str, device: str, settings: Mapping[str, Any]) -> int:
    """Print a method's outcomes as they become known; return how many promises it broke."""
    from bench import conformance

    start = time.perf_counter()
    click.secho(f"{name} ...", bold=True)
    counts: Counter[str] = Counter()
    for outcome in conformance.outcomes(conformance.subject(name, settings, device)):
        counts[outcome.status] += 1
        _print(outcome)
    told = ", ".join(f"{counts[status]} {status}" for status in ("passed", "failed", "skipped"))
    click.echo(f"{name}: {told} in {time.perf_counter() - start:.1f} s\n")
    return counts["failed"]


_COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow"}


def _print(outcome: Outcome) -> None:
    status = click.style(f"{outcome.status:8}", fg=_COLOURS[outcome.status])
    click.echo(f"  {status} {outcome.check.name}")
    if outcome.reason:
        click.echo(f"           {outcome.reason}")
    if outcome.status == "failed":
        click.echo(f"           hint: {outcome.check.hint}")
