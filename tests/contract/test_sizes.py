"""No function is longer than a screen."""

from __future__ import annotations

import ast

import pytest

from tests.contract.test_arrows import ROOT

MOST_LINES = 50

pytestmark = pytest.mark.clone


def test_no_function_is_longer_than_fifty_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for folder in ("bench", "methods", "datasets")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= MOST_LINES
    ]
    assert long == []
