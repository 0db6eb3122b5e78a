"""Executes what documents show: fenced blocks, in order, in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_FENCE = re.compile(r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.M | re.S)
UNFINISHED = shutil.ignore_patterns("*.pyc.*")
"""Compiled files are copied too, for compiling takes seconds; but not those that are just being written."""


@dataclass(frozen=True)
class Block:
    """A fenced block; one with a title is the content of that file."""

    language: str
    title: str | None
    text: str


def blocks(document: Path) -> Iterator[Block]:
    """Yield a document's fenced blocks."""
    for match in _FENCE.finditer(document.read_text(encoding="utf-8")):
        yield Block(match["language"], match["title"], match["text"])


def copy_of_the_project(folder: Path) -> Path:
    """Copy what a clone has and its commands use; results, reports and data start empty."""
    for name in ("bench", "methods", "datasets", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=UNFINISHED)
    for name in ("README.md", "pyproject.toml", "Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def execute(block: Block, clone: Path) -> str:
    """Do what a block says in a copy of the project and return what it printed.

    Raises:
        AssertionError: if it fails; with what it printed.
    """
    if block.title is not None:
        (clone / block.title).parent.mkdir(exist_ok=True)
        (clone / block.title).write_text(block.text, encoding="utf-8")
        return ""
    program = {"bash": ["bash", "-euc"], "python": [sys.executable, "-c"]}[block.language]
    return run([*program, block.text], clone, environment_of(clone))


def environment_of(clone: Path) -> dict[str, str]:
    """Return the environment of somebody who works in ``clone`` with our libraries."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": "", "XDG_CACHE_HOME": str(clone / "cache")}


def run(words: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run a program in a folder and return what it printed.

    Raises:
        AssertionError: if it fails; with what it printed.
    """
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout
