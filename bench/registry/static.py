"""Static reading of plug-in files: their classes with all literal declarations, without running their code.

Of a class only the declarations are executed: its functions and other attributes become stubs. Names are
followed through the harness and the plug-in's package. A declaration that must be computed raises
`NotLiteral`: then the file must be imported.
"""

from __future__ import annotations
import __future__

import ast
import dataclasses
import types
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any, Final

from bench import contract
from bench.registry.descriptions import derives

_DECLARED: Final = frozenset({"card", "Settings", "variants", "search", "embedded"})
"""Attributes of a plug-in that are read, and must be literal."""

_LITERAL: Final = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.keyword, ast.Starred, ast.Lambda),
    *(ast.Tuple, ast.List, ast.Set, ast.Dict, ast.JoinedStr, ast.FormattedValue, ast.arguments, ast.Load),
    *(ast.comprehension, ast.DictComp, ast.GeneratorExp, ast.ListComp, ast.Store),
    *(ast.UnaryOp, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Div, ast.BitOr),
)
"""What a literal expression may consist of; nothing among it grows or loops without end."""


_BUILTINS: Final = {"__build_class__": __build_class__, "__import__": __import__}
"""What a class statement and Python's generic types need; no expression may name them."""


_POSITION: Final[dict[str, Any]] = {"lineno": 1, "col_offset": 0}
"""Of statements and expressions that are added."""


class NotLiteral(Exception):
    """A declaration is computed or wrong: the file must be imported."""


class _Names(dict[str, Any]):
    """Values of a module's names, which expressions ask for as attributes."""

    def __missing__(self, name: str) -> Any:
        raise NotLiteral(f"{name} is not known")

    def __getattr__(self, name: str) -> Any:
        return self[name]


def _stub(*_: Any, **__: Any) -> None:
    """Stand for a function, which is not called."""
    raise NotLiteral("a function is called")


_abstract_stub: Final = abstractmethod(lambda: None)


def _dataclass(cls: type | None = None, **options: Any) -> Any:
    """Make a dataclass without unused methods: they take most of its time."""
    return dataclasses.dataclass(cls, **(options | {"repr": False, "eq": False}))


_BUILTIN: Final = {kind.__name__: kind for kind in (bool, dict, float, frozenset, int, list, str, tuple)}
_REAL: Final = {
    "abc": _Names(ABC=ABC, abstractmethod=abstractmethod),
    "bench.contract": _Names({name: getattr(contract, name) for name in contract.__all__}),
    "dataclasses": _Names(dataclass=_dataclass, field=dataclasses.field),
    "pathlib": _Names(Path=Path),
    "types": _Names(MappingProxyType=types.MappingProxyType),
}
"""Modules whose names have their usual values."""


class Packages:
    """Finds modules by name in the harness and in packages that are added, and parses each once.

    Attributes:
        folders: of packages, or files of modules without a package, by name.
    """

    def __init__(self, folders: Mapping[str, Path] | None = None) -> None:
        self.folders = {"bench": Path(__file__).resolve().parent.parent, **(folders or {})}
        self._modules: dict[str, _Names] = dict(_REAL)

    def add(self, name: str, path: Path) -> None:
        """Add a package's folder, or the file of a module without a package."""
        self.folders.setdefault(name, path)

    def module(self, name: str) -> _Names:
        """Return a module.

        Raises:
            NotLiteral: if there is none of that name, or it cannot be parsed.
        """
        name = "bench.contract" if name.startswith("bench.contract.") else name
        if name not in self._modules:
            first, *rest = name.split(".")
            file = module_file(self.folders[first], rest) if first in self.folders else None
            if file is None:
                raise NotLiteral(f"module {name} is not read")
            try:
                self._modules[name] = _Module(name, file, self)
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise NotLiteral(str(error)) from error
        return self._modules[name]

    def plugin_classes(self, name: str) -> list[type]:
        """Return the classes of a module that derive from `Method` or `DatasetLoader`.

        Raises:
            NotLiteral: if a class with a card cannot be read, or classes may be made by other statements.
        """
        module, found = self.module(name), []
        for statement in module.tree.body:
            if isinstance(statement, ast.ClassDef):
                try:
                    found.append(module[statement.name])
                except NotLiteral:
                    if any("card" in _defined(part) for part in statement.body):
                        raise
            elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
                if any(name[0].isupper() and not name.isupper() for name in _defined(statement)):
                    raise NotLiteral("a name like that of a class is given to what a call returns")
            elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(
                isinstance(node, ast.ClassDef) for node in _nodes(statement)
            ):
                raise NotLiteral("a class is defined under a condition")
        return [cls for cls in found if derives(cls, contract.Method, contract.DatasetLoader)]


def module_file(root: Path, names: Sequence[str]) -> Path | None:
    """Return the file of a module by the names below its package's folder; None for none."""
    path = root.joinpath(*names)
    files = (path.with_name(f"{path.name}.py"), path / "__init__.py", path)
    return next((file for file in files if file.is_file()), None)


class _Module(_Names):
    """The values of a module's names, each computed on first access."""

    def __init__(self, name: str, path: Path, packages: Packages) -> None:
        self.tree = ast.parse(path.read_bytes())
        self._name, self._path, self._packages = name, path, packages
        self._definitions = {word: statement for statement in self.tree.body for word in _defined(statement)}
        super().__init__({word: kind for word, kind in _BUILTIN.items() if word not in self._definitions})

    def __missing__(self, name: str) -> Any:
        statement = self._definitions.pop(name, None)  # so that no name can lead back to itself
        if statement is None and self._path.name == "__init__.py":
            value: Any = self._packages.module(f"{self._name}.{name}")
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            alias = next(
                each for each in statement.names if name in (each.asname, each.name.partition(".")[0])
            )
            if isinstance(statement, ast.Import):
                value = self._packages.module(alias.name if alias.asname else name)
            else:
                parts = self._name.split(".")
                above = parts[: len(parts) - statement.level + (self._path.name == "__init__.py")]
                module = [*(above if statement.level else ()), *filter(None, [statement.module])]
                value = self._packages.module(".".join(module))[alias.name]
        elif isinstance(statement, ast.ClassDef):
            value = self._executed(self._declarations(statement), name)
            if not isinstance(value, type):
                raise NotLiteral(f"class {name} is decorated to something else")
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            _require_literal(statement.value)
            value = self._executed(statement, name)
        else:
            raise NotLiteral(f"{name} is computed")
        self[name] = value
        return value

    def _executed(self, statement: ast.stmt, name: str) -> Any:
        """Execute a literal statement and return what it gives to a name."""
        scope: dict[str, Any] = {"__builtins__": _BUILTINS, "__name__": __name__}
        scope |= {"__file__": str(self._path), "_stub": _stub, "_abstract_stub": _abstract_stub}
        for node in _nodes(statement):
            if isinstance(node, ast.Name) and node.id not in scope:
                with suppress(NotLiteral):  # a word of an annotation, or of the statement itself
                    scope[node.id] = self[node.id]
        tree = ast.Module([statement], [])
        try:
            # no name leads to code of the plug-in
            exec(compile(tree, str(self._path), "exec", __future__.annotations.compiler_flag, True), scope)  # noqa: S102
            return scope[name]
        except Exception as error:
            raise NotLiteral(f"{name}: {error}") from error

    def _declarations(self, node: ast.ClassDef) -> ast.ClassDef:
        """Return a class with its declarations, and stubs for its other attributes."""
        if node.keywords:
            raise NotLiteral(f"class {node.name} has keywords")
        _require_literal(*node.bases, *node.decorator_list)
        document = ast.Constant(ast.get_docstring(self.tree), **_POSITION)
        body = [part for statement in node.body for part in self._kept(statement, bool(node.decorator_list))]
        body.append(_assign("_module_doc", value=document))
        found = copy(node)
        found.body = body
        return found

    def _kept(self, statement: ast.stmt, is_dataclass: bool) -> Iterator[ast.stmt]:
        """Yield the replacement of a statement of a class's body."""
        names = _defined(statement)
        if isinstance(statement, ast.ClassDef) and names & _DECLARED:
            yield self._declarations(statement)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            yield statement
        elif isinstance(statement, ast.AnnAssign) and "ClassVar" not in ast.unparse(statement.annotation):
            if is_dataclass or (names & _DECLARED and statement.value is not None):
                _require_literal(*filter(None, [statement.value]))
                yield statement
            elif statement.value is not None:
                yield from map(_assign_stub, names)
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and names & _DECLARED and statement.value:
            _require_literal(statement.value)
            yield _assign(*names, value=statement.value)
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            words = {ast.unparse(decorator).rpartition(".")[2] for decorator in statement.decorator_list}
            if not statement.name.startswith("__"):
                stub = "_abstract_stub" if "abstractmethod" in words else "_stub"
                yield _assign_stub(statement.name, stub)
        else:
            yield from map(_assign_stub, names)


def _assign_stub(name: str, stub: str = "_stub") -> ast.Assign:
    """Return the statement that gives a stub to a name."""
    return _assign(name, value=ast.Name(stub, ast.Load(), **_POSITION))


def _assign(*names: str, value: ast.expr) -> ast.Assign:
    """Return the statement that gives a value to names."""
    return ast.Assign([ast.Name(name, ast.Store(), **_POSITION) for name in names], value, **_POSITION)


def _nodes(*roots: ast.AST) -> list[ast.AST]:
    """Return nodes with all nodes below them, as `ast.walk` does in twice the time."""
    found = [*roots]
    for node in found:  # which grows
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                found.append(value)
            elif isinstance(value, list):
                found += [part for part in value if isinstance(part, ast.AST)]
    return found


def _require_literal(*expressions: ast.expr) -> None:
    """Refuse expressions that call code or reach into objects; raises `NotLiteral`."""
    for node in _nodes(*expressions):
        private = (isinstance(node, ast.Attribute) and node.attr.startswith("_")) or (
            isinstance(node, ast.Name) and node.id.startswith("__") and node.id != "__file__"
        )
        if private or not isinstance(node, _LITERAL):
            raise NotLiteral(f"{type(node).__name__} is computed")


def _defined(statement: ast.stmt) -> set[str]:
    """Return the names to which a statement gives a value."""
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return {statement.target.id}
    return {
        node.id
        for node in _nodes(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
