"""``python -m tests.mutants``: change the code at random, and count the changes that the tests notice.

Written here because mutmut leaves out decorated functions, to which most of the seal belongs, and cosmic-ray
rewrites the working tree, draws no sample, and starts a process that imports everything for each mutant.
Each mutant lives in a copy of the project; a child that is forked after the slow imports runs the tests that
run the changed statement, quick ones first, until one fails. There is no deadline but a limit of processor
time: a busy machine kills no mutant.

Left out is what cannot change a result: annotations, messages and representations, the constants of `SIZES`,
``strict`` of `zip`, which no input can trip, and the -1 of `reshape`, for which any negative number stands.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.selection import Known, Recorder, Selection, failed

ROOT: Final = Path(__file__).resolve().parents[1]

_STATISTICS: Final = ("ranking", "permutation", "intervals", "averages", "paired")
PARTS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "evaluation": (
        "bench/evaluation/*.py",
        ("--noconftest tests/evaluation/test_*.py tests/training/test_oracle.py",),
    ),
    "seal": (
        "bench/contract/seal.py",
        ("--noconftest tests/contract/test_seal.py", "tests/experiment/test_isolation.py"),
    ),
    "statistics": (
        "bench/analysis/statistics.py",
        (f"--noconftest {' '.join(f'tests/analysis/test_{name}.py' for name in _STATISTICS)}",),
    ),
}
"""Code that is mutated, and the tests that have to notice, by part: in stages, the quickest first."""

SIZES: Final = (
    *("_BLOCK_ITEMS", "_BLOCK_ROWS", "_RELEVANT_ITEMS", "_STEP_ITEMS", "_WORTH_THREADS"),
    *("_KEPT_NUMBERS", "ASKED_ROWS", "_BLOCK_NUMBERS", "_MOVED_ITEMS", "_STEP_NUMBERS"),
    *("_PART_ITEMS", "_LABEL_ITEMS", "_SETS", "_SIGN_CHUNK"),
)
"""Constants that say how much is done at a time: no result depends on them, or on the steps made from them.

Blocks of random draws are not among them: another size draws other numbers."""

_PAIRS: Final = (
    "Lt LtE, Gt GtE, Eq NotEq, Is IsNot, In NotIn, And Or, Add Sub, Mult Div, BitAnd BitOr, LShift RShift"
)
SWAPS: Final[dict[type[ast.AST], type[ast.AST]]] = {
    **{getattr(ast, one): getattr(ast, other) for one, other in map(str.split, _PAIRS.split(", "))},
    **{getattr(ast, other): getattr(ast, one) for one, other in map(str.split, _PAIRS.split(", "))},
    **dict.fromkeys((ast.FloorDiv, ast.Mod, ast.Pow), ast.Mult),
}
COPIED: Final = ("bench", "datasets", "docs", "methods", "tests", "results/published")
FORKED_AFTER: Final = (
    *("numpy", "scipy.stats", "torch", "pytest", "hypothesis", "msgspec", "click", "pandas", "coverage"),
)
Change = Callable[[], None]


class Site(NamedTuple):
    """A place where a file can be changed: the number of the node in `ast.walk`, and which of its changes."""

    part: str
    file: Path
    line: int
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
            left_out.append(node if _is_size(node) else node.annotation)
        elif isinstance(node, ast.Raise | ast.JoinedStr):
            left_out.append(node)
        elif isinstance(node, ast.keyword):
            left_out += [node] if node.arg in ("repr", "strict") else []
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "reshape":
            left_out += [size for size in node.args if isinstance(size, ast.UnaryOp)]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            alias = isinstance(node.value, ast.BinOp) and isinstance(node.value.left, ast.Name)
            left_out += [node] if _is_size(node) or (alias and node.col_offset == 0) else []
    return {id(part) for node in left_out if node is not None for part in ast.walk(node)}


def _is_size(node: ast.AST) -> bool:
    """Return whether a statement sets a constant of `SIZES`, or a name to what is made from one."""
    is_set = isinstance(node, ast.Assign | ast.AnnAssign)
    return is_set and any(isinstance(part, ast.Name) and part.id in SIZES for part in ast.walk(node))


def sites_of(part: str, file: Path) -> Iterator[Site]:
    """Yield all ways to change a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    excluded = without_effect(tree)
    for number, node in enumerate(ast.walk(tree)):
        if id(node) not in excluded:
            for change, _ in enumerate(changes_of(node)):
                line = getattr(node, "lineno", 1)
                yield Site(part, file.relative_to(ROOT), line, number, change)


def mutated(site: Site) -> tuple[str, str]:
    """Return the changed file, and what was changed in a line."""
    tree = ast.parse((ROOT / site.file).read_text(encoding="utf-8"))
    node = list(ast.walk(tree))[site.node]
    before = ast.unparse(copy.deepcopy(node)) if not isinstance(node, ast.Module) else ""
    list(changes_of(node))[site.change]()
    after = ast.unparse(ast.fix_missing_locations(node)) if not isinstance(node, ast.Module) else ""
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    was, now = next(((a, b) for a, b in pairs if a != b), (before[:60], after[:60]))
    return ast.unparse(tree), f"{site.file}:{site.line}: {was.strip()[:90]}  =>  {now.strip()[:90]}"


def lines_of(site: Site) -> range | None:
    """Return the lines of a site's statement; None outside of functions, or in one whose results are kept."""
    tree = ast.parse((ROOT / site.file).read_text(encoding="utf-8"))
    target = list(ast.walk(tree))[site.node]
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]  # the innermost comes last
    around = [node for node in statements if any(part is target for part in ast.walk(node))]
    functions = [node for node in around if isinstance(node, ast.FunctionDef)]
    cached = any("lru_cache" in ast.unparse(name) for node in functions for name in node.decorator_list)
    if not functions or cached:
        return None
    innermost = around[-1]
    first = innermost.body[0] if isinstance(innermost, ast.FunctionDef) else innermost
    return range(first.lineno, (innermost.end_lineno or 0) + 1)


def recorded(project: Path, part: str) -> list[Known] | None:
    """Run the tests of a part without any mutant, by stage; None if one fails."""
    found = []
    files = sorted(project.glob(PARTS[part][0]))
    for stage in PARTS[part][1]:
        output = project / "recorded.json"
        words: list[str] = []
        for word in stage.split():
            words += [word] if word.startswith("-") else map(str, sorted(project.glob(word)))
        if failed(project, words, partial(Recorder, files), output):
            return None
        found.append(Known(*json.loads(output.read_text(encoding="utf-8"))))
    return found


def judged(task: tuple[Site, list[Known], Path]) -> tuple[Site, str, bool]:
    """Return a site, what was changed, and whether a test failed."""
    site, stages, original = task
    project = original.with_name(f"of-{os.getpid()}")  # each process of the pool has a copy
    if not project.exists():
        shutil.copytree(original, project)
    text, line = mutated(site)
    file = project / site.file
    file.write_text(text, encoding="utf-8")
    dead = False
    for stage, known in zip(PARTS[site.part][1], stages, strict=True):
        tests = known.run_by(str(site.file), lines_of(site))
        files = sorted({test.partition("::")[0] for test in tests})
        flags = [word for word in stage.split() if word.startswith("-")]
        dead = dead or (bool(tests) and failed(project, [*flags, *files], partial(Selection, tests, known)))
    shutil.copy2(original / site.file, file)
    return site, line, dead


def read_options() -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS], help="parts to mutate; all if none is named"
    )
    parser.add_argument("--count", type=int, default=200, help="mutants over all parts (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the random choice")
    parser.add_argument("--least", type=float, default=0.9, help="share that has to be noticed")
    parser.add_argument("--jobs", type=int, default=1, help="mutants that are tested at a time")
    parser.add_argument("--again", type=Path, help="output of an earlier run: only those that survived there")
    return parser.parse_args()


def choose(given: argparse.Namespace) -> list[Site]:
    """Return the mutants to make, a random choice of all."""
    sites = [
        site
        for part in given.parts or PARTS
        for file in sorted(ROOT.glob(PARTS[part][0]))
        for site in sites_of(part, file)
    ]
    print(f"{len(sites)} changes are possible", flush=True)
    if given.again is None:
        return random.Random(given.seed).sample(sites, min(given.count, len(sites)))
    survived = [
        line for line in given.again.read_text(encoding="utf-8").splitlines() if line[:8] == "SURVIVED"
    ]
    where = {line.split()[1] for line in survived}
    near = [site for site in sites if f"{site.file}:{site.line}:" in where]
    return [site for site in near if f"SURVIVED {mutated(site)[1]}" in survived]


def main() -> int:
    """Run the command; exit status 1 if too few mutants are noticed, or the tests fail without any."""
    given = read_options()
    chosen = choose(given)
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    for name in FORKED_AFTER:
        importlib.import_module(name)
    made, killed = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="bench-mutants-") as folder:
        project = Path(folder) / "project"
        for name in COPIED:
            shutil.copytree(ROOT / name, project / name)
        shutil.copy(ROOT / "pyproject.toml", project)
        known = {}
        for part in sorted({site.part for site in chosen}):
            if (stages := recorded(project, part)) is None:
                print(f"the tests of {part} fail without any mutant")
                return 1
            known[part] = stages
        tasks = [(site, known[site.part], project) for site in chosen]
        with multiprocessing.get_context("fork").Pool(given.jobs) as pool:
            for site, line, dead in pool.imap_unordered(judged, tasks):
                made[str(site.file)] += 1
                killed[str(site.file)] += dead
                print("killed  " if dead else "SURVIVED", line, flush=True)
    for name in sorted(made):
        print(f"{killed[name]:4} of {made[name]:3} killed in {name}")
    share = killed.total() / max(1, made.total())
    print(f"{killed.total()} of {made.total()} mutants killed, {share:.1%}")
    return int(share < given.least)


if __name__ == "__main__":
    sys.exit(main())
