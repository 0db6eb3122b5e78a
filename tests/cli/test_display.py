"""What is shown while cells run: a live view on a terminal, one plain line per finished cell in a log."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import invoke
from bench.cli.formatting import headline
from bench.cli.run_session import STOPPING, display_for
from bench.execution.progress import Ended, Held, Planned, RunEvent, RunProgress, Unstarted, Waiting
from bench.execution.tasks import Loss, Progress, Retried, Slot, Started, Task
from bench.experiment.grid import Cell
from tests.records import making

ROOT = Path(__file__).resolve().parents[2]
CELL = Cell(making.identity(), "emoji")
NASTY = Cell(making.identity(method="[red]x[/]", dataset="long" * 60), "emoji")
SLOT = Slot("cpu/0", "cpu", 1)


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


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


def screen(monkeypatch: pytest.MonkeyPatch, tally: RunProgress, width: int, height: int = 12) -> list[str]:
    """Draw the view once and return its lines."""
    from rich.console import Console

    from bench.cli.live_display import View

    console = Console(file=Terminal(), width=width, height=height, color_system=None)
    with console.capture() as drawn:
        console.print(View(tally))
    return drawn.get().splitlines()


TITLE = "drcl on emoji (image+text), seed 0"
KILLED = Loss("signal", "its process was killed by SIGKILL", outside=True)
WITHOUT_LOCKS = (
    "note: there are no file locks on the results folder (this system has none): "
    "a second run on it may do cells twice"
)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Started(task(CELL), SLOT), ""),
        (progress(CELL), ""),
        (Planned({}), ""),
        (Planned({}, "this system has none"), WITHOUT_LOCKS),
        (
            Retried(task(CELL), SLOT, KILLED, 2, 3),
            f"again, attempt 2 of 3: {TITLE}: its process was killed by SIGKILL",
        ),
        (Ended(CELL, "failed", "a reason\nand more", 1.26), f"[2/3] failed     1.3 s  {TITLE}: a reason"),
        (Ended(CELL, "done", "", 2.0, elsewhere=True), f"[2/3] done       2.0 s  {TITLE}, by another run"),
        (
            Ended(CELL, "disk-full", "it was done, but", 1.0, on_disk=False),
            f"[2/3] disk-full    1.0 s  {TITLE}: it was done, but",
        ),
        (Waiting([CELL, NASTY]), f"waiting for another run on this folder: {TITLE} and 1 more"),
        (Held(CELL, "it is full"), f"not on disk yet, to be tried again: {TITLE}: it is full"),
        (
            Unstarted([CELL, NASTY]),
            f"not started, because the disk of the results is full: {TITLE} and 1 more",
        ),
    ],
)
def test_a_log_gets_one_plain_line_for_what_it_mentions(
    monkeypatch: pytest.MonkeyPatch, event: RunEvent, line: str
) -> None:
    assert show(io.StringIO(), monkeypatch, event) == (f"{line}\n" if line else "")


def test_a_cell_that_waits_for_room_has_left_its_slot_and_is_counted_apart() -> None:
    tally = RunProgress(3, 1)
    tally(Planned({CELL.identity.digest: 5.0}))
    tally(Started(task(CELL), SLOT))
    tally(Held(CELL, "it is full"))
    state = tally.state()
    assert (state.running, state.held, state.ended, state.left) == ([], 1, 1, None)
    assert "1 not on disk yet, which is full" in headline(state, state.written)
    tally(Ended(CELL, "done", "", 1.0))
    assert (tally.state().held, tally.state().failed, tally.unwritten) == (0, 0, {})
    tally(Ended(CELL, "disk-full", "why", 1.0, on_disk=False))
    assert (tally.state().failed, tally.unwritten) == (1, {CELL.identity.digest: "why"})
    tally(Unstarted([CELL, NASTY]))
    assert tally.unstarted == {CELL.identity.digest, NASTY.identity.digest}


def test_a_terminal_gets_the_same_lines_and_a_view_that_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    shown = show(Terminal(), monkeypatch, Started(task(CELL), SLOT), Ended(CELL, "failed", "why", 1.26))
    assert "[2/3] failed     1.3 s  drcl on emoji (image+text), seed 0: why\n" in shown
    assert "1/3 cells" in shown  # the view, before the cell ended
    assert shown.endswith("\x1b[2K")  # its last act: the view's lines are erased


@pytest.mark.parametrize("width", [30, 60, 100])
def test_no_line_of_the_view_is_wider_than_the_screen_and_names_stay_as_they_are(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    tally = RunProgress(3, 1)
    for cell in (CELL, NASTY):
        tally(Started(task(cell), SLOT))
        tally(progress(cell))
    lines = screen(monkeypatch, tally, width)
    assert len(lines) == 4
    assert all(len(line) <= width for line in lines)
    assert "[red]" in lines[3]
    assert width < 60 or "train 2/9     cpu/0  0:00:0" in lines[2]


def test_a_long_title_does_not_wrap_a_finished_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    shown = show(Terminal(), monkeypatch, Ended(NASTY, "done", "", 1.0))
    (line,) = [line for line in shown.replace("\r", "\n").splitlines() if "done" in line]
    assert "[red]x[/] on long" in line
    assert len(line.rpartition("\x1b[2K")[2].removeprefix("\x1b[?25l")) == 50


def test_more_running_cells_than_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = RunProgress(9, 0)
    for seed in range(8):
        tally(Started(task(Cell(making.identity(seed=seed), "emoji")), SLOT))
    lines = screen(monkeypatch, tally, 80, height=8)
    assert len(lines) <= 7
    assert lines[-1] == "  and 5 more"


def test_a_terminal_is_told_what_ctrl_c_does(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = RunProgress(3, 1)
    tally(Started(task(CELL), SLOT))
    assert STOPPING not in screen(monkeypatch, tally, 120)
    tally.stop()
    assert screen(monkeypatch, tally, 120)[-1] == STOPPING


def test_the_time_left_comes_from_the_costs_and_is_corrected_by_what_was_measured() -> None:
    now = [1000.0]
    tally = RunProgress(8, 0, clock=lambda: now[0])
    cells = [Cell(making.identity(seed=seed), "emoji") for seed in range(8)]
    assert tally.state().left is None
    tally(Planned({cell.identity.digest: 10.0 for cell in cells}))
    assert tally.state().left == 80.0
    for cell in cells[:2]:
        tally(Started(task(cell), SLOT))
    assert tally.state().left == 40.0  # two at once
    now[0] += 5
    assert tally.state().left == 35.0
    for cell in cells[:3]:
        tally(Ended(cell, "done", "", 20.0))
    assert tally.state().left == 50.0  # five cells that take twice as long as was thought
    for cell in cells[3:]:
        tally(Ended(cell, "done", "", 20.0, elsewhere=True))
    state = tally.state()
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
    assert "0/1 cells" in out.getvalue()
    (log,) = (tmp_path / "r").glob("runs/*/log.txt")
    assert "cells" not in log.read_text()


def test_a_pipe_does_not_pay_for_the_live_view() -> None:
    code = "import sys, bench.cli.run; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
