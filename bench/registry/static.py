"""Static reading of plug-in files: their classes with all literal declarations, without executing the file.

From the syntax tree every class is rebuilt with its bases, docstring, annotations and literal attributes;
its functions only say that they exist. Names are followed through the harness and the plug-in's package.
A declaration that must be computed raises `NotLiteral`: then only an import can tell.
"""

from __future__ import annotations

import ast
import dataclasses
import types
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import contract

_DECLARED: Final = frozenset({"card", "Settings", "variants", "search", "embedded"})
"""Attributes of a plug-in that must be literal; any other may be computed."""


def _dataclass(cls: type | None = None, **options: Any) -> Any:
    """Make a dataclass without methods that nobody calls here: they take most of its time."""
    return dataclasses.dataclass(cls, **(options | {"repr": False, "eq": False}))


_REAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "abc": {"ABC": ABC, "abstractmethod": abstractmethod},
    "dataclasses": {"dataclass": _dataclass, "field": dataclasses.field},
    "pathlib": {"Path": Path},
    "types": {"MappingProxyType": types.MappingProxyType},
}
"""Names of the standard library that mean what they say."""

_BUILTIN: Final = {kind.__name__: kind for kind in (bool, dict, float, frozenset, int, list, str, tuple)}

_LITERAL: Final = {
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.keyword, ast.Starred, ast.Lambda),
    *(ast.Tuple, ast.List, ast.Set, ast.Dict, ast.JoinedStr, ast.FormattedValue, ast.arguments, ast.Load),
    *(ast.comprehension, ast.DictComp, ast.GeneratorExp, ast.ListComp, ast.Store),
    *(ast.UnaryOp, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Div, ast.BitOr),
}
"""What a literal expression may consist of; nothing among it grows or loops without end."""


class NotLiteral(Exception):
    """A declaration is computed, or something about it is wrong: importing the file will tell."""


class Packages:
    """Finds modules by name in the harness and in packages that are added, and parses each once."""

    def __init__(self) -> None:
        """Start with the harness; ``folder`` is that of the module whose expression is read."""
        self._packages = {"bench": Path(__file__).resolve().parent.parent}
        self._parsed: dict[str, StaticModule] = {}
        self.folder: Path | None = None

    def card(self, name: str, **fields: Any) -> contract.MethodCard:
        """Return the card that a call of `bench.contract.card` declares in the module that is read."""
        return contract.card_of(name, fields, self.folder)

    def add(self, name: str, path: Path) -> None:
        """Add a package's folder, or the file of a module without a package."""
        self._packages.setdefault(name, path)

    def module(self, name: str) -> StaticModule:
        """Return a module.

        Raises:
            NotLiteral: if there is none of that name, or it cannot be parsed.
        """
        if name not in self._parsed:
            first, *rest = name.split(".")
            file = module_file(self._packages[first], rest) if first in self._packages else None
            if file is None:
                raise NotLiteral(f"module {name} is not read")
            try:
                self._parsed[name] = StaticModule(name, file, ast.parse(file.read_bytes()), self)
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise NotLiteral(str(error)) from error
        return self._parsed[name]


def module_file(root: Path, names: Sequence[str]) -> Path | None:
    """Return the file of a module, by the names below its package; None where there is none.

    Args:
        root: folder of the package, or file of a module without one.
        names: parts of the module's name after the first.
    """
    path = root.joinpath(*names)
    files = (path.with_name(f"{path.name}.py"), path / "__init__.py", path)
    return next((file for file in files if file.is_file()), None)


class StaticModule(dict[str, Any]):
    """The values of a module's names, each found when it is asked for."""

    def __init__(self, name: str, path: Path, tree: ast.Module, packages: Packages) -> None:
        """Note what defines each name."""
        self._name, self._path, self._tree, self._packages = name, path, tree, packages
        self.update(_BUILTIN, __file__=str(path), __builtins__={})
        self._definitions: dict[str, ast.stmt] = {}
        for statement in tree.body:
            for defined in _defined(statement):
                self._definitions[defined] = statement
                self.pop(defined, None)

    def __missing__(self, name: str) -> Any:
        """Find the value of a name.

        Raises:
            NotLiteral: if it is not known without executing the module.
        """
        if self._name.startswith("bench.contract") and hasattr(contract, name):
            return self._packages.card if name == "card" else getattr(contract, name)
        statement = self._definitions.pop(name, None)  # so that no name can lead back to itself
        self[name] = self._meaning(name, statement)
        return self[name]

    def __getattr__(self, name: str) -> Any:
        """Return the value of a name, as expressions such as ``module.name`` ask for it."""
        return self[name]

    def plugin_classes(self) -> list[type]:
        """Return the classes of the module that derive from `Method` or `DatasetLoader`.

        Raises:
            NotLiteral: if a class with a card cannot be read, or classes may be made by other statements.
        """
        found: list[type] = []
        for statement in self._tree.body:
            if isinstance(statement, ast.ClassDef):
                try:
                    found.append(self[statement.name])
                except NotLiteral:
                    if any("card" in _defined(one) for one in statement.body):
                        raise
            elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
                if any(name[0].isupper() and not name.isupper() for name in _defined(statement)):
                    raise NotLiteral("a name like that of a class is given to what a call returns")
            elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(
                isinstance(node, ast.ClassDef) for node in ast.walk(statement)
            ):
                raise NotLiteral("a class is defined under a condition")
        return [cls for cls in found if issubclass(cls, (contract.Method, contract.DatasetLoader))]

    def _meaning(self, name: str, statement: ast.stmt | None) -> Any:
        if statement is None and self._path.name == "__init__.py":
            return self._packages.module(f"{self._name}.{name}")
        if isinstance(statement, ast.ClassDef):
            return self._class(statement)
        if isinstance(statement, ast.Import):
            alias = next(one for one in statement.names if name in (one.asname, one.name.partition(".")[0]))
            module = alias.name if alias.asname else name
            return (
                types.SimpleNamespace(**_REAL[module]) if module in _REAL else self._packages.module(module)
            )
        if isinstance(statement, ast.ImportFrom):
            original = next(one.name for one in statement.names if name in (one.asname, one.name))
            return self._imported(statement, original)
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if all(isinstance(target, ast.Name) for target in targets):
                return self._value(statement.value)
        raise NotLiteral(f"{name} is computed")

    def _imported(self, statement: ast.ImportFrom, name: str) -> Any:
        parts = self._name.split(".")
        above = parts[: len(parts) - statement.level + (self._path.name == "__init__.py")]
        module = ".".join([*(above if statement.level else ()), *filter(None, [statement.module])])
        if module in _REAL and name in _REAL[module]:
            return _REAL[module][name]
        return self._packages.module(module)[name]

    def _class(self, node: ast.ClassDef) -> type:
        if node.keywords:
            raise NotLiteral(f"class {node.name} has keywords")
        bases = [self._value(base) for base in node.bases]
        decorators = [self._value(decorator) for decorator in node.decorator_list]
        annotations: dict[str, str] = {}
        members: dict[str, Any] = {"__module__": __name__, "__annotations__": annotations}
        members |= {"__doc__": ast.get_docstring(node), "_module_doc": ast.get_docstring(self._tree)}
        for statement in node.body:
            members |= self._members(statement, annotations, bool(decorators))
        try:
            made: Any = types.new_class(node.name, tuple(bases), {}, lambda body: body.update(members))
            for decorate in reversed(decorators):
                made = decorate(made)
        except (AttributeError, TypeError, ValueError) as error:
            raise NotLiteral(f"class {node.name}: {error}") from error
        if not isinstance(made, type):
            raise NotLiteral(f"class {node.name} is decorated to something else")
        return made

    def _members(
        self, statement: ast.stmt, annotations: dict[str, str], is_dataclass: bool
    ) -> dict[str, Any]:
        """Return what a statement of a class body defines; special methods are left out."""
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return {} if statement.name.startswith("__") else {statement.name: _without_body(statement)}
        names = _defined(statement)
        if isinstance(statement, ast.ClassDef) and _DECLARED & names:
            return {statement.name: self._class(statement)}
        if isinstance(statement, ast.AnnAssign) and "ClassVar" not in (
            text := ast.unparse(statement.annotation)
        ):
            annotations.update(dict.fromkeys(names, text))
        value = getattr(statement, "value", None)
        if not names or value is None:
            return {}
        try:
            return dict.fromkeys(names, self._value(value))
        except NotLiteral:
            if _DECLARED & names or (is_dataclass and annotations.keys() & names):
                raise
            return dict.fromkeys(names)  # enough to see that they are defined

    def _value(self, node: ast.expr) -> Any:
        """Return the value of an expression that consists of literals, known names and calls of these."""
        if isinstance(node, ast.Constant):
            return node.value
        for part in ast.walk(node):
            kind = type(part)
            if kind not in _LITERAL or (kind is ast.Attribute and part.attr.startswith("_")):  # type: ignore[attr-defined]
                raise NotLiteral(f"{kind.__name__} is computed")
        code = compile(ast.Expression(node), str(self._path), "eval")
        before, self._packages.folder = self._packages.folder, self._path.parent
        try:
            return eval(code, self)  # noqa: S307 (no name leads to code of the plug-in)
        except Exception as error:
            raise NotLiteral(str(error)) from error
        finally:
            self._packages.folder = before


def _defined(statement: ast.stmt) -> set[str]:
    """Return the names to which a statement gives a value."""
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return {statement.target.id}
    nodes = ast.walk(statement)
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _without_body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Any:
    """Return a function that cannot be called, abstract where the one in the source is."""

    def missing(*_: Any, **__: Any) -> None:
        """Refuse to stand in for the function of the source."""
        raise NotLiteral(f"{function.name} is called")

    words = {ast.unparse(decorator).rpartition(".")[2] for decorator in function.decorator_list}
    return abstractmethod(missing) if "abstractmethod" in words else missing
