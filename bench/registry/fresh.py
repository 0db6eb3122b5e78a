"""A plug-in's modules, executed anew: what they keep at module level does not outlive a cell."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from types import ModuleType
from typing import Any

from bench.registry.catalogue import method
from bench.registry.describing import importing
from bench.registry.sources import Source, is_plugin, source_at


@contextmanager
def fresh_modules(name: str) -> Iterator[None]:
    """Let the modules of a method be executed anew where they are imported in the body.

    These are: for a file in the folder of methods, that folder's package; for an entry point, its top-level
    package; for a file named by hand, its module and whatever lies beside it. Modules of earlier imports come
    back after the body, so that classes that a caller holds stay those that ``import`` gives.

    Raises:
        UsageError: if there is no method of that name.
    """
    with importing():
        source = source_at("methods", method(name).where)
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
    names = _beside(source) if is_plugin(source.where) else _in_package(source)
    found = {name: sys.modules[name] for name in names if not _is_kept(name)}
    for name in found:
        del sys.modules[name]
    return found


def _in_package(source: Source) -> list[str]:
    """Return the imported modules of a source's package: of an entry point, of its top-level package."""
    package = source.entry.split(":")[0].split(".")[0] or source.module.rpartition(".")[0]
    return [name for name in sys.modules if name == package or name.startswith(f"{package}.")]


def _beside(source: Source) -> list[str]:
    """Return a file's module, the imported files of its folder, and the packages directly in that folder."""
    folder = _folder(source.where)
    packages = {
        name
        for name, module in sys.modules.items()
        if "." not in name and any(_folder(path) == folder for path in _attribute(module, "__path__"))
    }
    return [
        name
        for name, module in sys.modules.items()
        if name == source.module
        or name.split(".")[0] in packages
        or _folder(_attribute(module, "__file__") or "") == folder
    ]


def _folder(path: str) -> str:
    return path.rpartition(os.sep)[0]  # quicker than pathlib: a process has thousands of modules


def _attribute(module: ModuleType, name: str) -> Any:
    """Return an attribute that a module really has, without asking those that make up attributes."""
    return getattr(module, "__dict__", {}).get(name) or ()


def _is_kept(name: str) -> bool:
    """Whether a module is never executed again: the harness, the program, and compiled code."""
    loader = getattr(_attribute(sys.modules[name], "__spec__"), "loader", None)
    part_of_harness = name.split(".")[0] == "bench" and not name.startswith("bench.installed_")
    return part_of_harness or name == "__main__" or isinstance(loader, ExtensionFileLoader)
