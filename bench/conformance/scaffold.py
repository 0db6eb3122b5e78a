"""Writes a working file to start a method from."""

from __future__ import annotations

import datetime
import keyword
import re
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench import registry
from bench.contract import UsageError
from bench.experiment.selection import METHOD_GROUPS

Kind = Literal["deep", "linear"]
_TEMPLATES = Path(__file__).parent / "templates"


def write_method(name: str, folder: Path | None = None, kind: Kind = "deep") -> Path:
    """Write a complete, working method into ``<folder>/<name>.py`` and return the path.

    Args:
        name: registry name: lower-case letters, digits and underscores.
        folder: where the file goes, made if absent; None for the project's own ``methods/``.
        kind: ``deep`` for a network per modality, ``linear`` for a closed form.

    Raises:
        UsageError: if the name cannot be used or is taken, or if the file is there already.
    """
    _check_name(name)
    folder = _home() if folder is None else folder
    path = folder / f"{name}.py"
    text = render(name, kind)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{error.filename} exists already; choose another name or folder") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; choose another --folder") from error
    registry.rescan()
    return path


def render(name: str, kind: Kind = "deep") -> str:
    """Return the text of a new method's file."""
    # The result is Python source, not HTML: there is nothing to escape.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )
    words = [word for word in name.split("_") if word]
    return environment.get_template(f"{kind}.py.jinja").render(
        name=name,
        title=" ".join(word.capitalize() for word in words),
        class_name="".join(word.capitalize() for word in words),
        year=datetime.datetime.now(tz=datetime.timezone.utc).year,
    )


def _home() -> Path:
    folder = registry.folder_of("methods")
    if folder.name != "methods":  # inside an installed package, where nobody would look for it
        raise UsageError("this is an installed copy without a methods/ folder; say where with --folder DIR")
    return folder


def _check_name(name: str) -> None:
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
