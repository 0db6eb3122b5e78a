"""``merge``: copy the records of another results folder into this one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Final

from bench.cli.formatting import print_lines, warn
from bench.cli.options import ARGUMENT, FilePath, ResultsOption, make_command
from bench.cli.run import prepare_results
from bench.plural import counted
from bench.records.merging import merge
from bench.records.store import Store

_ACTIONS: Final = {
    "copied": "copied",
    "replaced": "copied over a failure or a damaged one",
    "known": "known already",
    "kept": "left out for a better one here",
    "conflict": "different from the finished one here",
    "damaged": "damaged",
}


@make_command("merge", plugins="none")
def command(other_results: Annotated[Path, ARGUMENT, FilePath("any")], folder: ResultsOption) -> int:
    """Copy the records, stored models and trials of another results folder into this one.

    Each record is checked and copied byte for byte. A finished record is never replaced by a failed one, nor
    a valid one by a damaged one. Where both folders have a finished record of a cell with other numbers, the
    record in --results stays, and the cell is named. Merging again copies only what is missing.

    Exit status 0; 1 if finished records differ or a file is damaged; 2 for wrong usage.
    """
    actions: dict[str, Counter[str]] = {kind: Counter() for kind in ("record", "model", "trial")}
    items = merge(other_results, folder.results)
    prepare_results(Store(folder.results))
    for item in items:
        actions[item.kind][item.action] += 1
        if item.action == "conflict":
            print_lines(f"differs, ours is kept: {item.title}: {item.why}", err=True)
        elif item.action == "damaged":
            warn(f"left out: {item.why}")
    for kind, counts in actions.items():
        if counts:
            total = ", ".join(f"{counts[one]} {words}" for one, words in _ACTIONS.items() if counts[one])
            print_lines(f"{counted(counts.total(), kind)} in {other_results}: {total}")
    print_lines(f"next: python -m bench status --results {folder.results}")
    return int(any(counts["conflict"] + counts["damaged"] for counts in actions.values()))
