"""The live view of a run on a terminal; imported only there, because rich is slow to load."""

from __future__ import annotations

import time
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

from bench.cli.display import STOPPING, Display
from bench.cli.formatting import clock, headline, printable, stage
from bench.execution.progress import Ended, RunEvent, RunProgress

_COLOURS: Final = {"done": "green", "skipped": "yellow"}
_REFRESHES: Final = 4  # per second
_OTHER_ROWS: Final = 4  # rows of the screen besides the list of running cells: head, bar, last line, cursor

_BAR: Final = 60
_STAGE: Final = 12
_TITLE: Final = 20  # widths, in columns: the bar at most, stage and epoch, a title at least


class LiveDisplay(Display):
    """Plain lines of ended cells, which scroll away, and below them the running cells."""

    def __init__(self, progress: RunProgress) -> None:
        """Pass every event to ``progress``, and show its counts."""
        super().__init__(progress)
        self._console = Console(file=self._out)
        # The output of cells in this process goes to their logs, not above the view.
        self._live = Live(
            View(progress),
            console=self._console,
            refresh_per_second=_REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def view(self) -> Live:
        """Return the view, which is cleared at the end; the lines above it stay."""
        return self._live

    def write(self, line: str, event: RunEvent) -> None:
        """Write the line of an event above the view, cut to the width of the screen."""
        text = Text(line, no_wrap=True, overflow="ellipsis")
        if isinstance(event, Ended):
            text.highlight_words([f" {event.status} "], _COLOURS.get(event.status, "red"))
        self._console.print(text, no_wrap=True, overflow="ellipsis", soft_wrap=False)

    def stop(self) -> None:
        """Show that no further cell starts."""
        self._progress.stop()


class View:
    """Draws the state of a run."""

    def __init__(self, progress: RunProgress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw: a head and one row per running cell, each in one line of the screen."""
        state, width = self._progress.state(), options.max_width
        now = time.time()
        yield _line(headline(state, now), "bold")
        yield ProgressBar(total=max(1, state.total), completed=state.ended, width=min(width, _BAR))
        yield Segment.line()
        room = max(1, console.height - _OTHER_ROWS)
        shown = state.running if len(state.running) <= room else state.running[: room - 1]
        for cell in shown:
            rest = f"  {stage(cell):<{_STAGE}}  {cell.slot}  {clock(now - cell.began)}"
            # A `Text` shows brackets as they are; a bare string would be read as markup.
            row = _line(f"  {printable(cell.title)}")
            row.truncate(max(_TITLE, width - len(rest)), overflow="ellipsis", pad=True)
            yield row.append(rest)
        if len(shown) < len(state.running):
            yield _line(f"  and {len(state.running) - len(shown)} more")
        if state.stopping:
            yield _line(STOPPING, "bold yellow")


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")
