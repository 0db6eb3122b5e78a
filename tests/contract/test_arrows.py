"""Structure of the code: imports point one way, some never load torch, and no function is long."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BASE = {"atomic", "plural", "signed"}
"""Modules that import nothing of the project."""

ALLOWED = {
    "contract": set[str](),
    "registry": {"contract"},
    "evaluation": {"contract"},
    "records": {"contract"},
    "data": {"contract", "registry"},
    "conditions": {"contract", "data", "registry"},
    "encoders": {"contract", "data", "registry"},
    "linear": {"contract", "data"},
    "training": {"contract", "data", "evaluation"},
    "analysis": {"conditions", "contract", "records", "registry"},
    "report": {"analysis", "conditions", "contract", "records", "registry"},
    "experiment": {"conditions", "contract", "data", "evaluation", "records", "registry"},
    "conformance": {"conditions", "contract", "data", "evaluation", "experiment", "records", "registry"},
    "searching": {"contract", "data", "encoders", "evaluation", "experiment", "records", "registry"},
    "execution": {"contract", "data", "encoders", "experiment", "records", "registry"},
}
"""Packages that each package imports besides `BASE`; `bench.cli` may import all, and nothing imports it."""

TOOLKITS = {f"bench.{name}" for name in ("contract", "training", "linear", "data", "evaluation", "encoders")}
WITHOUT_TORCH = (
    *("bench", "bench.analysis", "bench.cli", "bench.cli.check", "bench.cli.new", "bench.conditions"),
    *("bench.conformance", "bench.conformance.scaffold", "bench.contract", "bench.data", "bench.encoders"),
    *("bench.evaluation", "bench.records", "bench.registry", "bench.report", "bench.searching"),
)


@cache
def _nodes(folder: str) -> dict[Path, list[ast.AST]]:
    """Return, by file, the imports and functions of a folder's files; walking through all takes seconds."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef)
    found: dict[Path, list[ast.AST]] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found[path] = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return found


def _imports(folder: str) -> Iterator[tuple[Path, set[str]]]:
    """Yield every file of a folder with the modules that it imports; relative ones with their dots."""
    for path, nodes in _nodes(folder).items():
        names: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module == "bench":
                names |= {f"bench.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add("." * node.level + (node.module or ""))
        yield path, names


def _imported(nodes: list[ast.AST], package: str, modules: set[str]) -> Iterator[str]:
    """Yield the modules that a module imports, also in functions and for types."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            home = ".".join([*above, *filter(None, [node.module])])
            names = (f"{home}.{alias.name}" for alias in node.names)
            yield from (name if name in modules else home for name in names)


def _package(module: str) -> str:
    return ".".join(module.split(".")[:2])


@cache
def _graph() -> dict[str, set[str]]:
    """Return, by module of the harness, what it imports, also in functions and for types."""
    files: dict[str, tuple[list[ast.AST], str]] = {}
    for path, nodes in _nodes("bench").items():
        home = ".".join(path.parent.relative_to(ROOT).parts)
        files[home if path.stem == "__init__" else f"{home}.{path.stem}"] = nodes, home
    return {name: {*_imported(*found, {*files})} - {name} for name, found in files.items()}


@pytest.mark.clone
def test_a_package_imports_those_below_it_alone_and_no_plug_in_by_name() -> None:
    packages = {path.name for path in (ROOT / "bench").iterdir() if (path / "__init__.py").is_file()}
    assert packages == {*ALLOWED, "cli"}
    for module, imported in _graph().items():
        assert not {"methods", "datasets"} & {name.split(".")[0] for name in imported}, module
        home = _package(module).rpartition(".")[2]
        parts = [name.split(".") for name in imported]
        used = {part[1] for part in parts if part[0] == "bench" and part[1:2]} & (packages | BASE)
        if home in ALLOWED:
            assert used <= ALLOWED[home] | BASE | {home}, module
        elif home in BASE:
            assert not used, module
        elif home not in ("cli", "__main__"):
            assert "cli" not in used, module


@pytest.mark.clone
def test_no_modules_import_each_other_not_even_in_functions_or_for_types() -> None:
    graph = {name: imported & _graph().keys() for name, imported in _graph().items()}
    assert graph["bench.contract.method"] >= {"bench.contract.context"}
    TopologicalSorter(graph).prepare()  # raises CycleError, with the circle


@pytest.mark.clone
def test_plug_ins_import_the_contract_the_toolkits_and_each_other_relatively() -> None:
    for path, names in (*_imports("methods"), *_imports("datasets")):
        for name in names:
            assert name.split(".")[0] not in ("methods", "datasets"), f"{path} imports {name}"
            assert not name.startswith("bench") or _package(name) in TOOLKITS, f"{path} imports {name}"


def test_quick_modules_fingerprints_pages_of_methods_and_ranking_never_bring_torch() -> None:
    program = (
        "import sys, importlib, bench.data, bench.registry\n"
        "bench.data.fingerprint_of('emoji')\n"
        "assert not {'torch', 'scipy', 'h5py', 'requests'} & sys.modules.keys()\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
        "sys.modules['bench'].mean_average_precision([[1, 0], [0, 1]], [[1, 0], [0, 1]], [0, 1], [0, 1])\n"
        "importlib.import_module('bench.report.topics.methods').method_pages()\n"
        "assert 'torch' not in sys.modules\n"
    )
    words = [sys.executable, "-c", program, *WITHOUT_TORCH]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.clone
def test_no_function_is_longer_than_fifty_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for folder in ("bench", "methods", "datasets")
        for path, nodes in _nodes(folder).items()
        for node in nodes
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= 50
    ]
    assert long == []
