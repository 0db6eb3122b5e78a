"""The house's arrows point one way, and what must be quick to import never brings torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FORBIDDEN = {
    "bench/contract": {"bench.registry", "bench.data", "bench.evaluation", "bench.training", "bench.records"},
    "bench/data": {"bench.experiment", "bench.execution", "bench.records", "bench.report"},
    "bench/evaluation": {"bench.experiment", "bench.execution", "bench.records", "bench.training"},
    "bench/training": {"bench.experiment", "bench.execution", "bench.records", "bench.registry"},
    "bench/linear": {"bench.experiment", "bench.execution", "bench.records", "bench.registry"},
    "bench/records": {"bench.experiment", "bench.execution", "bench.report", "bench.evaluation"},
    "bench/registry": {"bench.experiment", "bench.execution", "bench.records", "bench.training"},
    "bench/experiment": {"bench.execution", "bench.analysis", "bench.report", "bench.training"},
    "bench/execution": {"bench.analysis", "bench.report", "bench.training"},
    "bench/analysis": {"bench.experiment", "bench.execution", "bench.report", "bench.evaluation"},
    "bench/report": {"bench.experiment", "bench.execution", "bench.evaluation", "bench.data"},
}
TOOLKITS = {"bench.contract", "bench.training", "bench.linear", "bench.data", "bench.evaluation"}
WITHOUT_TORCH = (
    "bench",
    "bench.analysis",
    "bench.cli",
    "bench.cli.check",
    "bench.cli.new",
    "bench.conformance",
    "bench.conformance.scaffold",
    "bench.contract",
    "bench.data",
    "bench.evaluation",
    "bench.records",
    "bench.registry",
    "bench.report",
)


def _files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "bench":
            yield from (f"bench.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_the_harness_imports_no_method_and_no_dataset_by_name() -> None:
    for path in _files("bench"):
        named = {name for name in _imports(path) if name.split(".")[0] in ("methods", "datasets")}
        assert not named, f"{path} imports {named}"


def test_nothing_imports_the_command_line() -> None:
    for path in _files("bench"):
        if "cli" not in path.parts and path.name != "__main__.py":
            assert "bench.cli" not in {_room(name) for name in _imports(path)}, path


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_room_does_not_know_those_that_stand_on_it(folder: str) -> None:
    for path in _files(folder):
        assert not FORBIDDEN[folder] & {_room(name) for name in _imports(path)}, path


@pytest.mark.parametrize("folder", ["methods", "datasets"])
def test_plug_ins_import_the_contract_the_toolkits_and_each_other_relatively(folder: str) -> None:
    for path in _files(folder):
        for name in _imports(path):
            assert name.split(".")[0] not in ("methods", "datasets"), f"{path} imports {name}"
            assert not name.startswith("bench") or _room(name) in TOOLKITS, f"{path} imports {name}"


def test_quick_modules_never_bring_torch() -> None:
    program = (
        "import sys, importlib\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *WITHOUT_TORCH], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
