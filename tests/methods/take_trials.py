"""Takes over the trials of ``bench tune``: `quick_trials.csv` and the ``tuned`` sections of `quick.yaml`.

``make tune`` calls it: ``python -m tests.methods.take_trials TRIALS.csv``. Everything else in quick.yaml,
comments included, stays as it is.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from bench.atomic import write_whole
from bench.contract import DataKind
from bench.registry import folder_of

FOLDER = folder_of("methods") / "settings"
SECTIONS: dict[DataKind, tuple[str, ...]] = {"real": ("tuned",), "look-alike": ("look_alikes", "tuned")}
"""Keys under which quick.yaml keeps what the trials on each kind of data chose."""


def chosen(trials: str, kind: DataKind) -> dict[str, dict[str, Any]]:
    """Return the changes of each method's best trial on a kind of data; without those that change nothing.

    The best has the highest validation mAP, averaged over the datasets of this kind; it succeeded on all.
    """
    rows = [row for row in csv.DictReader(trials.splitlines()) if row["data_kind"] == kind]
    datasets = {row["dataset"] for row in rows}
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["validation_map"]:
            values[row["method"]][row["changes"]].append(float(row["validation_map"]))
    best = {}
    for name in sorted({row["method"] for row in rows}):
        tried = values[name]
        means = {changes: fmean(each) for changes, each in tried.items() if len(each) == len(datasets)}
        if not means:
            raise ValueError(f"no trial on {kind} data succeeded for {name}")
        best[name] = json.loads(max(means, key=means.__getitem__))
    return {name: changes for name, changes in best.items() if changes}


def taken_over(settings: str, trials: str) -> str:
    """Return the text of quick.yaml with the sections of all kinds of data for which there are trials.

    Raises:
        ValueError: if a method has no successful trial, or a section is not there.
    """
    kinds = {row["data_kind"] for row in csv.DictReader(trials.splitlines())}
    lines = settings.splitlines()
    for kind, keys in SECTIONS.items():
        if kind not in kinds:
            continue
        first, end = _section(lines, keys)
        indent = "  " * len(keys)
        lines[first:end] = [
            f"{indent}{name}: {yaml.safe_dump(changes, default_flow_style=True, width=1000).strip()}"
            for name, changes in chosen(trials, kind).items()
        ]
    return "\n".join(lines) + "\n"


def _section(lines: list[str], keys: tuple[str, ...]) -> tuple[int, int]:
    """Return where a section's entries begin and end: the lines that are indented below its key."""
    index = -1
    for depth, key in enumerate(keys):
        head = f"{'  ' * depth}{key}:"
        found = [number for number, line in enumerate(lines) if number > index and line.startswith(head)]
        if not found:
            raise ValueError(f"quick.yaml has no section {' > '.join(keys)}")
        index = found[0]
    end = index + 1
    while end < len(lines) and lines[end].startswith("  " * len(keys)):
        end += 1
    return index + 1, end


def main() -> None:
    """Take over the trials in the file named on the command line."""
    trials = Path(sys.argv[1]).read_text(encoding="utf-8")
    path = FOLDER / "quick.yaml"
    write_whole(path, taken_over(path.read_text(encoding="utf-8"), trials))
    write_whole(FOLDER / "quick_trials.csv", trials)
    print(f"taken over: {path}")


if __name__ == "__main__":
    main()
