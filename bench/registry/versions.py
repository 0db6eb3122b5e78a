"""Versions of the code that numbers depend on, for the identity of every cell.

``versions.yaml`` holds, for each package of the harness, each method of ``methods/`` and each loader of
``datasets/``, the version of its numbers and the digest of its code at which that version was confirmed.
Where the present code has that digest, its version reads ``drcl 1``; otherwise ``drcl 1+ab12cd34``, with the
present digest, so that an edited copy never shares a row with the original. Code that is not in the file,
such as a user's method, is named by its digest alone: ``mine ab12cd34``.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

from bench.contract import PluginError
from bench.contract.declarations import card_of, cards_beside
from bench.registry.catalogue import registered
from bench.registry.code import DESCRIPTIVE, CodeDigests, Lock, UnitKind, read_lock
from bench.registry.descriptions import Description
from bench.registry.sources import BASE, Kind, files_of_entry, folder_of

HARNESS: Final = ("contract", "data", "evaluation", "experiment")
"""Packages that the numbers of every cell depend on."""

CONDITIONS: Final = "conditions"
"""Package that the numbers of a cell under a condition depend on besides."""

TOOLKITS: Final = ("training", "linear")
"""Packages that the numbers of a method depend on whose file imports them."""

_WITHOUT: Final[Mapping[str, frozenset[str]]] = {
    "contract": frozenset({"errors"}),
    "data": frozenset({"doctor", "fetching", "fingerprint"}),
    "evaluation": frozenset({"conventions"}),
    "experiment": frozenset(
        {
            *("cost", "failures", "grid", "models", "refit", "run_context", "selection"),
            *("sizes", "snapshot", "stale"),
        }
    ),
}
"""Modules that change no number of a cell, or whose outcome is in its identity."""

_BENCH: Final = Path(__file__).resolve().parent.parent
_TOOLKIT: Final = re.compile(
    r"^[ \t]*(?:from[ \t]+bench\.(\w+)|import[ \t]+bench\.(\w+)|from[ \t]+bench[ \t]+import[ \t]+([^\n]+))",
    re.MULTILINE,
)
_IMPORT: Final = re.compile(r"^[ \t]*(?:from|import)\b[^\n(]*(?:\([^)]*\))?", re.MULTILINE)
_PACKAGE: Final = re.compile(
    r"^[ \t]*(?:from[ \t]+\.+[ \t]+import[ \t]+\(?([^)\n]+)|(?:from|import)[ \t]+\.*(\w+))", re.MULTILINE
)
"""Matches the first part of an imported module, or the names imported from the folder itself."""

_MODULE: Final = re.compile(r"(?=.{1,200}$)(\w+\.)*(\w+|\*)")

_UNCLEAR: Final = ("import_module", "__import__", "import *")


class Versions:
    """Versions of the code as it is on disk now; every file is read once."""

    def __init__(self, lock: Lock | None = None) -> None:
        """Read the lock file, unless a ``lock`` is given.

        Raises:
            PluginError: if the file is not what `make versions` writes.
        """
        self._lock = read_lock() if lock is None else lock
        self._digests = CodeDigests()
        self._known: dict[tuple[UnitKind, str], str] = {}

    @cached_property
    def harness(self) -> str:
        """Return the versions of what all numbers depend on, such as ``data 1, evaluation 2``."""
        return self._versions(*(("packages", name, "") for name in HARNESS))

    def harness_under(self, condition: str) -> str:
        """Return `harness`, for a cell under a condition with the version of the conditions."""
        return (
            f"{self.harness}, {self._versions(('packages', CONDITIONS, ''))}" if condition else self.harness
        )

    def code(self, method: str) -> str:
        """Return the versions of a method's toolkits and of the method; empty if it is not registered."""
        found = registered().methods.get(method)
        if found is None:
            return ""
        toolkits = toolkits_of(plugin_files(found.where).values())
        return self._versions(
            *(("packages", name, "") for name in toolkits), ("methods", method, found.where)
        )

    def loader(self, dataset: str) -> str:
        """Return the version of a dataset's loader; empty if it is not registered."""
        found = registered().datasets.get(dataset)
        return "" if found is None else self._versions(("datasets", dataset, found.where))

    def units(self) -> dict[UnitKind, dict[str, str]]:
        """Return the present digest of every package, and of the project's methods and loaders."""
        units: dict[UnitKind, dict[str, str]] = {
            "packages": {name: self._digest("packages", name) for name in (*HARNESS, CONDITIONS, *TOOLKITS)}
        }
        kinds: tuple[Kind, ...] = ("methods", "datasets")
        for kind in kinds:
            descriptions: dict[str, Description] = getattr(registered(), kind)
            units[kind] = {
                name: self._digest(kind, name, description.where)
                for name, description in sorted(descriptions.items())
                if Path(description.where).parent == folder_of(kind)
            }
        self._digests.remember()
        return units

    def _digest(self, kind: UnitKind, name: str, where: str = "") -> str:
        """Return the present digest of a package or plug-in."""
        if kind == "packages":
            return self._digests.of_files(package_files(name))
        fields = _card_beside(where, name) if kind == "methods" else {}
        decisive = {key: fields[key] for key in sorted(fields) if key not in DESCRIPTIVE}
        return self._digests.of_files(plugin_files(where), json.dumps(decisive) if fields else "")

    def _versions(self, *units: tuple[UnitKind, str, str]) -> str:
        """Return units with their versions, as in an identity."""
        for kind, name, where in units:
            if (kind, name) not in self._known:
                digest = self._digest(kind, name, where)
                confirmed = self._lock[kind].get(name)
                version = digest[:8] if confirmed is None else f"{confirmed.version}"
                if confirmed is not None and digest != confirmed.digest:
                    version += f"+{digest[:8]}"
                self._known[kind, name] = f"{name} {version}"
        self._digests.remember()
        return ", ".join(self._known[kind, name] for kind, name, _ in units)


def loader_version(dataset: str) -> str:
    """Return the version of a dataset's loader; empty if it is not registered.

    It is found once per process and content of the loader's file: a worker opens the same data many times.
    """
    found = registered().datasets.get(dataset)
    return "" if found is None else _loader_version(dataset, found.key)


@lru_cache(maxsize=64)
def _loader_version(dataset: str, _key: str) -> str:
    """Return the version of a loader, once for each content of its file."""
    return Versions().loader(dataset)


def package_files(name: str) -> dict[str, Path]:
    """Return the modules of a package that numbers depend on, by their paths in it."""
    folder = _BENCH / name
    left_out = _WITHOUT.get(name, frozenset())
    found = (path for path in folder.rglob("*.py") if path.stem not in left_out)
    return {path.relative_to(folder).as_posix(): path for path in found}


def _card_beside(where: str, name: str) -> Mapping[str, Any]:
    """Return a method's fields in ``cards.yaml``; none if they are no card, as its file states them then."""
    try:
        card_of(name, {}, Path(where).parent)
    except PluginError:
        return {}
    fields: Mapping[str, Any] = cards_beside(Path(where))[name] or {}
    return fields


def plugin_files(where: str) -> dict[str, Path]:
    """Return the files of a plug-in at `MethodDescription.where`, by names relative to their folder.

    These are a file and those beside it that it imports, or the whole package of an entry point; and the
    files of the project's methods and loaders that it builds on.
    """
    start = Path(where)
    if not start.is_file():
        files = files_of_entry(where)
    else:
        files = {path.relative_to(start.parent).as_posix(): path for path in _imported_beside(start)}
        released = start.parent / "released" / start.name  # what `faithful_to="release"` runs instead
        files |= {f"released/{start.name}": released} if released.is_file() else {}
    return files | _of_the_project(files.values())


def _of_the_project(files: Iterable[Path]) -> dict[str, Path]:
    """Return the project's methods and loaders that files elsewhere name, with what these import."""
    found: dict[str, Path] = {}
    for kind in BASE:
        folder = folder_of(kind)
        for path in (path for path in files if folder not in path.parents):
            for name in _named_below(kind, path.read_text(encoding="utf-8", errors="replace")):
                files_named = folder.rglob("*.py") if name == "*" else [folder / f"{name}.py"]
                for member in {
                    each for file in files_named if file.is_file() for each in _imported_beside(file)
                }:
                    found[f"{kind}/{member.relative_to(folder).as_posix()}"] = member
    return found


@lru_cache(maxsize=256)
def _named_below(package: str, text: str) -> frozenset[str]:
    """Return the modules of a package that a file imports, as paths; ``*`` if these may be any."""
    if package not in text:  # to parse it takes milliseconds
        return frozenset()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    unsure = any(word in text for word in _UNCLEAR)
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name if alias.name != package else f"{package}.*" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif unsure and isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= {node.value if node.value.rstrip(".") != package else f"{package}.*"}
    below = {name.removeprefix(f"{package}.") for name in names if name.startswith(f"{package}.")}
    modules = {name for name in below if _MODULE.fullmatch(name)}  # a text may be anything, such as a path
    return frozenset("*" if name.endswith("*") else name.replace(".", "/") for name in modules)


def _imported_beside(start: Path) -> set[Path]:
    """Return a file, those beside it that its imports name, and those that they name; all if unsure.

    Of a folder beside it that is imported as a package, all files are taken.
    """
    beside = {path.stem: path for path in start.parent.glob("*.py")}
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
            return set(beside.values())
        if any(word in text for word in _UNCLEAR):
            return set(beside.values())
        names = {name for match in _IMPORT.finditer(text) for name in re.findall(r"\w+", match[0])}
        waiting += [beside[name] for name in names & beside.keys()]
        first = " ".join(match[1] or match[2] for match in _PACKAGE.finditer(text))
        packages = {*re.findall(r"\w+", first)} - {"bench"}
        waiting += [file for name in packages for file in (start.parent / name).rglob("*.py")]
    return found


def toolkits_of(files: Iterable[Path]) -> list[str]:
    """Return the toolkits that some files import, in the order of `TOOLKITS`."""
    named: set[str] = set()
    for path in files:
        for match in _TOOLKIT.finditer(path.read_text(encoding="utf-8", errors="replace")):
            named |= set(re.findall(r"\w+", " ".join(part or "" for part in match.groups())))
    return [name for name in TOOLKITS if name in named]
