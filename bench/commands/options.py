"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.contract.errors import PluginError, UsageError

F = TypeVar("F", bound=Callable[..., Any])


def results_option(function: F) -> F:
    """Add ``--results DIR``."""
    default = os.environ.get("BENCH_RESULTS", "results")
    return click.option(
        "--results",
        type=click.Path(file_okay=False, path_type=Path),
        default=default,
        show_default=True,
        help="Folder of the records.",
    )(function)


def data_option(function: F) -> F:
    """Add ``--data DIR``."""
    return click.option(
        "--data",
        "data_dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=os.environ.get("BENCH_DATA", "data"),
        show_default=True,
        help="Folder of the datasets' files.",
    )(function)


def reports_option(function: F) -> F:
    """Add ``--reports DIR``."""
    return click.option(
        "--reports",
        type=click.Path(file_okay=False, path_type=Path),
        default="reports",
        show_default=True,
        help="Folder to write into.",
    )(function)


def plugin_option(function: F) -> F:
    """Add ``--plugin FILE``, which may be repeated."""
    return click.option(
        "--plugin",
        "plugin_files",
        multiple=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="A Python file with methods or datasets of your own; may be repeated.",
    )(function)


def load_plugins(files: Sequence[Path]) -> None:
    """Register the files given with ``--plugin``.

    Raises:
        PluginError: if one of them is broken: what a user names must work.
    """
    from bench import registry

    for file in files:
        registry.add_plugin(file)
    broken = [problem for problem in registry.registered().problems if problem.where in registry.plugins()]
    if broken:
        raise PluginError(broken[0].reason)


def warn_of_problems() -> None:
    """Print one line for every plug-in that was left out."""
    from bench import registry

    for problem in registry.registered().problems:
        click.echo(f"warning: left out: {problem.reason}", err=True)


def parse_overrides(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return settings by method from words such as ``drcl.epochs=20``; ``*`` stands for every method.

    Raises:
        UsageError: for a word of another form, or a method or setting that does not exist.
    """
    import yaml

    from bench import registry

    overrides: dict[str, dict[str, Any]] = {}
    for word in words:
        place, equals, text = word.partition("=")
        name, dot, key = place.partition(".")
        if not (equals and dot and name and key):
            raise UsageError(f"--set {word!r} is not of the form METHOD.PARAM=VALUE, such as drcl.epochs=20")
        if name != "*" and key not in registry.method(name).defaults:
            raise registry.unknown(f"setting of {name}", key, registry.method(name).defaults)
        try:
            overrides.setdefault(name, {})[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {word!r}: the value is not valid YAML") from error
    return overrides
