"""Whatever is raised becomes a status and one sentence."""

from __future__ import annotations

import errno
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import DeadlineExceeded, RefusedEmbeddings, Unsupported
from bench.experiment.failures import failure_of, sentence_of
from bench.records import STATUSES
from bench.records.environment import DeviceMemory


class OutOfMemoryError(RuntimeError):
    """As PyTorch names it."""


def raised_from(cause: Exception | None) -> ValueError:
    """Return an error with a cause; without one, it is its cause itself."""
    error = ValueError("the cache cannot be kept")
    error.__cause__ = error if cause is None else cause
    return error


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Unsupported("no"), "skipped", "declared"),
        (RefusedEmbeddings("no"), "refused", "RefusedEmbeddings"),
        (DeadlineExceeded("late"), "timeout", "timeout"),
        (MemoryError(), "out-of-memory", "memory"),
        (OutOfMemoryError("CUDA out of memory"), "out-of-memory", "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough"), "out-of-memory", "memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full", "disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk-full", "disk"),
        (OSError("262144 requested and 65520 written"), "disk-full", "disk"),
        (sqlite3.OperationalError("database or disk is full"), "disk-full", "disk"),
        (raised_from(OSError(errno.ENOSPC, "No space left on device")), "disk-full", "disk"),
        (OSError(errno.EACCES, "Permission denied"), "failed", "PermissionError"),
        (raised_from(None), "failed", "ValueError"),
        (RuntimeError("shapes"), "failed", "RuntimeError"),
    ],
)
def test_each_way_to_fail_has_its_status(error: Exception, status: str, kind: str) -> None:
    found, failure = failure_of(error)
    assert (found, failure.kind) == (status, kind)


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=())) | st.just("x" * 10**6))
def test_the_reason_is_one_line_and_never_empty(message: str) -> None:
    status, failure = failure_of(ValueError(message))
    assert status in STATUSES
    assert failure.reason
    assert len(failure.reason.splitlines()) == 1
    assert len(f"{failure.reason}{failure.traceback}".encode()) < 10**5  # UTF-8 has no lone surrogates
    if len(message) < 1000 and message.isascii():
        assert sentence_of(ValueError(message)) == (message.strip().splitlines() or ["ValueError"])[0]


GB = 1 << 30
ASKED = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 24.00 GiB"


@pytest.mark.parametrize(
    ("words", "used", "expected", "alone"),
    [
        (ASKED, (5, 5, 1, 80), ("held 5G", "for 20G more", "least 25G", "held 74G"), True),
        (ASKED, (5, 5, 18, 24), ("least 25G", "24G", "held 1G"), False),
        ("CUDA out of memory.", (5, 6, 1, 24), ("held 5G", "held 17G"), True),
    ],
)
def test_a_full_gpu_is_named_with_the_need_of_the_cell_and_what_to_do(
    words: str, used: tuple[int, ...], expected: tuple[str, ...], alone: bool
) -> None:
    memory = DeviceMemory(*(size * GB for size in used))
    status, failure = failure_of(OutOfMemoryError(words), 3 * GB, memory)
    assert (status, failure.kind) == ("out-of-memory", "memory")
    assert all(part in failure.reason for part in (*expected, "--set"))
    assert "--max-memory" not in failure.reason
    assert ("--jobs-per-device 1" in failure.reason) == alone
    assert ASKED[:18] in failure.traceback
    on_host = failure_of(MemoryError("of the machine"), 3 * GB, memory)[1].reason
    assert "--max-memory" in on_host
    assert "GPU" not in on_host
