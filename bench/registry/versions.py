"""Versions of the code that numbers depend on, for the identity of every cell.

``versions.yaml`` holds, for each room of the harness, each method of ``methods/`` and each loader of
``datasets/``, the version of its numbers and the digest of its code at which that version was confirmed.
Where the code at hand has that digest, its version reads ``drcl 1``; otherwise ``drcl 1+ab12cd34``, with the
digest at hand, so that an edited copy never shares a row with the original. Code that is not in the file,
such as a user's method, is named by its digest alone: ``mine ab12cd34``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from bench.contract import PluginError
from bench.contract.declarations import cards_beside
from bench.registry.cache import beside
from bench.registry.catalogue import registered
from bench.registry.code import DESCRIPTIVE, CodeDigests
from bench.registry.notation import parse_yaml
from bench.registry.sources import files_of_entry, folder_of

LOCK: Final = Path(__file__).with_name("versions.yaml")

UnitKind = Literal["rooms", "methods", "datasets"]

HARNESS: Final = ("contract", "data", "evaluation", "experiment")
"""Rooms that the numbers of every cell depend on."""

TOOLKITS: Final = ("training", "linear")
"""Rooms that the numbers of a method depend on whose file imports them."""

_WITHOUT: Final[Mapping[str, frozenset[str]]] = {
    "contract": frozenset({"cards", "declarations", "errors", "items", "loader"}),
    "data": frozenset({"download", "embeddings", "examining", "fetching", "fingerprint", "published"}),
    "evaluation": frozenset({"conventions"}),
    "experiment": frozenset(
        {"cost", "failures", "grid", "refit", "run_context", "selection", "snapshot", "stale"}
    ),
}
"""Modules that change no number of a cell, or whose outcome is in its identity; any other counts."""

_ROOMS: Final = Path(__file__).resolve().parent.parent
_TOOLKIT: Final = re.compile(
    r"^[ \t]*(?:from[ \t]+bench\.(\w+)|import[ \t]+bench\.(\w+)|from[ \t]+bench[ \t]+import[ \t]+([^\n]+))",
    re.MULTILINE,
)


class Confirmed(NamedTuple):
    """A version of numbers, and the digest of the code at which it was confirmed."""

    version: int
    digest: str


Lock = dict[UnitKind, dict[str, Confirmed]]


class Versions:
    """Versions of the code as it is on disk now; every file is looked at once."""

    def __init__(self, lock: Lock | None = None) -> None:
        """Read the lock file, unless a ``lock`` is given.

        Raises:
            PluginError: if the file is not what `make versions` writes.
        """
        self._lock = read_lock() if lock is None else lock
        self._digests = CodeDigests()
        self._words: dict[tuple[UnitKind, str], str] = {}
        self._codes: dict[str, str] = {}

    @cached_property
    def harness(self) -> str:
        """Return the versions of the rooms that all numbers depend on, such as ``data 1, evaluation 2``."""
        return self._finished(", ".join(self._room(name) for name in HARNESS))

    def code(self, method: str) -> str:
        """Return the versions of a method's toolkits and of the method; empty if it is not registered."""
        if method not in self._codes:
            found = registered().methods.get(method)
            if found is None:
                return ""
            files = plugin_files(found.where)
            words = [self._room(name) for name in toolkits_of(files.values())]
            words.append(self._word("methods", method, files, deciding(method, found.where)))
            self._codes[method] = self._finished(", ".join(words))
        return self._codes[method]

    def loader(self, dataset: str) -> str:
        """Return the version of a dataset's loader; empty if it is not registered."""
        found = registered().datasets.get(dataset)
        return (
            ""
            if found is None
            else self._finished(self._word("datasets", dataset, plugin_files(found.where)))
        )

    def units(self) -> dict[UnitKind, dict[str, str]]:
        """Return the digest at hand of every room, and of the project's own methods and loaders."""
        found = registered()
        described: dict[UnitKind, Mapping[str, Any]] = {"methods": found.methods, "datasets": found.datasets}
        units: dict[UnitKind, dict[str, str]] = {
            "rooms": {name: self._digests.of_files(room_files(name)) for name in (*HARNESS, *TOOLKITS)}
        }
        for kind, descriptions in described.items():
            home = folder_of("methods" if kind == "methods" else "datasets")
            units[kind] = {
                name: self._digests.of_files(
                    plugin_files(one.where), deciding(name, one.where) if kind == "methods" else ""
                )
                for name, one in sorted(descriptions.items())
                if Path(one.where).parent == home
            }
        self._digests.remember()
        return units

    def _room(self, name: str) -> str:
        return self._words.get(("rooms", name)) or self._word("rooms", name, room_files(name))

    def _word(self, kind: UnitKind, name: str, files: Mapping[str, Path], besides: str = "") -> str:
        if (kind, name) not in self._words:
            digest = self._digests.of_files(files, besides)
            confirmed = self._lock[kind].get(name)
            if confirmed is None:
                word = f"{name} {digest[:8]}"
            else:
                edited = "" if digest == confirmed.digest else f"+{digest[:8]}"
                word = f"{name} {confirmed.version}{edited}"
            self._words[kind, name] = word
        return self._words[kind, name]

    def _finished(self, words: str) -> str:
        self._digests.remember()
        return words


def loader_version(dataset: str) -> str:
    """Return the version of a dataset's loader; empty if it is not registered.

    It is found once per process and content of the loader's file: a worker opens the same data many times.
    """
    found = registered().datasets.get(dataset)
    return "" if found is None else _loader_version(dataset, found.key)


@lru_cache(maxsize=64)
def _loader_version(dataset: str, _key: str) -> str:
    return Versions().loader(dataset)


def room_files(name: str) -> dict[str, Path]:
    """Return the modules of a room that numbers depend on, by their paths in it."""
    folder = _ROOMS / name
    left_out = _WITHOUT.get(name, frozenset())
    found = (path for path in folder.rglob("*.py") if path.stem not in left_out)
    return {path.relative_to(folder).as_posix(): path for path in found}


def plugin_files(where: str) -> dict[str, Path]:
    """Return the files that a plug-in is made of, by names that do not depend on where they lie.

    A file comes with those beside it that it imports; an entry point with its whole package.

    Args:
        where: as the plug-in's description has it.
    """
    start = Path(where)
    if not start.is_file():
        return files_of_entry(where)
    return {path.relative_to(start.parent).as_posix(): path for path in beside(start)}


def deciding(method: str, where: str) -> str:
    """Return the fields of a card in ``cards.yaml`` that decide about a cell; empty for a card elsewhere.

    Args:
        method: name of the method.
        where: as its description has it.
    """
    fields = cards_beside(Path(where)).get(method, {})
    return (
        json.dumps({name: fields[name] for name in sorted(fields) if name not in DESCRIPTIVE})
        if fields
        else ""
    )


def toolkits_of(files: Iterable[Path]) -> list[str]:
    """Return the toolkits that some files import, in the order of `TOOLKITS`."""
    named: set[str] = set()
    for path in files:
        for match in _TOOLKIT.finditer(path.read_text(encoding="utf-8", errors="replace")):
            named |= set(re.findall(r"\w+", " ".join(part or "" for part in match.groups())))
    return [name for name in TOOLKITS if name in named]


def read_lock(path: Path = LOCK) -> Lock:
    """Return the confirmed versions; none where there is no such file.

    Raises:
        PluginError: if it is not what `make versions` writes.
    """
    lock: Lock = {"rooms": {}, "methods": {}, "datasets": {}}
    if not path.is_file():
        return lock
    content = parse_yaml(path.read_text(encoding="utf-8"))
    try:
        for kind, units in lock.items():
            for name, entry in content[kind].items():
                units[name] = Confirmed(int(entry["version"]), entry["digest"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PluginError(f"{path} is not as `make versions` writes it ({error!r}); restore it") from error
    return lock
