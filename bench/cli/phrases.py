"""How runs and cells are spoken of, in a log, in the live view and by `status`."""

from __future__ import annotations

from bench.records.heartbeat import RunningCell, RunState


def printable(text: str) -> str:
    """Return a name in one line, without anything that would steer a terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def clock(seconds: float) -> str:
    """Return a duration as ``0:01:23``, hours first."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def stage(running: RunningCell) -> str:
    """Return how far a cell is, such as ``train 3/20``; empty before its first report."""
    if not running.stage:
        return ""
    of = f"/{running.epochs}" if running.epochs else ""
    return printable(f"{running.stage} {running.epoch}{of}")


def headline(state: RunState, now: float) -> str:
    """Return where a run stands, in one line; ``now`` in seconds since 1970."""
    part = f" of {state.what}" if state.what else ""
    words = [f"{state.ended}/{state.total} cells{part}", f"{state.failed} failed", clock(now - state.began)]
    if state.left is not None and state.left >= 1.0:
        words.append(f"about {clock(state.left)} left")
    if state.held:
        words.append(f"{state.held} not on disk yet, which is full")
    if state.waiting:
        words.append(f"waiting for {state.waiting} cells of another run on this folder")
    return ", ".join(words)
