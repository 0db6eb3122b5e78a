"""Writes a working file to start a method or a condition from."""

from __future__ import annotations

import datetime
import keyword
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Literal, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench import registry
from bench.conditions import CLEAN, conditions
from bench.conditions.base import Group
from bench.contract import UsageError
from bench.experiment.selection import METHOD_GROUPS

Kind = Literal["deep", "linear"]
_TEMPLATES = Path(__file__).parent / "templates"


def write_method(name: str, folder: Path | None = None, kind: Kind = "deep") -> Path:
    """Write a complete, working method into ``<folder>/<name>.py`` and return the path.

    Args:
        name: registry name: lower-case letters, digits and underscores.
        folder: None for ``methods/`` of the clone, and for the current folder in an installed copy.
        kind: ``deep`` for a network per modality, ``linear`` for a closed form.

    Raises:
        UsageError: if the name cannot be used or is taken, or if the file is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,29}", name) or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} cannot name a method: use up to 30 lower-case letters, digits and underscores, "
            "a letter first, and no word of the Python language"
        )
    if name in METHOD_GROUPS:
        raise UsageError(f"{name!r} names a group of methods; choose another name")
    known = registry.registered().methods
    if name in known:
        raise UsageError(f"method {name!r} is already defined by {known[name].where}; choose another name")
    if folder is None:
        folder = registry.folder_of("methods")
        if folder.name != "methods":  # inside an installed package
            folder = Path()
    path = _write(folder / f"{name}.py", render(name, kind))
    registry.rescan()
    return path


def write_condition(name: str, folder: Path) -> Path:
    """Write a complete, working condition into a file of ``folder`` and return the path.

    Raises:
        UsageError: if the name cannot be used or is taken, or if the file is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", name):
        raise UsageError(
            f"{name!r} cannot name a condition: use up to 30 lower-case letters, digits and hyphens, "
            "a letter first"
        )
    if name in {CLEAN, "all", *get_args(Group), *conditions(), *registry.registered().methods}:
        raise UsageError(f"{name!r} names a condition, a group or a method already; choose another name")
    return _write(folder / f"{name.replace('-', '_')}.py", render(name, "condition"))


def _write(path: Path, text: str) -> Path:
    """Write a new file; raises UsageError if that fails, it is there already, or it would hide a module."""
    _require_no_module(path.stem)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{error.filename} exists already; choose another name or folder") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; choose another --folder") from error
    return path


def _require_no_module(name: str) -> None:
    """Refuse the name of a module: where its folder is the current one, every command would import the file.

    Raises:
        UsageError: if Python has such a module, or an installed package.
    """
    folders = [folder for folder in sys.path if folder and Path(folder).resolve() != Path.cwd()]
    if name in sys.stdlib_module_names or PathFinder.find_spec(name, folders) is not None:
        raise UsageError(
            f"{name!r} is the name of a module, which programs that start in the folder of the file would "
            "not find any more; choose another name"
        )


def render(name: str, kind: Kind | Literal["condition"] = "deep") -> str:
    """Return the text of a new plug-in's file."""
    # The result is Python source, not HTML: there is nothing to escape.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )
    words = [word for word in re.split("[_-]", name) if word]
    return environment.get_template(f"{kind}.py.jinja").render(
        name=name,
        title=" ".join(word.capitalize() for word in words),
        class_name="".join(word.capitalize() for word in words),
        year=datetime.datetime.now(tz=datetime.timezone.utc).year,
    )
