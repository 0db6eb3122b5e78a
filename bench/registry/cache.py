"""Descriptions remembered from one process to the next.

Importing all methods takes seconds because they bring torch. Their cards and settings are therefore kept
in a cache file, one entry per source. An entry is valid as long as neither the source, nor a file beside it
that it imports, nor the harness has changed: a class inherits settings and card fields from elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.atomic import write_whole
from bench.registry.describing import Answer, describe_apart, describe_here
from bench.registry.descriptions import SHAPES
from bench.registry.sources import BASE, Source, folder_of, is_plugin

_IMPORT = re.compile(r"^[ \t]*(?:from|import)\b[^\n(]*(?:\([^)]*\))?", re.MULTILINE)
_PACKAGE = re.compile(
    r"^[ \t]*(?:from[ \t]+\.+[ \t]+import[ \t]+\(?([^)\n]+)|(?:from|import)[ \t]+\.*(\w+))", re.MULTILINE
)
"""Gives the first part of what is imported, or what is imported from the folder itself."""

_NAME = re.compile(r"\w+")
_CATALOGUE = "catalogue.json"
_UNCLEAR = ("import_module", "__import__", "import *")


def answers(found: Sequence[Source]) -> list[Answer]:
    """Describe all sources, from memory where they are known.

    Files named by hand are described anew every time: importing them shows that they work.
    """
    by_hand = {source: describe_here(source) for source in found if is_plugin(source.where)}
    others = [source for source in found if source not in by_hand]
    entries, harness = _read(), _digest(Path(__file__).resolve().parent.parent.rglob("*.py"))
    houses = {source: f"{harness} {_digest(_beside(source))}" for source in others}
    known = {
        source: entries[_name(source)] for source in others if _is_valid(entries, source, houses[source])
    }
    missing = [source for source in others if source not in known]
    made = dict(zip(missing, describe_apart(missing), strict=True))
    fresh = {source: answer.value for source, answer in made.items() if not answer.problem}
    if fresh:
        _write(
            {**entries, **{_name(source): _entry(source, houses[source], fresh[source]) for source in fresh}}
        )
    return [
        by_hand.get(source) or made.get(source) or Answer(value=known[source]["value"]) for source in found
    ]


def _name(source: Source) -> str:
    return f"{source.kind} {source.where}"


def _entry(source: Source, house: str, value: list[Any]) -> dict[str, Any]:
    return {"key": source.key, "house": house, "value": value}


def _is_valid(entries: dict[str, Any], source: Source, house: str) -> bool:
    entry = entries.get(_name(source))
    if not isinstance(entry, dict) or (entry.get("key"), entry.get("house")) != (source.key, house):
        return False
    try:
        msgspec.convert(entry.get("value"), SHAPES[source.kind])
    except msgspec.ValidationError:
        return False
    return True


def _beside(source: Source) -> set[Path]:
    start = Path(source.where)
    if not start.is_file():  # an entry point may lead anywhere
        return {path for kind in BASE for path in folder_of(kind).glob("*.py")}
    return beside(start)


def beside(start: Path) -> set[Path]:
    """Return a file, those beside it that its imports name, and those that they name; all if unsure.

    Of a folder beside it that is imported as a package, all files are taken.
    """
    everything = {path.stem: path for path in start.parent.glob("*.py")}
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return set(everything.values())
        if any(word in text for word in _UNCLEAR):
            return set(everything.values())
        names = {name for match in _IMPORT.finditer(text) for name in _NAME.findall(match[0])}
        waiting += [everything[name] for name in names & everything.keys()]
        packages = {name for match in _PACKAGE.finditer(text) for name in _NAME.findall(match[1] or match[2])}
        waiting += [file for name in packages - {"bench"} for file in (start.parent / name).rglob("*.py")]
    return found


def _digest(paths: Iterable[Path]) -> str:
    """Digest names, sizes and times of change."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        with contextlib.suppress(OSError):  # a file may vanish while we look
            state = path.stat()
            digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _read() -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        content = json.loads(cache_file(_CATALOGUE).read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}


def _write(entries: dict[str, Any]) -> None:
    """Write the file whole; one that cannot be written costs time, nothing else."""
    with contextlib.suppress(OSError, RuntimeError):
        write_whole(cache_file(_CATALOGUE), json.dumps(entries))


def cache_file(name: str) -> Path:
    """Return the path of a file that may be lost at any time.

    Raises:
        RuntimeError: if the user has no home folder.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "cross-modal-bench" / name
