"""What is shown while cells run: a live view on a terminal, one plain line per finished cell in a log."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from bench.cli import invoke
from bench.cli.display import STOPPING
from bench.cli.formatting import headline
from bench.cli.live_display import View
from bench.cli.run_session import display_for
from bench.execution.progress import Ended, Held, Planned, RunEvent, RunProgress, Unstarted, Waiting
from bench.execution.tasks import Loss, Progress, Retried, Slot, Started, Task
from bench.experiment.grid import Cell
from tests.cli.test_startup import python
from tests.cli.test_terminal import Terminal
from tests.records import making
from tests.wording import mentions

CELL = Cell(making.identity(), "emoji")
NASTY = Cell(making.identity(method="[red]x[/]", dataset="long" * 60), "emoji")
SLOT = Slot("cpu/0", "cpu", 1)


def task(cell: Cell) -> Task:
    return Task(cell.identity.digest, cell.identity.title, None)


def progress(cell: Cell) -> Progress:
    return Progress(task(cell), SLOT, {"stage": "train", "epoch": 2, "epochs": 9})


def show(out: io.StringIO, monkeypatch: pytest.MonkeyPatch, *events: RunEvent) -> str:
    monkeypatch.setattr("sys.stdout", out)
    display = display_for(RunProgress(3, 1))
    with display.view():
        for event in events:
            display(event)
    return out.getvalue()


def screen(counted: RunProgress, width: int, height: int = 12) -> list[str]:
    """Draw the view once and return its lines."""
    console = Console(file=Terminal(), width=width, height=height, color_system=None)
    with console.capture() as drawn:
        console.print(View(counted))
    return drawn.get().splitlines()


TITLE = "drcl on emoji (image+text), seed 0"
KILLED = Loss("signal", "its process was killed by SIGKILL", outside=True)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Started(task(CELL), SLOT), ""),
        (progress(CELL), ""),
        (Planned({}), ""),
        (Planned({}, "this system has none"), "no file locks this system has none twice"),
        (Retried(task(CELL), SLOT, KILLED, 2, 3), "attempt 2 of 3 TITLE SIGKILL"),
        (Ended(CELL, "failed", "a reason\nand more", 1.26), "[2/3] failed 1.3 TITLE reason"),
        (Ended(CELL, "done", "", 2.0, elsewhere=True), "[2/3] done 2.0 TITLE another run"),
        (Ended(CELL, "disk-full", "it was done", 1.0, on_disk=False), "[2/3] disk-full TITLE was done"),
        (Waiting([CELL, NASTY]), "waiting another run TITLE 1 more"),
        (Held(CELL, "it is full"), "not on disk TITLE is full"),
        (Unstarted([CELL, NASTY]), "not started disk full TITLE 1 more"),
    ],
)
def test_a_log_gets_one_plain_line_for_what_it_mentions(
    monkeypatch: pytest.MonkeyPatch, event: RunEvent, words: str
) -> None:
    shown = show(io.StringIO(), monkeypatch, event)
    assert shown.count("\n") == bool(words)
    assert re.search(".*".join(map(re.escape, words.split())).replace("TITLE", re.escape(TITLE)), shown)


def test_a_cell_that_waits_for_disk_space_has_left_its_slot_and_is_counted_apart() -> None:
    counted = RunProgress(3, 1)
    counted(Planned({CELL.identity.digest: 5.0}))
    counted(Started(task(CELL), SLOT))
    counted(Held(CELL, "it is full"))
    state = counted.state()
    assert (state.running, state.held, state.ended, state.left) == ([], 1, 1, None)
    assert mentions(headline(state, state.written), "1 ... disk ... full")
    counted(Ended(CELL, "done", "", 1.0))
    assert (counted.state().held, counted.state().failed, counted.unwritten) == (0, 0, {})
    counted(Ended(CELL, "disk-full", "why", 1.0, on_disk=False))
    assert (counted.state().failed, counted.unwritten) == (1, {CELL.identity.digest: "why"})
    counted(Unstarted([CELL, NASTY]))
    assert counted.unstarted == {CELL.identity.digest, NASTY.identity.digest}


def on_terminal(monkeypatch: pytest.MonkeyPatch, width: int, *events: RunEvent) -> str:
    for name, value in (("COLUMNS", str(width)), ("TERM", "xterm"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    return show(Terminal(), monkeypatch, *events)


def test_a_terminal_gets_the_same_lines_and_a_view_that_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = on_terminal(monkeypatch, 100, Started(task(CELL), SLOT), Ended(CELL, "failed", "why", 1.26))
    assert mentions(shown, f"[2/3] failed ... 1.3 s ... {TITLE}: why")
    assert "1/3 cells" in shown  # the view, before the cell ended
    assert shown.endswith("\x1b[2K")  # at the end the view's lines are erased
    shown = on_terminal(monkeypatch, 50, Ended(NASTY, "done", "", 1.0))
    (line,) = [line for line in shown.replace("\r", "\n").splitlines() if "done" in line]
    assert "[red]x[/] on long" in line
    assert len(line.rpartition("\x1b[2K")[2].removeprefix("\x1b[?25l")) == 50


@pytest.mark.parametrize("width", [30, 60, 100])
def test_no_line_of_the_view_is_wider_than_the_screen_and_names_stay_as_they_are(width: int) -> None:
    counted = RunProgress(3, 1)
    for cell in (CELL, NASTY):
        counted(Started(task(cell), SLOT))
        counted(progress(cell))
    lines = screen(counted, width)
    assert len(lines) == 4
    assert all(len(line) <= width for line in lines)
    assert "[red]" in lines[3]
    assert width < 60 or "train 2/9     cpu/0  0:00:0" in lines[2]
    counted.stop()
    assert screen(counted, 120)[-1] == STOPPING


def test_more_running_cells_than_lines_are_counted() -> None:
    counted = RunProgress(9, 0)
    for seed in range(8):
        counted(Started(task(Cell(making.identity(seed=seed), "emoji")), SLOT))
    lines = screen(counted, 80, height=8)
    assert len(lines) <= 7
    assert lines[-1] == "  and 5 more"


def test_the_time_left_comes_from_the_costs_and_is_corrected_by_what_was_measured() -> None:
    now = [1000.0]
    counted = RunProgress(8, 0, clock=lambda: now[0])
    cells = [Cell(making.identity(seed=seed), "emoji") for seed in range(8)]
    assert counted.state().left is None
    counted(Planned({cell.identity.digest: 10.0 for cell in cells}))
    assert counted.state().left == 80.0
    for cell in cells[:2]:
        counted(Started(task(cell), SLOT))
    assert counted.state().left == 40.0  # two at once
    now[0] += 5
    assert counted.state().left == 35.0
    for cell in cells[:3]:
        counted(Ended(cell, "done", "", 20.0))
    assert counted.state().left == 50.0  # five cells that take twice as long as was thought
    for cell in cells[3:]:
        counted(Ended(cell, "done", "", 20.0, elsewhere=True))
    state = counted.state()
    assert (state.ended, state.elsewhere, state.left) == (8, 5, None)


def test_a_reader_that_goes_away_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    display = display_for(RunProgress(1, 0))
    with pytest.raises(KeyboardInterrupt):
        display(Ended(CELL, "done", "", 1.0))
    assert display.unread


def test_a_cell_in_this_process_does_not_take_the_display_into_its_log(small: Path, tmp_path: Path) -> None:
    words = ["run", "--results", tmp_path / "r", "--jobs", 0, "--methods", "mcca", "--datasets", small]
    with contextlib.redirect_stdout(Terminal()) as out:
        assert invoke([*map(str, words)]) == 0
    assert "0/1 cell," in out.getvalue()
    (log,) = (tmp_path / "r").glob("runs/*/log.txt")
    assert "cells" not in log.read_text()


def test_a_pipe_does_not_pay_for_the_live_view() -> None:
    assert python("-c", "import sys, bench.cli.run; print('rich' in sys.modules)").stdout == "False\n"
