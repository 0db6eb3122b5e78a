"""Where plug-ins come from: the folders `methods/` and `datasets/`, entry points, and files named by hand."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Literal

from bench.contract import DatasetLoader, Method, PluginError

Kind = Literal["methods", "datasets"]
BASE: dict[Kind, type] = {"methods": Method, "datasets": DatasetLoader}


@dataclass(frozen=True)
class Source:
    """One place that may define plug-ins.

    Attributes:
        kind: what it is searched for.
        where: path of the file, or the entry point in words.
        key: changes whenever the content changes.
        module: name to import a file under; empty for an entry point.
        entry: what an entry point refers to; empty for a file.
    """

    kind: Kind
    where: str
    key: str
    module: str = ""
    entry: str = ""

    def load(self) -> object:
        """Import the source; return the module, or whatever an entry point refers to."""
        if self.entry:
            return EntryPoint(name=self.where, value=self.entry, group=f"bench.{self.kind}").load()
        if self.module in sys.modules:
            return sys.modules[self.module]
        if self.module.startswith(_BY_HAND):
            return _load(self.module, Path(self.where))
        _home(self.kind)  # makes the package that the module is part of
        return importlib.import_module(self.module)

    def classes(self) -> list[type]:
        """Import the source and return the plug-in classes that it defines.

        Raises:
            PluginError: if the import fails, or a class is not finished; says where.
        """
        try:
            loaded = self.load()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}{_place(error)}"
            raise PluginError(f"{self.where} cannot be imported: {reason}") from error
        if not isinstance(loaded, ModuleType):
            return [loaded] if inspect.isclass(loaded) and self._is_meant(loaded) else []
        own = (
            value for value in vars(loaded).values() if getattr(value, "__module__", "") == loaded.__name__
        )
        return list(dict.fromkeys(value for value in own if inspect.isclass(value) and self._is_meant(value)))

    def _is_meant(self, cls: type) -> bool:
        """Whether a class is a plug-in; one that is nearly so is a slip, better told than ignored."""
        if not issubclass(cls, BASE[self.kind]) or cls.__name__.startswith("_"):
            return False
        lacking = sorted(getattr(cls, "__abstractmethods__", ()))
        if "card" not in cls.__dict__:
            if lacking or hasattr(cls, "card"):
                return False  # a base for others, or a relative of one that has a card
            raise PluginError(f"{self.where}: {cls.__name__} has no card")
        if lacking:
            raise PluginError(f"{self.where}: {cls.__name__} does not define {', '.join(lacking)}")
        return True


def sources(kind: Kind) -> Iterator[Source]:
    """Yield all sources of ``kind``: folder first, then entry points, then files named by hand."""
    yield from _in_folder(kind)
    yield from _entries(kind)
    yield from _by_hand(kind)


def source_at(kind: Kind, where: str) -> Source:
    """Return the source of ``kind`` at a place that `sources` gave.

    Entry points come last here: to look for them takes longer than many a cell.
    """
    every = chain(_in_folder(kind), _by_hand(kind), _entries(kind))
    return next(source for source in every if source.where == where)


def _in_folder(kind: Kind) -> Iterator[Source]:
    folder, package = _home(kind)
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("_"):
            yield Source(kind, str(path), _digest(path.read_bytes()), f"{package}.{path.stem}")


def _entries(kind: Kind) -> Iterator[Source]:
    for point in sorted(entry_points(group=f"bench.{kind}"), key=lambda item: item.name):
        yield _entry_source(kind, point)


def _by_hand(kind: Kind) -> Iterator[Source]:
    for path in _PLUGINS:
        name = f"{_BY_HAND}{path.stem}_{_digest(str(path).encode())[:8]}"
        yield Source(kind, str(path), _digest(path.read_bytes()), name)


def folder_of(kind: Kind) -> Path:
    """Return the folder that holds the project's own plug-ins of ``kind``."""
    return _home(kind)[0]


def add_plugin(path: str | Path) -> None:
    """Let the file ``path`` take part in discovery; it may define methods, datasets or both.

    Raises:
        PluginError: if there is no such Python file.
    """
    file = Path(path).expanduser().resolve()
    if file.suffix != ".py" or not file.is_file():
        raise PluginError(f"plug-in {file} is not a Python file; give the path of a .py file")
    if file not in _PLUGINS:
        _PLUGINS.append(file)


def plugins() -> tuple[str, ...]:
    """Return the files named by hand, in order."""
    return tuple(str(path) for path in _PLUGINS)


def is_plugin(where: str) -> bool:
    """Whether a source was named by hand."""
    return Path(where) in _PLUGINS


_PLUGINS: list[Path] = []
_BY_HAND = "bench_plugin_"


def _home(kind: Kind) -> tuple[Path, str]:
    """Return the folder and the package name under which its files are imported.

    An installed copy holds them inside ``bench``. In a clone they lie at the top, where another package
    of the same name may come first on the path: then they are imported under a name of their own.
    """
    bench = Path(__file__).resolve().parent.parent
    inside = bench / f"installed_{kind}"
    if inside.is_dir():
        return inside, f"bench.installed_{kind}"
    folder = bench.parent / kind
    if _resolves_to(kind, folder):
        return folder, kind
    alias = f"bench_{kind}"
    if alias not in sys.modules:
        _load(alias, folder / "__init__.py", package=folder)
    return folder, alias


def _resolves_to(name: str, folder: Path) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve().parent == folder


def _load(name: str, path: Path, package: Path | None = None) -> ModuleType:
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


def _entry_source(kind: Kind, point: EntryPoint) -> Source:
    version = point.dist.version if point.dist is not None else ""
    key = _digest(f"{point.value} {version} ".encode() + _content_of(point.module))
    return Source(kind, f"entry point {point.name} = {point.value}", key, entry=point.value)


def _place(error: Exception) -> str:
    """Return where an import stumbled; a syntax error says so itself."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen")
    ]
    ours = frames and "importlib" not in frames[-1].filename and not isinstance(error, SyntaxError)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if ours else ""


def files_of_entry(where: str) -> dict[str, Path]:
    """Return the files of the package that an entry point leads to, by their paths in it.

    Args:
        where: of a source, as `Source.where` has it.
    """
    module = where.rpartition(" = ")[2].partition(":")[0].strip()
    first = module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return {}
    if spec is None:
        return {}
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not folders:
        return {f"{first}.py": Path(spec.origin)} if spec.origin and spec.has_location else {}
    found = {path: folder for folder in folders for path in folder.rglob("*.py")}
    return {f"{first}/{path.relative_to(folder).as_posix()}": path for path, folder in found.items()}


def _content_of(module: str) -> bytes:
    """Return a module's file without importing it; empty where it has none that can be found.

    A version number alone would hide the edits of a package that is installed in place.
    """
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
        for depth, _ in enumerate(rest, start=2):
            if spec is None:
                break
            name = ".".join(module.split(".")[:depth])
            spec = PathFinder.find_spec(name, spec.submodule_search_locations)
        return Path(spec.origin).read_bytes() if spec is not None and spec.origin else b""
    except (ImportError, ValueError, OSError):
        return b""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
