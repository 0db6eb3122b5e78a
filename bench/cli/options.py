"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.contract.errors import PluginError, UsageError

F = TypeVar("F", bound=Callable[..., Any])


class FiniteRange(click.FloatRange):
    """A number within bounds that is finite: bounds alone let NaN and, where one is open, infinity pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; the command ends as wrongly used where it is none."""
        number = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return super().convert(number, param, ctx)


def grouped(kind: type[Any], name: str, *options: Callable[[F], F]) -> Callable[[F], F]:
    """Add options and give their values to the command as one object.

    Args:
        kind: dataclass with a field per option.
        name: of the command's parameter that takes the object.
        options: as click makes them, in the order of the help.
    """
    names = [field.name for field in fields(kind)]

    def decorate(function: F) -> F:
        """Put a function that takes the options one by one before one that takes them as an object."""

        @functools.wraps(function)
        def gather(**values: Any) -> Any:
            group = kind(**{key: values.pop(key) for key in names})
            return function(**values, **{name: group})

        for option in reversed(options):
            gather = option(gather)
        return gather  # type: ignore[return-value]

    return decorate


def results_option(function: F) -> F:
    """Add ``--results DIR``."""
    default = os.environ.get("BENCH_RESULTS") or "results"
    return _folder_option(function, "--results", default=default, text="Folder of the records.")


def data_option(function: F) -> F:
    """Add ``--data DIR``."""
    default = os.environ.get("BENCH_DATA") or "data"
    return _folder_option(
        function, "--data", "data_dir", default=default, text="Folder of the datasets' files."
    )


def reports_option(function: F) -> F:
    """Add ``--reports DIR``."""
    return _folder_option(function, "--reports", default="reports", text="Folder to write into.")


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
    from bench import registry

    overrides: dict[str, dict[str, Any]] = {}
    for word in words:
        place, equals, text = word.partition("=")
        name, dot, key = place.strip().rpartition(".")
        if not (equals and dot and name and key):
            raise UsageError(f"--set {word!r} is not of the form METHOD.PARAM=VALUE, such as drcl.epochs=20")
        if name != "*" and key not in registry.method(name).defaults:
            raise registry.unknown(f"setting of {name}", key, registry.method(name).defaults)
        overrides.setdefault(name, {})[key] = _value(f"--set {word!r}", text)
    return overrides


def parse_grid(method: str, words: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values of each setting from words such as ``alpha=0.1,1,10``, written as for ``--set``.

    Raises:
        UsageError: for a word of another form, a setting that does not exist or is there twice, or no values.
    """
    from bench import registry

    grid: dict[str, list[Any]] = {}
    for word in words:
        key, equals, text = (part.strip() for part in word.partition("="))
        if not (equals and key):
            raise UsageError(f"--param {word!r} is not of the form PARAM=VALUE,VALUE, such as alpha=0.1,1,10")
        if key not in registry.method(method).defaults:
            raise registry.unknown(f"setting of {method}", key, registry.method(method).defaults)
        if key in grid:
            raise UsageError(f"--param {key} is given twice; name all its values once, as in {word},...")
        grid[key] = _value(f"--param {word!r}", f"[{text}]")
        if not grid[key]:
            raise UsageError(f"--param {word!r} has no values; write them with commas, as in {key}=1,2")
    return grid


def _folder_option(function: F, *names: str, default: str, text: str) -> F:
    kind = click.Path(file_okay=False, path_type=Path)
    return click.option(*names, type=kind, default=default, show_default=True, help=text)(function)


def _value(place: str, text: str) -> Any:
    import json

    import yaml

    from bench import registry
    from bench.registry.notation import parse_yaml

    try:
        value = registry.plain(parse_yaml(text))
        json.dumps(value, allow_nan=False)
    except yaml.YAMLError as error:
        raise UsageError(f"{place}: the value is not valid YAML") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"{place}: the value is neither text, finite number, list nor map") from error
    return value
