"""``python -m tests.mutants``: change the code at random, and count the changes that the tests notice.

Written here because mutmut leaves out decorated functions, to which most of the seal belongs, and cosmic-ray
rewrites the working tree, draws no sample, and starts a process that imports everything for each mutant.
Each mutant lives in a copy of the project; a child that is forked after the slow imports runs the tests that
run the changed statement, quick ones first, until one fails. There is no deadline but a limit of processor
time: a busy machine kills no mutant.

Left out is what cannot change a result: annotations, the words of messages, and the constants of `SIZES`.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]

PARTS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "evaluation": (
        "bench/evaluation/*.py",
        ("--noconftest tests/evaluation/test_*.py",),
    ),
    "seal": (
        "bench/contract/seal.py",
        ("--noconftest tests/contract/test_seal.py", "tests/experiment/test_isolation.py"),
    ),
    "statistics": (
        "bench/analysis/statistics.py",
        ("--noconftest tests/analysis/test_[ri][an][nt]*.py",),
    ),
}
"""Code that is mutated, and the tests that have to notice, by part: in stages, the quickest first."""

SIZES: Final = (
    *("_BLOCK_ITEMS", "_BLOCK_ROWS", "_RELEVANT_ITEMS", "_STEP_ITEMS", "_WORTH_THREADS"),
    *("_KEPT_NUMBERS", "_ASKED_ROWS", "_BLOCK_NUMBERS", "_MOVED_ITEMS", "_STEP_NUMBERS"),
    *("_CACHED_ITEMS", "_SIGN_CHUNK"),
)
"""Constants that say how much is done at a time: other values change no result.

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
OPTIONS: Final = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-m", "not slow and not drill and not cuda"),
)
"""A process that is forked after torch was imported cannot use a GPU."""
LIMITS: Final = (300, 1800)
"""Seconds of processor time, and on the clock, after which a mutant counts as noticed: it loops or waits."""

_NO_TESTS: Final = 5  # pytest's exit status

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


class Known(NamedTuple):
    """What a run without mutants showed: the seconds of each test, and which tests run a line of a file."""

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]

    def run_by(self, site: Site) -> set[str]:
        """Return the tests that may notice a change: those that run its statement, or run in other processes.

        What a fixture runs belongs to all tests of its file. What runs at import concerns all tests.
        """
        if (span := lines_of(site)) is None:
            return set(self.seconds)
        lines = self.lines.get(str(site.file), {})
        found = {name for line in span for name in lines.get(str(line), ())}
        somewhere = {name for by_line in self.lines.values() for names in by_line.values() for name in names}
        names = {test: {test, test.partition("::")[0]} for test in self.seconds}
        return {test for test, either in names.items() if either & found or not either & somewhere}


def lines_of(site: Site) -> range | None:
    """Return the lines of the statement that a site is in; None if it is in no function."""
    tree = ast.parse((ROOT / site.file).read_text(encoding="utf-8"))
    target = list(ast.walk(tree))[site.node]
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]  # the innermost comes last
    around = [node for node in statements if any(part is target for part in ast.walk(node))]
    if not any(isinstance(node, ast.FunctionDef) for node in around):
        return None
    return range(around[-1].lineno, (around[-1].end_lineno or 0) + 1)


class Recorder:
    """Pytest plugin: records `Known`."""

    def __init__(self, files: Sequence[Path]) -> None:
        import coverage

        self.files = files
        self.cover = coverage.Coverage(data_file=None, config_file=False, include=[*map(str, files)])
        self.seconds: dict[str, float] = defaultdict(float)
        self.cover.start()

    def pytest_runtest_setup(self, item: Any) -> None:
        """Count what runs from here on for all tests of the file."""
        self.cover.switch_context(item.nodeid.partition("::")[0])

    def pytest_runtest_call(self, item: Any) -> None:
        """Count what runs from here on for the test."""
        self.cover.switch_context(item.nodeid)

    pytest_runtest_teardown = pytest_runtest_setup

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add up the seconds of a test."""
        self.seconds[report.nodeid] += report.duration

    def write(self, project: Path, output: Path) -> None:
        """Write what was recorded."""
        self.cover.stop()
        data = self.cover.get_data()
        lines = {str(file.relative_to(project)): data.contexts_by_lineno(str(file)) for file in self.files}
        output.write_text(json.dumps([self.seconds, lines]), encoding="utf-8")


class Selection:
    """Pytest plugin: runs only some tests, those that take a tenth of the time first."""

    def __init__(self, tests: set[str], known: Known) -> None:
        self.tests, self.known = tests, known

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out the other tests; sort."""
        items[:] = [item for item in items if item.nodeid in self.tests]
        items.sort(key=lambda item: round(math.log10(max(self.known.seconds[item.nodeid], 0.01))))


def failed(
    project: Path, tests: Sequence[str], plugin: Callable[[], Any], output: Path | None = None
) -> bool:
    """Run tests in a child, until the first that fails; return whether one did."""
    child = os.fork()
    if child == 0:
        status = 3
        try:
            status = _in_child(project, tests, plugin, output)
        finally:
            os._exit(int(status))
    end = time.monotonic() + LIMITS[1]
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) not in (0, _NO_TESTS)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _in_child(project: Path, tests: Sequence[str], plugin: Callable[[], Any], output: Path | None) -> int:
    os.setpgid(0, 0)
    os.chdir(project)
    resource.setrlimit(resource.RLIMIT_CPU, (LIMITS[0], LIMITS[0]))
    sys.dont_write_bytecode = output is None  # that of two mutants can look the same
    sys.path[:] = [str(project), *(path for path in sys.path if path not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "bench")]:
        del sys.modules[name]
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    import hypothesis
    import pytest

    hypothesis.settings.register_profile(
        "mutants",
        deadline=None,
        database=None,
        derandomize=True,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("mutants")
    watching = plugin()
    status = pytest.main([*OPTIONS, *tests], plugins=[watching])
    if output is not None:
        watching.write(project, output)
    return int(status)


def recorded(project: Path, part: str) -> list[Known] | None:
    """Run the tests of a part without any mutant, by stage; None if one fails."""
    found = []
    files = sorted(project.glob(PARTS[part][0]))
    for stage in PARTS[part][1]:
        *flags, pattern = stage.split()
        output = project / "recorded.json"
        tests = [str(file.relative_to(project)) for file in sorted(project.glob(pattern))]
        if failed(project, [*flags, *tests], partial(Recorder, files), output):
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
        tests = known.run_by(site)
        files = sorted({test.partition("::")[0] for test in tests})
        flags = stage.split()[:-1]
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
    parser.add_argument(
        "--again", type=Path, help="output of the same choice: only those that survived there"
    )
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
    chosen = random.Random(given.seed).sample(sites, min(given.count, len(sites)))
    if given.again is not None:
        survived = given.again.read_text(encoding="utf-8").splitlines()
        chosen = [site for site in chosen if f"SURVIVED {mutated(site)[1]}" in survived]
    return chosen


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
