"""Figures drawn in several processes: the same bytes, and no process that outlives its purpose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import psutil
import pytest

from bench.report.figures import saving
from tests.report.test_figure_style import picture

SCRIPT = """
import joblib, os, sys, time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from bench.report.figures import saving
from tests.report.test_figure_style import HARD, figure_of, picture
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
def draw():
    (folder / str(time.monotonic_ns())).write_text(str(os.getpid()))
    time.sleep(seconds)
    return figure_of(HARD)
pictures = [replace(picture(name=f"p{n}"), draw=draw) for n in range(int(sys.argv[3]))]
saving._EACH, joblib.cpu_count = 1, lambda: 2
saving.start_workers(len(pictures))
"""


def started(folder: Path, seconds: float, figures: int, rest: str) -> subprocess.Popen[str]:
    """Start a script without a guard of its main module, which draws with a function of it."""
    script = folder / "script.py"
    script.write_text(SCRIPT + rest)
    (folder / "drawn").mkdir()
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, script, folder / "drawn", str(seconds), str(figures)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def pids(folder: Path, least: int) -> set[int]:
    """Return the processes that draw, once there are so many."""
    found: set[int] = set()
    while len(found) < least:
        time.sleep(0.1)
        found = {int(word) for path in (folder / "drawn").iterdir() if (word := path.read_text())}
    return found


@pytest.mark.slow
def test_figures_drawn_in_several_processes_have_the_same_bytes(tmp_path: Path) -> None:
    compared = "assert [*saving.draw_all(pictures)] == [*map(saving.draw, pictures)]"
    process = started(tmp_path, 0, 4, compared)
    assert process.wait() == 0
    assert len(pids(tmp_path, 1) - {process.pid}) in (1, 2)


@pytest.mark.slow
def test_figures_that_are_not_read_any_more_are_not_drawn(tmp_path: Path) -> None:
    process = started(tmp_path, 0, 60, "with closing(saving.draw_all(pictures)): 1 / 0")
    assert process.wait() != 0
    assert len([*(tmp_path / "drawn").iterdir()]) < 20


@pytest.mark.slow
def test_an_interrupt_ends_the_drawing_without_messages_of_its_processes(tmp_path: Path) -> None:
    process = started(tmp_path, 4, 3, "[*saving.draw_all(pictures)]")
    while len([*(tmp_path / "drawn").iterdir()]) < 3:
        time.sleep(0.1)
    time.sleep(1)  # then one process draws and the other waits
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate()[1].count("Traceback") == 1


@pytest.mark.slow
def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    process = started(tmp_path, 600, 4, "[*saving.draw_all(pictures)]")
    drawing = [psutil.Process(pid) for pid in pids(tmp_path, 2)]
    process.kill()
    process.wait()  # no read: processes that were left would keep its pipe open
    left = psutil.wait_procs(drawing, timeout=60)[1]
    for worker in left:
        worker.kill()
    assert left == []


@pytest.mark.parametrize("missing", ["semaphores", "server", "children"])
def test_without_further_processes_figures_are_drawn_in_this_one(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("AF_UNIX path too long")

    monkeypatch.setattr(saving, "_EACH", 1)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    if missing == "semaphores":
        monkeypatch.setattr("multiprocessing.context.BaseContext.Lock", fail)
    elif missing == "server":
        for name in ("ensure_running", "connect_to_new_process"):
            monkeypatch.setattr(forkserver, name, fail)
    else:
        monkeypatch.setattr(saving.__name__ + ".current_process", lambda: SimpleNamespace(daemon=True))
    pictures = [picture(name="a"), picture(name="b")]
    saving.start_workers(2)
    assert [[*files] for files in saving.draw_all(pictures, ["svg"])] == [["a.svg"], ["b.svg"]]


def test_two_figures_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="2 figures"):
        saving.draw_all([picture(), picture()])
