"""Sources of plug-ins: the folders `methods/` and `datasets/`, entry points, and files given by path."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ExtensionFileLoader
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

from bench.contract import DatasetLoader, Method, PluginError
from bench.contract.errors import words_of
from bench.registry.descriptions import derives, is_plugin_class
from bench.registry.static import NotLiteral, Packages, module_file

Kind = Literal["methods", "datasets"]
BASE: Final[dict[Kind, type]] = {"methods": Method, "datasets": DatasetLoader}

_PLUGINS: list[Path] = []
OTHER_KINDS: Final = ("bench.conditions", "bench.encoders")
"""A file given by path that names one of these packages may define conditions or encoders alone."""
_BY_PATH: Final = "bench_plugin_"


@dataclass(frozen=True)
class Source:
    """A file or entry point that may define plug-ins.

    Attributes:
        kinds: what it may define.
        where: path of the file, or the entry point in words.
        key: changes whenever the content changes.
        module: name to import a file under, or module of an entry point.
        attribute: name in the module that an entry point refers to; empty for all classes of the module.
    """

    kinds: tuple[Kind, ...]
    where: str
    key: str
    module: str
    attribute: str = ""

    @property
    def is_entry(self) -> bool:
        """Whether it is an entry point, not a file."""
        return not Path(self.where).is_file()

    @property
    def is_given(self) -> bool:
        """Whether it is a file given by path."""
        return Path(self.where) in _PLUGINS

    def names(self, package: str) -> bool:
        """Whether the text of a file given by path contains the name of a package."""
        return self.is_given and package in Path(self.where).read_text(encoding="utf-8", errors="replace")

    def static_classes(self, packages: Packages) -> list[type]:
        """Rebuild the plug-in classes from the source text.

        Raises:
            NotLiteral: if that is not possible.
            PluginError: if a class is not finished.
        """
        package, path = self.module.partition(".")[0], Path(self.where)
        if self.is_entry:
            packages.add(package, _package_of(package))
        elif package != "bench":
            packages.add(package, path.parent if "." in self.module else path)
        if not self.attribute:
            return [cls for cls in packages.plugin_classes(self.module) if self._is_meant(cls)]
        named = packages.module(self.module)[self.attribute]
        if not isinstance(named, type):
            raise NotLiteral(f"{self.attribute} is not a class")
        return [named] if self._is_meant(named) else []

    def classes(self) -> list[type]:
        """Import the source and return its plug-in classes.

        Raises:
            PluginError: if the import fails, or a class is not finished.
        """
        loaded = self.loaded()
        whole = isinstance(loaded, ModuleType)
        found = dict.fromkeys(filter(inspect.isclass, vars(loaded).values() if whole else [loaded]))
        defined = [cls for cls in found if not whole or cls.__module__ == loaded.__name__]
        return [cls for cls in defined if self._is_meant(cls)]

    def loaded(self) -> Any:
        """Import the source and return the module, or the object of an entry point.

        Raises:
            PluginError: if the import fails.
        """
        try:
            return self._load()
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {words_of(error)}{_line_of(error)}"
            if isinstance(error, SystemExit):
                reason = f"it ends the program{_line_of(error)}; take that out of the module's top level"
            if isinstance(error, PluginError):
                reason = words_of(error)
            raise PluginError(f"{self.where} cannot be imported: {reason}") from error

    def _load(self) -> Any:
        """Return what `loaded` returns; raises whatever an import raises."""
        if self.is_entry:
            loaded: Any = importlib.import_module(self.module)
            for name in filter(None, self.attribute.split(".")):
                loaded = getattr(loaded, name)
            return loaded
        if self.module in sys.modules:
            return sys.modules[self.module]
        _remove_outdated_bytecode(Path(self.where))
        if self.module.startswith(_BY_PATH):
            return _load_file(self.module, Path(self.where))
        _package(self.kinds[0])  # makes the package that the module is part of
        return importlib.import_module(self.module)

    def _is_meant(self, cls: type) -> bool:
        """Whether a class is a plug-in of one of the kinds."""
        return derives(cls, *(BASE[kind] for kind in self.kinds)) and is_plugin_class(cls, self.where)


def sources() -> Iterator[Source]:
    """Yield all sources: folders first, then entry points, then files given by path."""
    for kind in BASE:
        folder, package = _package(kind)
        for path in sorted(folder.glob("*.py")):
            if not path.name.startswith("_") and path.is_file():
                yield _file_source((kind,), path, f"{package}.{path.stem}")
    for kind in BASE:
        yield from _entries(kind)
    yield from map(_given, _PLUGINS)


def source_at(kind: Kind, where: str) -> Source:
    """Return the source of ``kind`` that `sources` gave with this ``where``."""
    path, (folder, package) = Path(where), _package(kind)
    if path.parent == folder:
        return _file_source((kind,), path, f"{package}.{path.stem}")
    if path in _PLUGINS:
        return _given(path)
    return next(source for source in _entries(kind) if source.where == where)


def _file_source(kinds: tuple[Kind, ...], path: Path, module: str) -> Source:
    """Return the source that a file is."""
    return Source(kinds, str(path), _digest(path.read_bytes()), module)


def _entries(kind: Kind) -> Iterator[Source]:
    """Yield the sources of entry points; their keys change with version and content."""
    for point in entry_points(f"bench.{kind}"):
        version = point.dist.version if point.dist is not None else ""
        content = b""
        with suppress(NotLiteral, OSError):  # a version alone would hide edits of what is installed in place
            first, *rest = point.module.split(".")
            file = module_file(_package_of(first), rest)
            content = file.read_bytes() if file is not None else b""
        key = _digest(f"{point.value} {version} ".encode() + content)
        where = f"entry point {point.name} = {point.value}"
        yield Source((kind,), where, key, point.module, point.attr or "")


def _given(path: Path) -> Source:
    """Return the source of a file given by path."""
    name = f"{_BY_PATH}{path.stem}_{_digest(str(path).encode())[:8]}"
    return _file_source(("methods", "datasets"), path, name)


@lru_cache(maxsize=1)
def _installed() -> Any:
    """Return all entry points, which takes a look at every installed package."""
    return importlib.metadata.entry_points()


def entry_points(group: str) -> Sequence[EntryPoint]:
    """Return the entry points of a group, in alphabetical order."""
    return sorted(_installed().select(group=group), key=lambda point: point.name)


def forget_entry_points() -> None:
    """Look at the installed packages again."""
    _installed.cache_clear()


def folder_of(kind: Kind) -> Path:
    """Return the folder that holds the project's plug-ins of ``kind``."""
    return _package(kind)[0]


def add_plugin(path: str | Path) -> None:
    """Add the file ``path`` to the plug-ins; it may define methods, datasets or both.

    Raises:
        PluginError: if there is no such Python file.
    """
    file = _python_file(path)
    if file not in _PLUGINS:
        _PLUGINS.append(file)


def module_at(path: str | Path) -> ModuleType:
    """Import a file given by path, whether or not it takes part in discovery.

    Raises:
        PluginError: if there is no such Python file, or it cannot be imported.
    """
    module: ModuleType = _given(_python_file(path)).loaded()
    return module


def _python_file(path: str | Path) -> Path:
    """Return the path of a Python file in full; raises PluginError."""
    file = Path(path).expanduser().resolve()
    if file.suffix != ".py" or not file.is_file():
        raise PluginError(f"plug-in {file} is not a Python file; give the path of a .py file")
    return file


def given_modules(package: str) -> list[ModuleType]:
    """Import the files given by path whose text names a package, such as ``bench.conditions``.

    Raises:
        PluginError: if one cannot be imported.
    """
    return [source.loaded() for source in map(_given, _PLUGINS) if source.names(package)]


def plugins() -> tuple[str, ...]:
    """Return the files given by path, in order."""
    return tuple(str(path) for path in _PLUGINS)


def _package(kind: Kind) -> tuple[Path, str]:
    """Return the folder and the package name under which its files are imported.

    An installed copy holds them inside ``bench``. In a clone they are at the top, and another package of the
    same name may come first on the path: then they are imported under another name.
    """
    bench = Path(__file__).resolve().parent.parent
    inside = bench / f"installed_{kind}"
    if inside.is_dir():
        return inside, f"bench.installed_{kind}"
    folder = bench.parent / kind
    spec = _spec_of(kind)
    if spec is not None and spec.origin is not None and Path(spec.origin).resolve().parent == folder:
        return folder, kind
    alias = f"bench_{kind}"
    if alias not in sys.modules:
        _load_file(alias, folder / "__init__.py", package=folder)
    return folder, alias


def _remove_outdated_bytecode(path: Path) -> None:
    """Remove the bytecode of a file if the file may have changed since without a trace.

    Python takes bytecode for that of a file by its size and the second of its last change. Within that second
    another text of equal size would be run as the old one, under the digest of the new one.
    """
    bytecode = Path(importlib.util.cache_from_source(str(path)))
    with suppress(OSError):
        if bytecode.stat().st_mtime < int(path.stat().st_mtime) + 1:
            bytecode.unlink()


def _load_file(name: str, path: Path, package: Path | None = None) -> ModuleType:
    """Import a file, or a ``package`` by its ``__init__``, under a name."""
    locations = None if package is None else [str(package)]
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=locations)
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _line_of(error: BaseException) -> str:
    """Return file and line of an error at import; a syntax error states them itself."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen")
    ]
    known = frames and "importlib" not in frames[-1].filename and not isinstance(error, SyntaxError)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if known else ""


def files_of_entry(where: str) -> dict[str, Path]:
    """Return the files of the package that an entry point (`Source.where`) leads to, by their paths in it."""
    first = where.rpartition(" = ")[2].partition(":")[0].strip().partition(".")[0]
    try:
        root = _package_of(first)
    except NotLiteral:
        return {}
    if root.is_file():
        return {f"{first}.py": root}
    return {f"{first}/{path.relative_to(root).as_posix()}": path for path in root.rglob("*.py")}


def _package_of(name: str) -> Path:
    """Return the folder of a package, or the file of a module, without importing it; raises `NotLiteral`."""
    spec = _spec_of(name)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    if spec is None or not spec.has_location:
        raise NotLiteral(f"there is no module {name}")
    return Path(spec.origin)


def _spec_of(package: str) -> Any:
    """Return where a package is found; None if it is not."""
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None


def _digest(content: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def fresh_modules_of(source: Source) -> Iterator[None]:
    """Execute the modules of a source again if they are imported in the body.

    These are: for a file in a folder of plug-ins, that folder's package; for an entry point, its top-level
    package; for a file given by path, its module and those of its folder. After the body the modules of
    earlier imports are restored, so that ``import`` gives the classes that a caller already has.
    """
    roots = _roots(source, sys.modules)
    before = _removed(roots, sys.modules)
    others = dict(sys.modules)
    try:
        yield
    finally:
        imported = {name: module for name, module in sys.modules.items() if others.get(name) is not module}
        _removed(roots | _roots(source, imported), imported)
        sys.modules.update(before)
        for path, module in before.items():
            parent, _, child = path.rpartition(".")
            if parent in sys.modules:
                setattr(sys.modules[parent], child, module)


def _roots(source: Source, among: Mapping[str, ModuleType]) -> set[str]:
    """Return the modules and packages of a source, without what is below them; ``among`` imported modules."""
    if not source.is_given:
        return {source.module.partition(".")[0] if source.is_entry else source.module.rpartition(".")[0]}
    folder = os.path.join(os.path.dirname(source.where), "")  # noqa: PTH118, PTH120
    return {source.module} | {name for name, module in among.items() if _lies_in(folder, module)}


def _removed(roots: Set[str], among: Mapping[str, ModuleType]) -> dict[str, ModuleType]:
    """Take ``roots`` and what is below them out of the table of imported modules, and return them.

    The harness, the program and compiled modules stay: they are never executed again.
    """
    below = tuple(f"{root}." for root in roots)
    found = {}
    for name, module in among.items():
        if name in roots or name.startswith(below):
            part_of_harness = name.split(".")[0] == "bench" and not name.startswith("bench.installed_")
            loader = getattr(getattr(module, "__dict__", {}).get("__spec__"), "loader", None)
            if not (part_of_harness or name == "__main__" or isinstance(loader, ExtensionFileLoader)):
                found[name] = module
    for name in found:
        del sys.modules[name]
    return found


def _lies_in(folder: str, module: ModuleType) -> bool:
    """Whether a module's file, or a package's folder, is directly in a folder, given with a separator.

    A process has thousands of modules, each looked at in every cell: nearly all end at the first comparison.
    """
    values = getattr(module, "__dict__", {})  # without asking those that make up attributes
    paths = [values.get("__file__") or "", *(values.get("__path__") or ())]
    return any(path.startswith(folder) and os.sep not in path[len(folder) :] for path in paths)
