"""Whatever is raised becomes a status and one sentence."""

from __future__ import annotations

import errno
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contract import DeadlineExceeded, RefusedEmbeddings, Unsupported
from bench.experiment.failures import failure_of, sentence_of
from bench.records import STATUSES


class OutOfMemoryError(RuntimeError):
    """As PyTorch names it."""


def raised_from(cause: Exception | None) -> ValueError:
    """Return an error with a cause; without one, it is its own."""
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


@given(st.text())
def test_the_reason_is_one_line_and_never_empty(message: str) -> None:
    status, failure = failure_of(ValueError(message))
    assert status in STATUSES
    assert failure.reason
    assert len(failure.reason.splitlines()) == 1
    assert sentence_of(ValueError(message)) == (message.strip().splitlines() or ["ValueError"])[0]
