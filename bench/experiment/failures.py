"""Failures: the status, sentence and traceback that a record holds for an exception."""

from __future__ import annotations

import re
import traceback
from typing import Final

from bench.contract import DeadlineExceeded, RefusedEmbeddings, Unsupported
from bench.contract.errors import lacks_memory, lacks_room, traceback_of, words_of
from bench.experiment.sizes import describe_size, memory_limit_text, parse_size
from bench.records.environment import DeviceMemory
from bench.records.schema import Failure, Status

_CONTEXT: Final = 1 << 30
"""Bytes of a GPU that its driver and libraries take."""

_LONGEST: Final = 2000  # characters of a sentence


def failure_of(
    error: Exception, max_memory: int | None = None, used: DeviceMemory | None = None
) -> tuple[Status, Failure]:
    """Return the status and failure of a cell that raised ``error``.

    A declared limit, a refusal and a deadline have no traceback. The limit of the process, ``max_memory`` in
    bytes, is named if host memory was exceeded; ``used`` is the memory of the GPU, if that was exceeded.
    """
    kind, reason = type(error).__name__, sentence_of(error)
    if isinstance(error, Unsupported):
        return "skipped", Failure(reason=reason, kind="declared")
    if isinstance(error, RefusedEmbeddings):
        return "refused", Failure(reason=reason, kind=kind)
    if isinstance(error, DeadlineExceeded):
        return "timeout", Failure(reason=reason, kind="timeout")
    trace = traceback_of(error)
    named = reason if reason == kind else f"{kind}: {reason}"
    if isinstance(error, ValueError) and "read-only" in reason:
        frames = [
            part
            for part in traceback.extract_tb(error.__traceback__)
            if "numpy" not in part.filename.split("/")
        ]
        line = f" ({frames[-1].line} in {frames[-1].name})" if frames and frames[-1].line else ""
        named = f"{named}{line}; arrays given to a method are read-only: change a copy instead"
    if lacks_memory(error):
        on_gpu = used is not None and "OutOfMemoryError" in {part.__name__ for part in type(error).__mro__}
        if used is not None and on_gpu:
            named = device_memory_text(reason, used)
        elif max_memory is not None and "CUDA" not in named:
            named = f"{named}; {memory_limit_text(max_memory)}"
        return "out-of-memory", Failure(reason=named, kind="memory", traceback=trace)
    if lacks_room(error):
        return "disk-full", Failure(reason=named, kind="disk", traceback=trace)
    return "failed", Failure(reason=named, kind=kind, traceback=trace)


def sentence_of(error: Exception) -> str:
    """Return the first line of an exception's message, shortened; the type's name where it has none."""
    lines = words_of(error).strip().splitlines()
    return lines[0][:_LONGEST] if lines else type(error).__name__


def device_memory_text(reason: str, used: DeviceMemory) -> str:
    """Return the memory that a cell needed of a full GPU, by PyTorch's message, and what to do next."""
    request = re.search(r"Tried to allocate ([\d.]+) ([KMG])iB", reason)
    more = 0 if request is None else parse_size(request[1] + request[2])
    others = max(0, used.total - used.free - used.reserved)
    needed = f"it held {describe_size(used.peak)} at its peak"
    if more:
        least = describe_size(used.peak + more)
        needed += f" and asked for {describe_size(more)} more, so it needs at least {least}"
    advice = "take a larger GPU, or smaller batches or layers (--set METHOD.SETTING=VALUE)"
    if used.peak + more <= used.total - _CONTEXT:
        advice = f"run one cell at a time on a GPU that is free (--jobs-per-device 1); otherwise {advice}"
    return (
        f"the GPU has too little memory for this cell: {needed}; of the GPU's {describe_size(used.total)} "
        f"other programs held {describe_size(others)}; {advice}"
    )
