"""Runs the tests of changed code in a forked child: those that run it, quick ones first, until one fails."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

OPTIONS: Final = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-m", "not slow and not drill and not browser and not cuda"),
)
"""A process that is forked after torch was imported cannot use a GPU."""
LIMITS: Final = (300, 1800)
"""Seconds of processor time, and on the clock, after which a mutant counts as noticed: it loops or waits."""

_NO_TESTS: Final = 5  # pytest's exit status
_AT_IMPORT: Final = ""  # coverage's context before the first test


class Known(NamedTuple):
    """What a run without mutants showed: the seconds of each test, and which tests run a line of a file."""

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]

    def run_by(self, file: str, lines: range | None) -> set[str]:
        """Return the tests that may notice a change: those that run its lines, or run in other processes.

        What a fixture runs belongs to all tests of its file. What runs at import, or ``lines`` of None,
        concern all tests.
        """
        names_of = self.lines.get(file, {})
        found = {name for line in lines or () for name in names_of.get(str(line), ())}
        if lines is None or _AT_IMPORT in found:
            return set(self.seconds)
        somewhere = {name for by_line in self.lines.values() for names in by_line.values() for name in names}
        names = {test: {test, test.partition("::")[0]} for test in self.seconds}
        return {test for test, either in names.items() if either & found or not either & somewhere}


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
    home = str(Path(__file__).resolve().parents[1])
    sys.path[:] = [str(project), *(path for path in sys.path if path not in ("", home))]
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
