"""Types of errors, each with the exit status of a command that it ends."""

from __future__ import annotations

import errno
import re
import traceback
from typing import ClassVar, Final


class BenchError(Exception):
    """A problem that the user can act on: its message states what, where and what to do next."""

    exit_status: ClassVar[int] = 1


class UsageError(BenchError):
    """A command or a library call was given something that does not exist or does not fit."""

    exit_status: ClassVar[int] = 2


class DataError(BenchError):
    """A data file is missing, damaged or unlike its dataset's card."""

    exit_status: ClassVar[int] = 2


class PluginError(BenchError):
    """A method's or dataset's file cannot be imported or breaks the contract."""

    exit_status: ClassVar[int] = 2


class Unsupported(BenchError):
    """A method declares that it cannot take this data: the cell is skipped with this reason."""


class RefusedEmbeddings(BenchError):
    """Embeddings that cannot be ranked: NaN, infinite, mostly zero, or all rows equal."""


class SealedTestError(BenchError):
    """Test data was opened while a method was being fitted."""


class DeadlineExceeded(BenchError):
    """The time limit of a fit has passed."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on the CPU or on a GPU."""
    # PyTorch is not imported for this: its type for a full GPU is known by name, its CPU allocator by words.
    names = {parent.__name__ for parent in type(error).__mro__}
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or (
        isinstance(error, RuntimeError)
        and any(words in words_of(error) for words in ("DefaultCPUAllocator", "out of memory", "bad_alloc"))
    )


_FULL: Final = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}

_FULL_WORDS: Final = re.compile(
    r"No space left on device|Disk quota exceeded|disk is full|^\d+ requested and \d+ written$", re.IGNORECASE
)
"""Of the system, of SQLite, and of NumPy, which keeps no number of the error."""


def lacks_room(error: BaseException) -> bool:
    """Whether an exception, or one that it was raised from, means a full disk or a used-up quota."""
    seen: set[int] = set()  # an error that is raised from itself makes a cycle
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        number = cause.errno if isinstance(cause, OSError) else None
        if number in _FULL or (number is None and _FULL_WORDS.search(words_of(cause))):
            return True
        seen.add(id(cause))
        cause = cause.__cause__
    return False


_LONGEST: Final = 20_000  # characters that are kept of a text: a message may quote a whole array


def words_of(error: BaseException) -> str:
    """Return an exception's message as `storable` text; empty if it has none."""
    try:
        return storable(str(error))
    except Exception:  # a plug-in's exception may fail to give its message
        return ""


def traceback_of(error: BaseException) -> str:
    """Return an exception's traceback as `storable` text."""
    return storable("".join(traceback.format_exception(error)))


def storable(text: str) -> str:
    """Return a text that every file can hold: shortened in its middle, with lone surrogates escaped."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode()
