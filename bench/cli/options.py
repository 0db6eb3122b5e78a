"""Click commands generated from annotated functions, and the options of most commands.

A parameter is an option: its type and default are those of the option, its line under ``Args`` is the help. A
tuple may be repeated, a bool is a flag; a click type may be added with `Annotated`, and `ARGUMENT` makes it
positional. A parameter whose type is a dataclass is a group: its fields are options, described under
``Attributes``, and the command gets them as one object.
"""

from __future__ import annotations

import errno
import functools
import inspect
import math
import os
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import click
from click.core import ParameterSource

from bench import registry
from bench.cli import no_collection
from bench.cli.formatting import warn
from bench.contract.errors import PluginError, UsageError

ARGUMENT: Final = object()
"""Metadata of a positional argument; one with a default may be left out."""

_LONGEST_PATH: Final = 4095
_LONGEST_NAME: Final = 255  # bytes that a path and a name in it may have on Linux


class FiniteRange(click.FloatRange):
    """A number within bounds that is finite: bounds alone let NaN pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; a usage error if it is not finite."""
        number = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return super().convert(number, param, ctx)


class FilePath(click.Path):
    """The path of a file or a folder that the file system can hold; ``variable`` gives another default."""

    def __init__(self, kind: Literal["file", "folder", "any"] = "file", variable: str | None = None) -> None:
        """Take paths of this kind; they need not exist."""
        super().__init__(file_okay=kind != "folder", dir_okay=kind != "file", path_type=Path)
        self.variable = variable

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; a usage error if it is too long, a loop of links, or of another kind."""
        name = os.fsencode(value)
        if not name:  # `Path` takes it for the current folder
            self.fail("the path is empty", param, ctx)
        if len(name) > _LONGEST_PATH or any(len(part) > _LONGEST_NAME for part in name.split(b"/")):
            allowed = f"{_LONGEST_PATH}, and {_LONGEST_NAME} for each name in it"
            self.fail(f"a path of {len(name)} bytes; allowed are at most {allowed}", param, ctx)
        try:
            Path(value).stat()
        except OSError as error:
            if error.errno == errno.ELOOP:
                self.fail(f"{value!r} leads through a loop of symbolic links", param, ctx)
        return super().convert(value, param, ctx)


class Words(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """Text of a form that the help shows, and the function that parses it or raises `UsageError`."""

    def __init__(self, form: str, parse: Callable[[str], Any] = str) -> None:
        """Show ``form`` in the help."""
        self.name = form
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value; the error names the option."""
        try:
            return self._parse(value) if isinstance(value, str) else value  # a default may be parsed already
        except UsageError as error:
            raise UsageError(f"{param.opts[0]} {error}" if param else str(error)) from error


def _device(word: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", word):
        raise UsageError(f"{word!r} is not a device; allowed are cpu, cuda, and a GPU such as cuda:0")
    return word


FOLDER: Final = FilePath("folder")
Device = Annotated[str, Words("DEVICE", _device)]
Count = Annotated[int, click.IntRange(1, 1_000_000)]
Threads = Annotated[int, click.IntRange(1, 1024)]
Settings = Annotated[tuple[str, ...], Words("METHOD.PARAM=VALUE")]
Form = Literal["table", "json"]


@dataclass(frozen=True)
class ResultsOption:
    """A results folder.

    Attributes:
        results: Results folder (the records).
    """

    results: Annotated[Path, FilePath("folder", "BENCH_RESULTS")] = Path("results")


@dataclass(frozen=True)
class DataOption:
    """A data folder.

    Attributes:
        data: Data folder (the files of the datasets).
    """

    data: Annotated[Path, FilePath("folder", "BENCH_DATA")] = Path("data")


def make_command(
    name: str, *, plugins: Literal["named", "all", "none"] = "named"
) -> Callable[[Callable[..., int | None]], click.Command]:
    """Make a command of a function, which returns the exit status; its docstring is the help.

    Unless ``plugins`` is none, it has the option ``--plugin`` and loads these files first; with ``all`` it
    also prints a line for every other plug-in that was left out.
    """

    def decorate(function: Callable[..., int | None]) -> click.Command:
        @functools.wraps(function)
        def call(**values: Any) -> int | None:
            _require_words(click.get_current_context())
            if plugins != "none":
                _load_plugins(values.pop("plugin"), warn_of_others=plugins == "all")
            return function(**_collected(function, values))

        text = "A Python file with your methods, datasets or conditions; may be repeated."
        further = [_parameter("plugin", tuple[Path, ...], (), text)] if plugins != "none" else []
        return click.Command(
            name,
            callback=call,
            params=[*_parameters(function), *further],
            help=_described(function)[0],
            context_settings={"help_option_names": ["-h", "--help"]},
        )

    return decorate


def _require_words(context: click.Context) -> None:
    """Refuse text of the command line without any word: a list of no names would mean all, or none."""
    for parameter in context.command.params:
        value = context.params[parameter.name or ""]
        values = value if isinstance(value, tuple) else [value]
        typed = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if typed and any(isinstance(one, str) and not one.strip(", ") for one in values):
            raise UsageError(f"{parameter.get_error_hint(context)} is empty; give a value, or leave it out")


def _load_plugins(files: Sequence[Path], *, warn_of_others: bool) -> None:
    """Register files with plug-ins; raises `PluginError`."""
    for file in files:
        registry.add_plugin(file)
    with no_collection():
        problems = registry.registered().problems
    broken = [problem for problem in problems if problem.where in registry.plugins()]
    if broken:
        raise PluginError(broken[0].reason)
    for problem in problems if warn_of_others else ():
        warn(f"left out: {problem.reason}")


def _described(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return a docstring without its last section, and that section's text by parameter or field."""
    text, *section = re.split(r"\n(?:Args|Attributes):\n", inspect.getdoc(function) or "")
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section[0], re.MULTILINE) if section else []
    return text.strip(), {name: " ".join(words.split()) for name, words in entries}


def _fields(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """Return name, type and default (`inspect.Parameter.empty` if none) of each parameter or field."""
    hints = inspect.get_annotations(function, eval_str=True)
    return [
        (parameter.name, hints[parameter.name], parameter.default)
        for parameter in inspect.signature(function).parameters.values()
    ]


def _collected(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a function or dataclass from the values of its command's options."""
    return {
        name: hint(**_collected(hint, values))
        if isinstance(hint, type) and is_dataclass(hint)
        else values[name]
        for name, hint, _ in _fields(function)
    }


def _parameters(function: Callable[..., Any]) -> list[click.Parameter]:
    helps = _described(function)[1]
    parameters: list[click.Parameter] = []
    for name, hint, default in _fields(function):
        group = is_dataclass(hint)
        parameters += _parameters(hint) if group else [_parameter(name, hint, default, helps.get(name, ""))]
    return parameters


def _parameter(name: str, hint: Any, default: Any, text: str) -> click.Parameter:
    kind, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    given = default is not inspect.Parameter.empty
    types_given = [item for item in metadata if isinstance(item, click.ParamType)]
    repeated = get_origin(kind) is tuple
    kind = get_args(kind)[0] if repeated else kind
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (part for part in get_args(kind) if part is not types.NoneType)
    value_type = types_given[0] if types_given else _TYPES.get(kind)
    if get_origin(kind) is Literal:
        value_type = click.Choice(get_args(kind))
    if ARGUMENT in metadata:
        return click.Argument([name], type=value_type, nargs=-1 if repeated else 1, required=not given)
    return click.Option(
        [f"--{name.rstrip('_').replace('_', '-')}", name],
        type=value_type,
        is_flag=kind is bool,
        multiple=repeated,
        required=not given,
        **({"default": default} if given else {}),
        show_default=default not in (None, ()),
        help=text,
        envvar=getattr(value_type, "variable", None),
    )


_TYPES: Final = {str: click.STRING, int: click.IntRange(0, 1 << 32), Path: FilePath()}
