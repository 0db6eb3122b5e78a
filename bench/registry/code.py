"""Digests of code: of its syntax tree without comments, docstrings, layout and messages.

The walk gives the same on every supported version of Python. Left out, since no number depends on it:
positions, docstrings and other bare strings, ``pass``, ``__all__``, imports for type checkers, annotations
outside class bodies, the arguments of raised exceptions, the messages of assertions, the descriptive fields
of cards, and meanings and sources of settings.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from bench.atomic import read_cache, write_whole
from bench.contract import PluginError

LOCK: Final = Path(__file__).with_name("versions.yaml")
UnitKind = Literal["packages", "methods", "datasets"]

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_BLOCKS: Final = {"body", "orelse", "finalbody"}
_IGNORED: Final = {"ctx", "kind", "type_comment", "type_ignores", "returns"}
_CARDS: Final = {"MethodCard", "DatasetCard", "card"}
DESCRIPTIVE: Final = {
    *("title", "authors", "year", "venue", "family", "role", "from_paper", "from_release", "parity"),
    *("citation", "code", "position", "licence", "source", "notes", "in_all"),
}
"""Fields of cards that are printed and decide nothing about a cell."""

_MOST: Final = 4_000  # digests that are remembered; with more, only those in use are kept


class Confirmed(NamedTuple):
    """A version of numbers, and the digest of the code at which it was confirmed."""

    version: int
    digest: str


Lock = dict[UnitKind, dict[str, Confirmed]]


def read_lock(path: Path = LOCK) -> Lock:
    """Return the confirmed versions; none where there is no such file.

    Raises:
        PluginError: if it is not what `make versions` writes.
    """
    import yaml

    lock: Lock = {"packages": {}, "methods": {}, "datasets": {}}
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where libyaml is there: 8 times faster
        content: Any = yaml.load(path.read_text(encoding="utf-8"), loader) if path.is_file() else lock  # noqa: S506 (a SafeLoader)
        for kind, units in lock.items():
            units |= {
                name: Confirmed(int(fields["version"]), fields["digest"])
                for name, fields in content[kind].items()
            }
    except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise PluginError(f"{path} is not as `make versions` writes it ({error!r}); restore it") from error
    return lock


class CodeDigests:
    """Digests of files by their content, remembered from one process to the next.

    Parsing the whole harness takes some tenths of a second; reading its bytes takes some milliseconds.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        with contextlib.suppress(RuntimeError):
            self._known = read_cache(cache_file(_cache_name()))
        self._used: dict[str, str] = {}
        self._fresh = False

    def of_files(self, files: Mapping[str, Path], besides: str = "") -> str:
        """Return the digest of files, by names that do not depend on their folder, and of a further text.

        Raises:
            OSError: if one cannot be read.
        """
        parts = [f"{name} {self._of_file(path)}\n" for name, path in sorted(files.items())]
        return hashlib.sha256("".join([*parts, besides]).encode()).hexdigest()[:16]

    def remember(self) -> None:
        """Write new digests to the cache; if that fails, they are computed again."""
        if self._fresh:
            kept = self._used if len(self._known) > _MOST else {**self._known, **self._used}
            with contextlib.suppress(OSError, RuntimeError):
                write_whole(cache_file(_cache_name()), json.dumps(kept))
            self._fresh = False

    def _of_file(self, path: Path) -> str:
        """Return the digest of a file, known or computed now."""
        content = path.read_bytes()
        key = hashlib.sha256(content).hexdigest()[:32]
        digest = self._used.get(key) or self._known.get(key)
        self._fresh |= digest is None
        self._used[key] = digest or code_digest(content.decode("utf-8", "surrogateescape"))
        return self._used[key]


@cache
def _cache_name() -> str:
    """Return a file's name with a digest of this module: another walk gives other digests."""
    return f"code-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]}.json"


def cache_file(name: str) -> Path:
    """Return the path of a file that may be lost at any time.

    Raises:
        RuntimeError: if the user has no home folder.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "cross-modal-bench" / name


def code_digest(text: str) -> str:
    """Return the digest, 16 hexadecimal digits, of Python source code.

    Text that is not valid Python is digested as it is.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    parts: list[str] = []
    _add(parts, tree, in_class=False)
    return hashlib.sha256("".join(parts).encode("ascii")).hexdigest()[:16]


def _add(parts: list[str], value: Any, in_class: bool) -> None:
    """Append a node, a list or a value as ASCII text, ``in_class``: of a class's body, outside functions."""
    if isinstance(value, list):
        parts.append("[")
        for item in value:
            _add(parts, item, in_class)
            parts.append(",")
        parts.append("]")
    elif isinstance(value, ast.Constant):
        parts.append(f"<{type(value.value).__name__}:{value.value!a}>")
    elif isinstance(value, ast.AST):
        if isinstance(value, ast.AnnAssign) and value.value is not None and not in_class:
            value = ast.Assign(targets=[value.target], value=value.value)
        below = isinstance(value, ast.ClassDef) or (in_class and not isinstance(value, _FUNCTIONS))
        parts.append(f"({type(value).__name__}")
        for name in sorted(value._fields):
            field = _field(value, name, below)
            if field is not None and field != []:
                parts.append(f" {name}=")
                _add(parts, field, below)
        parts.append(")")
    else:
        parts.append(f"{type(value).__name__}:{value!a}")


def _field(node: ast.AST, name: str, below: bool) -> Any:
    """Return a field without what no number depends on; ``below``: its parts are in a class's body."""
    value: Any = getattr(node, name, None)
    if name in _IGNORED or (name == "annotation" and not isinstance(node, ast.AnnAssign)):
        return None
    if name in _BLOCKS and isinstance(value, list):
        return [item for item in value if not _is_idle(item, below)]
    if isinstance(node, ast.Raise):
        exception = value if name == "exc" else None
        return exception.func if isinstance(exception, ast.Call) else exception
    if isinstance(node, ast.Assert) and name == "msg":
        return None
    if isinstance(node, ast.JoinedStr) and name == "values":
        return _merged(value)
    called = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
    if name == "keywords" and called in _CARDS:
        return [item for item in value if item.arg not in DESCRIPTIVE]
    if called == "setting":  # what follows the value are words
        if name == "args":
            return value[:1]
        return [item for item in value if item.arg == "value"] if name == "keywords" else value
    return value


def _is_idle(node: ast.AST, in_class: bool) -> bool:
    """Whether a statement changes nothing."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" and not node.orelse
    if isinstance(node, ast.AnnAssign):
        return node.value is None and not in_class
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
    return isinstance(node, ast.Pass)


def _merged(values: Sequence[ast.expr]) -> list[ast.expr]:
    """Join neighbouring texts of a formatted string: versions of Python split them differently."""
    merged: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            if not value.value:
                continue
            last = merged[-1] if merged else None
            if isinstance(last, ast.Constant) and isinstance(last.value, str):
                merged[-1] = ast.Constant(last.value + value.value)
                continue
        merged.append(value)
    return merged
