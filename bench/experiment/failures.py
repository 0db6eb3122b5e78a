"""From an exception to what a record says about it: a status, one sentence, a traceback."""

from __future__ import annotations

import traceback
from pathlib import Path

from bench.contract import DeadlineExceeded, RefusedEmbeddings, Unsupported
from bench.contract.errors import lacks_memory, lacks_room
from bench.experiment.run_context import describe_size
from bench.records.schema import Failure, Status


def failure_of(error: Exception, max_memory: int | None = None) -> tuple[Status, Failure]:
    """Return how a cell ended that raised ``error``.

    Only real failures carry a traceback: a declared limit, a refusal and a deadline explain themselves.

    Args:
        error: what was raised.
        max_memory: the limit of the process, in bytes; None where there is none. It is named where it was
            met, which is not where a GPU was full.
    """
    kind, reason = type(error).__name__, sentence_of(error)
    if isinstance(error, Unsupported):
        return "skipped", Failure(reason=reason, kind="declared")
    if isinstance(error, RefusedEmbeddings):
        return "refused", Failure(reason=reason, kind=kind)
    if isinstance(error, DeadlineExceeded):
        return "timeout", Failure(reason=reason, kind="timeout")
    trace = "".join(traceback.format_exception(error))
    named = reason if reason == kind else f"{kind}: {reason}"
    if isinstance(error, ValueError) and "read-only" in reason:
        named = f"{named}{_written(error)}; arrays given to a method are read-only: change a copy instead"
    if lacks_memory(error):
        if max_memory is not None and "CUDA" not in named:
            named = f"{named}; {memory_limit_text(max_memory)}"
        return "out-of-memory", Failure(reason=named, kind="memory", traceback=trace)
    if lacks_room(error):
        return "disk-full", Failure(reason=named, kind="disk", traceback=trace)
    return "failed", Failure(reason=named, kind=kind, traceback=trace)


def sentence_of(error: Exception) -> str:
    """Return an exception's message without further lines; the type's name where it has none."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # a plug-in's exception may not even be able to say what it is
        lines = []
    return lines[0] if lines else type(error).__name__


def memory_limit_text(limit: int) -> str:
    """Return what a reason says about a memory limit that was met."""
    return f"its worker may take {describe_size(limit)} beyond its libraries (--max-memory)"


def _written(error: Exception) -> str:
    """Return the line that tried to write to an array, which names the array; empty where it is not known."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "numpy" not in Path(frame.filename).parts
    ]
    return f" ({frames[-1].line} in {frames[-1].name})" if frames and frames[-1].line else ""
