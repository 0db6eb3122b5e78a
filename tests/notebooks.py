"""Runs notebooks without Jupyter, in this process; ``python -m tests.notebooks FILE`` saves what one prints.

A cell's lines that begin with ``!python -m bench`` are commands, ``%%writefile FILE`` writes its text, and
all else is Python, whose last expression is shown. Figures that are open after a cell are saved as PNG.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMAND = "!python -m bench "


def executed(notebook: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Execute the code cells in order in the current folder; yield the outputs of each.

    Raises:
        Exception: what a cell raises; AssertionError if a command ends with another status than 0.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            yield list(_outputs("".join(cell["source"]), names))


def _outputs(source: str, names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        shown = _run(source, names)
    if printed.getvalue():
        yield {
            "name": "stdout",
            "output_type": "stream",
            "text": printed.getvalue().splitlines(keepends=True),
        }
    if shown is not None:
        text = repr(shown).splitlines(keepends=True)
        yield {
            "data": {"text/plain": text},
            "execution_count": None,
            "metadata": {},
            "output_type": "execute_result",
        }
    if "matplotlib.pyplot" in sys.modules:
        from matplotlib import pyplot as plt

        for number in plt.get_fignums():
            picture = io.BytesIO()
            plt.figure(number).savefig(picture, format="png", dpi=70)
            code = base64.b64encode(picture.getvalue()).decode()
            yield {"data": {"image/png": code}, "metadata": {}, "output_type": "display_data"}
        plt.close("all")


def _run(source: str, names: dict[str, Any]) -> Any:
    """Execute a cell; return the value of its last expression."""
    if source.startswith("%%writefile "):
        first, _, text = source.partition("\n")
        Path(first.split()[1]).write_text(text, encoding="utf-8")
        return None
    if source.startswith(COMMAND):
        from bench.cli import invoke

        for line in source.splitlines():
            status = invoke(shlex.split(line.removeprefix(COMMAND)))
            assert status == 0, f"{line} ends with {status}"
        return None
    tree = ast.parse(source)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body.pop()
    exec(compile(tree, "<cell>", "exec"), names)
    shown = (
        None
        if not isinstance(last, ast.Expr)
        else eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    )
    return None if source.rstrip().endswith(";") else shown


def main(file: str) -> None:
    """Execute a notebook in an empty folder, and save its outputs."""
    path = Path(file).resolve()
    notebook = json.loads(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        outputs = list(executed(notebook))
        os.chdir(path.parent)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, (cell, found) in enumerate(zip(code, outputs, strict=True), 1):
        cell["outputs"], cell["execution_count"] = found, number
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    main(sys.argv[1])
