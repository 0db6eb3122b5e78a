"""Writes one cell over and over, as done and as failed in turns; run as a program and killed by the tests."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from bench.records import Store
from tests.records import making


def main(root: str, first: str, rounds: int) -> None:
    store = Store(Path(root))
    store.prepare()
    print("ready", flush=True)
    for number in count() if rounds < 0 else range(rounds):
        record = making.record(status="failed" if first == "failed" else "done", reason=f"number {number}")
        store.write(record, making.per_query(), making.TRACE, "x" * 10_000)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
