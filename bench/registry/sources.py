"""Sources of plug-ins: the folders `methods/` and `datasets/`, entry points, and files given by path."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ExtensionFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

from bench.contract import DatasetLoader, Method, PluginError
from bench.registry.descriptions import is_plugin_class
from bench.registry.static import NotLiteral, Packages, module_file

Kind = Literal["methods", "datasets"]
BASE: Final[dict[Kind, type]] = {"methods": Method, "datasets": DatasetLoader}

_PLUGINS: list[Path] = []
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
    def is_named(self) -> bool:
        """Whether somebody named it, so that it should define a plug-in."""
        return not Path(self.where).is_file() or is_plugin(self.where)

    def static_classes(self, packages: Packages) -> list[type]:
        """Rebuild the plug-in classes from the source text.

        Raises:
            NotLiteral: if that is not possible.
            PluginError: if a class is not finished.
        """
        package = self.module.partition(".")[0]
        path = Path(self.where)
        if not path.is_file():
            packages.add(package, _package_of(package))
        elif not self.module.startswith("bench."):
            packages.add(package, path.parent if "." in self.module else path)
        module = packages.module(self.module)
        if not self.attribute:
            return [cls for cls in module.plugin_classes() if self._is_meant(cls)]
        named = module[self.attribute]
        if not isinstance(named, type):
            raise NotLiteral(f"{self.attribute} is not a class")
        return [named] if self._is_meant(named) else []

    def classes(self) -> list[type]:
        """Import the source and return its plug-in classes.

        Raises:
            PluginError: if the import fails, or a class is not finished.
        """
        try:
            loaded = self._load()
        except (Exception, SystemExit) as error:
            if isinstance(error, PluginError):
                raise PluginError(f"{self.where} cannot be imported: {error}") from error
            reason = f"{type(error).__name__}: {error}{_line_of(error)}"
            if isinstance(error, SystemExit):
                reason = f"it ends the program{_line_of(error)}; take that out of the module's top level"
            raise PluginError(f"{self.where} cannot be imported: {reason}") from error
        if not isinstance(loaded, ModuleType):
            return [loaded] if inspect.isclass(loaded) and self._is_meant(loaded) else []
        defined = (
            value
            for value in vars(loaded).values()
            if inspect.isclass(value) and value.__module__ == loaded.__name__
        )
        return [cls for cls in dict.fromkeys(defined) if self._is_meant(cls)]

    def _load(self) -> object:
        """Return the module, or whatever an entry point refers to."""
        if not Path(self.where).is_file():
            loaded: Any = importlib.import_module(self.module)
            for name in filter(None, self.attribute.split(".")):
                loaded = getattr(loaded, name)
            return loaded
        if self.module in sys.modules:
            return sys.modules[self.module]
        if self.module.startswith(_BY_PATH):
            return _load_file(self.module, Path(self.where))
        _home(self.kinds[0])  # makes the package that the module is part of
        return importlib.import_module(self.module)

    def _is_meant(self, cls: type) -> bool:
        return issubclass(cls, tuple(BASE[kind] for kind in self.kinds)) and is_plugin_class(cls, self.where)


def sources() -> Iterator[Source]:
    """Yield all sources: folders first, then entry points, then files given by path."""
    for kind in BASE:
        yield from _in_folder(kind)
    for kind in BASE:
        yield from _entries(kind)
    yield from _by_path()


def source_at(kind: Kind, where: str) -> Source:
    """Return the source of ``kind`` that `sources` gave with this ``where``."""
    found = (*_in_folder(kind), *_by_path())
    # entry points come last: to look for them takes longer than many a cell
    return next((one for one in found if one.where == where), None) or next(
        one for one in _entries(kind) if one.where == where
    )


def _in_folder(kind: Kind) -> Iterator[Source]:
    folder, package = _home(kind)
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("_") and path.is_file():
            yield Source((kind,), str(path), _digest(path.read_bytes()), f"{package}.{path.stem}")


def _entries(kind: Kind) -> Iterator[Source]:
    for point in sorted(entry_points(group=f"bench.{kind}"), key=lambda item: item.name):
        version = point.dist.version if point.dist is not None else ""
        content = _content_of(point.module)
        key = _digest(f"{point.value} {version} ".encode() + content)
        yield Source(
            (kind,), f"entry point {point.name} = {point.value}", key, point.module, point.attr or ""
        )


def _by_path() -> Iterator[Source]:
    for path in _PLUGINS:
        name = f"{_BY_PATH}{path.stem}_{_digest(str(path).encode())[:8]}"
        yield Source(("methods", "datasets"), str(path), _digest(path.read_bytes()), name)


def folder_of(kind: Kind) -> Path:
    """Return the folder that holds the project's plug-ins of ``kind``."""
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
    """Return the files given by path, in order."""
    return tuple(str(path) for path in _PLUGINS)


def is_plugin(where: str) -> bool:
    """Whether a source is a file given by path."""
    return Path(where) in _PLUGINS


def _home(kind: Kind) -> tuple[Path, str]:
    """Return the folder and the package name under which its files are imported.

    An installed copy holds them inside ``bench``. In a clone they lie at the top, where another package
    of the same name may come first on the path: then they are imported under another name.
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


def _load_file(name: str, path: Path, package: Path | None = None) -> ModuleType:
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
    """Return the files of the package that an entry point leads to, by their paths in it.

    Args:
        where: of a source, as `Source.where` has it.
    """
    first = where.rpartition(" = ")[2].partition(":")[0].strip().partition(".")[0]
    spec = _spec_of(first)
    if spec is None:
        return {}
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not folders:
        return {f"{first}.py": Path(spec.origin)} if spec.origin and spec.has_location else {}
    found = {path: folder for folder in folders for path in folder.rglob("*.py")}
    return {f"{first}/{path.relative_to(folder).as_posix()}": path for path, folder in found.items()}


def _package_of(name: str) -> Path:
    """Return the folder of a package, or the file of a module, without importing it.

    Raises:
        NotLiteral: if there is none.
    """
    spec = _spec_of(name)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if spec is None or not (folders or spec.origin):
        raise NotLiteral(f"there is no module {name}")
    return Path(folders[0] if folders else spec.origin or "")


def _content_of(module: str) -> bytes:
    """Return a module's file without importing it; empty where it has none that can be found.

    A version number alone would hide the edits of a package that is installed in place.
    """
    first, *rest = module.split(".")
    try:
        file = module_file(_package_of(first), rest)
        return file.read_bytes() if file is not None else b""
    except (NotLiteral, OSError):
        return b""


def _spec_of(package: str) -> Any:
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def fresh_modules_of(source: Source) -> Iterator[None]:
    """Let the modules of a source be executed anew where they are imported in the body.

    These are: for a file in a folder of plug-ins, that folder's package; for an entry point, its top-level
    package; for a file given by path, its module and whatever lies beside it. Modules of earlier imports come
    back after the body, so that classes that a caller holds stay those that ``import`` gives.
    """
    before = _removed(source)
    try:
        yield
    finally:
        _removed(source)
        sys.modules.update(before)
        for path, module in before.items():
            parent, _, child = path.rpartition(".")
            if parent in sys.modules:
                setattr(sys.modules[parent], child, module)


def _removed(source: Source) -> dict[str, ModuleType]:
    """Take a source's modules out of the table of imported ones, and return them."""
    if is_plugin(source.where):
        names = _beside(source)
    else:
        is_entry = not Path(source.where).is_file()
        package = source.module.partition(".")[0] if is_entry else source.module.rpartition(".")[0]
        names = [name for name in sys.modules if name == package or name.startswith(f"{package}.")]
    found = {name: sys.modules[name] for name in names if not _is_kept(name)}
    for name in found:
        del sys.modules[name]
    return found


def _beside(source: Source) -> list[str]:
    """Return a file's module, the imported files of its folder, and the packages directly in that folder."""
    folder = _parent(source.where)
    packages = {
        name
        for name, module in sys.modules.items()
        if "." not in name and any(_parent(path) == folder for path in _attribute(module, "__path__"))
    }
    return [
        name
        for name, module in sys.modules.items()
        if name == source.module
        or name.split(".")[0] in packages
        or _parent(_attribute(module, "__file__") or "") == folder
    ]


def _parent(path: str) -> str:
    return path.rpartition(os.sep)[0]  # quicker than pathlib: a process has thousands of modules


def _attribute(module: ModuleType, name: str) -> Any:
    """Return an attribute that a module really has, without asking those that make up attributes."""
    return getattr(module, "__dict__", {}).get(name) or ()


def _is_kept(name: str) -> bool:
    """Whether a module is never executed again: the harness, the program, and compiled code."""
    loader = getattr(_attribute(sys.modules[name], "__spec__"), "loader", None)
    part_of_harness = name.split(".")[0] == "bench" and not name.startswith("bench.installed_")
    return part_of_harness or name == "__main__" or isinstance(loader, ExtensionFileLoader)
