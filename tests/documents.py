"""Executes the fenced blocks of documents, in order, in a copy of the project."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

V = TypeVar("V")

ROOT = Path(__file__).resolve().parent.parent
_FENCE = re.compile(r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.M | re.S)
UNFINISHED = shutil.ignore_patterns("*.pyc.*")
"""Compiled files are copied too, as compiling takes seconds, but not those that are being written."""

_FORKS = get_context("forkserver")
# Loading these takes 5 s; the harness is not among them, for each process imports that of its copy.
_FORKS.set_forkserver_preload(
    ["torch", "pandas", "matplotlib.figure", "sklearn.decomposition", "scipy.stats"]
)


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
    """Copy the files of a clone that commands use; results, reports and data start empty."""
    for name in ("bench", "methods", "datasets", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=UNFINISHED)
    for name in ("README.md", "pyproject.toml", "Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def copy_with_methods(folder: Path, *methods: str) -> Path:
    """Copy it with these methods only: describing all takes seconds. An installed copy needs no sources."""
    if not (ROOT / "bench").is_dir():
        return folder
    for name in ("bench", "datasets"):
        shutil.copytree(ROOT / name, folder / name, ignore=UNFINISHED)
    shutil.copytree(ROOT / "methods" / "settings", folder / "methods" / "settings")
    for name in ("cards.yaml", "references.bib", "__init__.py", *(f"{name}.py" for name in methods)):
        shutil.copy2(ROOT / "methods" / name, folder / "methods")
    return folder


def execute(shown: Iterable[Block], clone: Path, *, children: bool = False) -> list[str]:
    """Execute blocks in one process that works in a copy of the project; return what each printed.

    Files are written, lines of bash are commands of `bench`, and blocks of Python share their names. Datasets
    are opened and plug-ins imported in child processes only with ``children``: each takes a second.

    Raises:
        AssertionError: if one fails; with what it printed.
    """
    return apart(_printed, list(shown), children, folder=clone, source=clone)


def _printed(shown: list[Block], children: bool) -> list[str]:
    if not children:
        _replace_children()
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = []
    for block in shown:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            _perform(block, names, out)
        printed.append(out.getvalue())
    return printed


def _replace_children() -> None:
    """Let this process, a fork that ends soon, do what commands have child processes do."""
    from bench.execution.local import run_inline
    from bench.registry.imports import import_here

    def opened(tasks: Any, work: Any, slots: Any, **limits: Any) -> Any:
        return run_inline(tasks, work)

    def imported(sources: Any) -> Any:
        return [import_here(source) for source in sources]

    patch("bench.execution.data_check.run_local", opened).start()
    patch("bench.registry.imports._ask", imported).start()


def _perform(block: Block, names: dict[str, Any], out: io.StringIO) -> None:
    from bench import registry
    from bench.cli import invoke

    if block.title:
        path = Path(block.title)
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        registry.rescan()
        registry.settings._yaml.cache_clear()
        sys.modules.pop(".".join(path.with_suffix("").parts), None)
    elif block.language == "python":
        exec(block.text, names)
    else:
        for line in block.text.splitlines():
            words = shlex.split(line)
            assert words[:3] == ["python", "-m", "bench"], line
            status = invoke(words[3:])
            assert status == 0, f"{line} ends with {status}: {out.getvalue()}"


def apart(work: Callable[..., V], *arguments: Any, folder: Path, source: Path) -> V:
    """Call a function in a fork of a process that has loaded the libraries; return its value.

    Args:
        work: function of a module that does not import the harness.
        arguments: of the function.
        folder: its working directory.
        source: folder from which it imports the harness.

    Raises:
        AssertionError: if it fails; with what it printed.
    """
    receiver, sender = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_answer, args=(sender, work, arguments, folder, source))
    process.start()
    sender.close()
    try:
        failure, value = receiver.recv()
    except EOFError:
        failure, value = "its process ended", None
    process.join()
    assert not failure, failure
    result: V = value
    return result


def _answer(
    sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...], folder: Path, source: Path
) -> None:
    os.chdir(folder)
    os.environ.update(environment_of(folder))
    sys.path[:] = [str(source), *(path for path in sys.path if path and Path(path).resolve() != ROOT)]
    # There is one server per process: if a report started it to draw figures, it has loaded the harness.
    for name in [name for name in sys.modules if name.partition(".")[0] in {"bench", "methods", "datasets"}]:
        del sys.modules[name]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            value = work(*arguments)
    except BaseException:
        sender.send((f"{printed.getvalue()}\n{traceback.format_exc()}", None))
    else:
        sender.send(("", value))


def environment_of(clone: Path) -> dict[str, str]:
    """Return the environment of a process in ``clone`` with the installed libraries."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": ""}


def run(words: list[str], clone: Path, **changes: str) -> str:
    """Run a program in a copy of the project and return what it printed.

    Raises:
        AssertionError: if it fails; with what it printed.
    """
    environment = environment_of(clone) | changes
    done = subprocess.run(words, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words[:3]}\n{done.stdout}\n{done.stderr}"
    return done.stdout
