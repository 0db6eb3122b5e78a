"""Writes one cell's record repeatedly, as a program that tests kill.

With a number of rounds it writes that many records. With none, it forks one writer after another:
it prints the process id of each, and a further line once that has ended.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path

from bench.records import Store
from tests.records import making


def write(store: Store, failed: bool, rounds: int | None = None) -> None:
    for number in count() if rounds is None else range(rounds):
        record = making.record(status="failed" if failed else "done", reason=f"number {number}")
        store.write(record, making.per_query(), making.TRACE, "x" * 10_000)


def main(root: str, status: str, rounds: str | None = None) -> None:
    store = Store(Path(root))
    store.prepare()
    if rounds is not None:
        print("ready", flush=True)
        write(store, status == "failed", int(rounds))
        return
    while True:
        if (child := os.fork()) == 0:
            write(store, status == "failed")
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
