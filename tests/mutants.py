"""``python -m tests.mutants``: change the code at random, and count the changes that the tests notice.

Written here because mutmut leaves out decorated functions, to which most of the seal belongs, and cosmic-ray
rewrites the working tree, draws no sample, and starts a process that imports everything for each mutant.
Each mutant lives in a copy of the project; a child that is forked after the slow imports runs the tests.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]

PARTS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "evaluation": (
        "bench/evaluation/*.py",
        ("--noconftest tests/evaluation/test_[dmzi]*.py", "--noconftest tests/evaluation/test_[!dmzi]*.py"),
    ),
    "seal": (
        "bench/contract/seal.py",
        ("--noconftest tests/contract/test_seal.py", "tests/experiment/test_isolation.py"),
    ),
    "statistics": (
        "bench/analysis/statistics.py",
        ("--noconftest tests/analysis/test_ran*.py", "--noconftest tests/analysis/test_intervals.py"),
    ),
}
"""Code that is mutated, and the tests that have to notice, by part: in stages, the quickest first."""

SIZES: Final = (
    *("_BLOCK_ITEMS", "_BLOCK_ROWS", "_RELEVANT_ITEMS", "_STEP_ITEMS", "_WORTH_THREADS"),
    *("_KEPT_NUMBERS", "_ASKED_ROWS", "_BLOCK_NUMBERS", "_MOVED_ITEMS", "_STEP_NUMBERS"),
)
"""Constants that say how much is done at a time: other values change no result."""

_PAIRS: Final = (
    "Lt LtE, Gt GtE, Eq NotEq, Is IsNot, In NotIn, And Or, Add Sub, Mult Div, BitAnd BitOr, LShift RShift"
)
SWAPS: Final[dict[type[ast.AST], type[ast.AST]]] = {
    **{getattr(ast, one): getattr(ast, other) for one, other in map(str.split, _PAIRS.split(", "))},
    **{getattr(ast, other): getattr(ast, one) for one, other in map(str.split, _PAIRS.split(", "))},
    **dict.fromkeys((ast.FloorDiv, ast.Mod, ast.Pow), ast.Mult),
}
COPIED: Final = ("bench", "datasets", "docs", "methods", "tests", "results/published")
FORKED_AFTER: Final = ("numpy", "scipy.stats", "torch", "pytest", "hypothesis", "msgspec", "click", "pandas")
OPTIONS: Final = (
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-m",
    "not slow and not drill and not cuda",
)
"""A process that is forked after torch was imported cannot use a GPU."""
LIMIT: Final = 600
"""Seconds after which a mutant counts as noticed: it loops."""

Change = Callable[[], None]


class Site(NamedTuple):
    """A place where a file can be changed: the number of the node in `ast.walk`, and which of its changes."""

    part: str
    file: Path
    node: int
    change: int


def changes_of(node: ast.AST) -> Iterator[Change]:
    """Yield what changes a node in place: operators, left-out statements, conditions, numbers."""
    for name, value in ast.iter_fields(node):
        if type(value) in SWAPS:
            yield partial(setattr, node, name, SWAPS[type(value)]())
        for index, part in enumerate(value if isinstance(value, list) else []):
            if type(part) in SWAPS:
                yield partial(value.__setitem__, index, SWAPS[type(part)]())
            elif _does_something(part):
                yield partial(value.__setitem__, index, ast.Pass())
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield partial(setattr, node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.UnaryOp):
        negated = ast.UnaryOp(ast.Not() if isinstance(node.op, ast.Not) else ast.USub(), node.operand)
        yield partial(setattr, node, "operand", negated)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        other = not node.value if isinstance(node.value, bool) else node.value + 1
        yield partial(setattr, node, "value", other)


def _does_something(statement: Any) -> bool:
    """Return whether a statement can be left out, and would be missed."""
    if isinstance(statement, ast.Assign):
        return isinstance(statement.targets[0], ast.Attribute | ast.Subscript)
    is_call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    return is_call or isinstance(statement, ast.AugAssign)


def without_effect(tree: ast.AST) -> set[int]:
    """Return the ids of nodes that do nothing at run time, or only word a message."""
    left_out: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            left_out += [*node.decorator_list, getattr(node, "returns", None)]
        elif isinstance(node, ast.arg | ast.AnnAssign):
            left_out.append(node.annotation)
        elif isinstance(node, ast.Raise | ast.JoinedStr):
            left_out.append(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            alias = isinstance(node.value, ast.BinOp) and isinstance(node.value.left, ast.Name)
            left_out += [node] if node.targets[0].id in SIZES or (alias and node.col_offset == 0) else []
    return {id(part) for node in left_out if node is not None for part in ast.walk(node)}


def sites_of(part: str, file: Path) -> Iterator[Site]:
    """Yield all ways to change a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    excluded = without_effect(tree)
    for number, node in enumerate(ast.walk(tree)):
        if id(node) not in excluded:
            for change, _ in enumerate(changes_of(node)):
                yield Site(part, file.relative_to(ROOT), number, change)


def mutated(site: Site) -> tuple[str, str]:
    """Return the changed file, and what was changed in a line."""
    tree = ast.parse((ROOT / site.file).read_text(encoding="utf-8"))
    node = list(ast.walk(tree))[site.node]
    before = ast.unparse(copy.deepcopy(node)) if not isinstance(node, ast.Module) else ""
    list(changes_of(node))[site.change]()
    after = ast.unparse(ast.fix_missing_locations(node)) if not isinstance(node, ast.Module) else ""
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    was, now = next(((a, b) for a, b in pairs if a != b), (before[:60], after[:60]))
    where = f"{site.file}:{getattr(node, 'lineno', 1)}"
    return ast.unparse(tree), f"{where}: {was.strip()[:90]}  =>  {now.strip()[:90]}"


def noticed(project: Path, tests: Sequence[str]) -> bool:
    """Run tests in a child, until the first that fails."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.chdir(project)
        sys.path[:] = [str(project), *(path for path in sys.path if path not in ("", str(ROOT)))]
        for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "bench")]:
            del sys.modules[name]
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        import pytest

        status = 3
        try:
            status = pytest.main([*OPTIONS, *tests])
        finally:
            os._exit(int(status))
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def killed_by(project: Path, part: str) -> bool:
    """Return whether one of a part's stages of tests fails."""
    for stage in PARTS[part][1]:
        *flags, pattern = stage.split()
        if noticed(project, [*flags, *map(str, sorted(project.glob(pattern)))]):
            return True
    return False


def main() -> int:
    """Run the command; exit status 1 if too few mutants are noticed, or the tests fail without any."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS], help="parts to mutate; all if none is named"
    )
    parser.add_argument("--count", type=int, default=200, help="mutants over all parts (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the random choice")
    parser.add_argument("--least", type=float, default=0.9, help="share that has to be noticed")
    given = parser.parse_args()
    sites = [
        site
        for part in given.parts or PARTS
        for file in sorted(ROOT.glob(PARTS[part][0]))
        for site in sites_of(part, file)
    ]
    chosen = random.Random(given.seed).sample(sites, min(given.count, len(sites)))
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    for name in FORKED_AFTER:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="bench-mutants-") as folder:
        project = Path(folder) / "project"
        for name in COPIED:
            shutil.copytree(ROOT / name, project / name)
        shutil.copy(ROOT / "pyproject.toml", project)
        for part in {site.part for site in chosen}:
            if killed_by(project, part):
                print(f"the tests of {part} fail without any mutant")
                return 1
        killed = 0
        for site in chosen:
            text, line = mutated(site)
            file = project / site.file
            kept = file.read_text(encoding="utf-8")
            file.write_text(text, encoding="utf-8")
            killed += (dead := killed_by(project, site.part))
            file.write_text(kept, encoding="utf-8")
            print("killed  " if dead else "SURVIVED", line, flush=True)
    print(f"{killed} of {len(chosen)} mutants killed, of {len(sites)} that there are")
    return int(killed < given.least * len(chosen))


if __name__ == "__main__":
    sys.exit(main())
