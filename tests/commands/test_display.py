"""What is shown while cells run: a live line on a terminal, one plain line per finished cell in a log."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from bench.commands import invoke
from bench.commands.display import Display
from bench.execution.campaign import Ended
from bench.execution.tasks import Progress, Slot, Started, Task
from bench.experiment.grid import Cell
from tests.grid import write_bundle
from tests.records import making

CELL = Cell(making.identity(), "emoji")
TASK = Task(CELL.identity.digest, CELL.identity.title, None)
SLOT = Slot("cpu/0", "cpu", 1)
CLEAR = "\r\x1b[2K"


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


def show(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.stdout", out)
    with Display(3, 1) as display:
        display(Started(TASK, SLOT))
        display(Progress(TASK, SLOT, {"stage": "train", "epoch": 2, "epochs": 9}))
        display(Ended(CELL, "failed", "a reason\nand more", 1.26))
        assert display.seconds >= 0
    return out.getvalue()


def test_a_log_gets_one_plain_line_per_finished_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show(io.StringIO(), monkeypatch)
    assert shown == "[2/3] failed     1.3 s  drcl on emoji (image+text), seed 0: a reason\n"


def test_a_terminal_gets_a_live_line_that_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = show(Terminal(), monkeypatch)
    started, running, *rest = shown.removeprefix(CLEAR).split(CLEAR)
    assert started == "0 s, running: drcl on emoji (image+text), seed 0"
    assert running == "0 s, running: drcl on emoji (image+text), seed 0, train epoch 2/9"[:59]
    assert "".join(rest) == "[2/3] failed     1.3 s  drcl on emoji (image+text), seed 0: a reason\n"


def test_a_reader_that_goes_away_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    with pytest.raises(KeyboardInterrupt):
        Display(1, 0)(Ended(CELL, "done", "", 1.0))


def test_a_cell_in_this_process_does_not_take_the_display_into_its_log(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "small.npz")
    words = ["run", "--results", tmp_path / "r", "--jobs", 0, "--methods", "sdml", "--datasets", bundle]
    with contextlib.redirect_stdout(Terminal()) as out:
        assert invoke([*map(str, words), "--set", "*.epochs=2"]) == 0
    assert "train epoch 1/2" in out.getvalue()
    (log,) = (tmp_path / "r").glob("runs/*/log.txt")
    assert "epoch 1/2" not in log.read_text()
