"""A claim holds against other processes, dies with its holder, and knows what was recorded meanwhile."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.records import Record, Store, StoreError
from bench.records.claims import Claims
from tests.records import making

ROOT = Path(__file__).resolve().parents[2]

HOLDER = """
import sys
from bench.records.claims import Claims
from bench.records.store import Store

with Claims(Store(sys.argv[1])) as claims:
    for line in sys.stdin:
        word, digest = line.split()
        print(getattr(claims, word)(digest), flush=True)
"""


class Other:
    """Another process that claims cells of the same folder."""

    def __init__(self, results: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(results)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, word: str, digest: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word} {digest}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def die(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "r")
    store.prepare()
    return store


@pytest.fixture
def other(store: Store) -> Iterator[Other]:
    other = Other(store.root)
    yield other
    other.die()


def write(store: Store, record: Record) -> None:
    store.write(record, making.per_query(), [], "")


def test_one_process_at_a_time_has_a_cell_and_gives_it_back(store: Store, other: Other) -> None:
    one, two = making.identity(1).digest, making.identity(2).digest
    assert other.do("take", one) == "mine"
    assert other.do("take", one) == "mine"  # asked again by its holder
    with Claims(store) as claims:
        assert claims.take(one) == "elsewhere"
        assert claims.take(two) == "mine"
        assert other.do("take", two) == "elsewhere"
        other.do("release", one)
        assert claims.take(one) == "mine"
        claims.release(two)
        assert other.do("take", two) == "mine"
    assert other.do("take", one) == "mine"


def test_a_claim_dies_with_its_holder(store: Store, other: Other) -> None:
    digest = making.identity().digest
    assert other.do("take", digest) == "mine"
    with Claims(store) as claims:
        assert claims.take(digest) == "elsewhere"
        other.die()
        assert claims.take(digest) == "mine"


def test_what_was_recorded_since_is_not_done_again_but_what_is_older_may_be(store: Store) -> None:
    old, new, untouched = making.record(1, "failed"), making.record(2), making.record(3, "failed")
    write(store, old)
    write(store, untouched)
    with Claims(store) as claims:
        assert claims.take(old.digest) == "mine"  # it was asked to run again
        claims.release(old.digest)
        write(store, new)
        write(store, old)
        assert [claims.take(record.digest) for record in (old, new, untouched)] == [
            "recorded",
            "recorded",
            "mine",
        ]


def test_a_damaged_record_is_none(store: Store) -> None:
    record = making.record()
    with Claims(store) as claims:
        write(store, record)
        (store.runs / record.digest / "record.json").write_text("{")
        assert claims.take(record.digest) == "mine"


def test_without_locks_a_run_goes_on_and_can_say_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("bench.records.claims.fcntl.lockf", refuse)
    with Claims(store) as claims:
        assert claims.unavailable == "its file system refuses: No locks available"
        assert claims.take(making.identity().digest) == "mine"
        claims.release(making.identity().digest)


def test_a_file_of_claims_that_cannot_be_written_is_one_sentence(store: Store) -> None:
    (store.root / ".claims").mkdir()
    with pytest.raises(StoreError, match=r"cannot write results to .*\.claims"), Claims(store):
        pass
