"""``python -m tests.versions``: confirm the versions of the code, or raise them where numbers have moved."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import registry
from bench.atomic import write_whole
from bench.registry.code import LOCK, read_lock
from bench.registry.versions import Versions, plugin_files, toolkits_of
from tests.versions import data, reference
from tests.versions.changing import Change, change_of, lock_text

_SHOWN = 12


def toolkits() -> dict[str, list[str]]:
    """Return the toolkits of every method of the project."""
    return {
        name: toolkits_of(plugin_files(one.where).values())
        for name, one in registry.registered().methods.items()
        if Path(one.where).parent == registry.folder_of("methods")
    }


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; exit status 1 where numbers moved that no changed code explains."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__)
    parser.add_argument(
        *("--raise", "-r"),
        dest="by_hand",
        action="append",
        default=[],
        metavar="UNIT",
        help="Raise the version of this package, method or dataset in any case; may be repeated.",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="Print what would be written, and write nothing."
    )
    given = parser.parse_args(words)
    lock, units, stored = read_lock(), Versions().units(), reference.read_stored()
    unknown = set(given.by_hand) - {name for kind in units.values() for name in kind}
    if unknown:
        parser.error(f"unknown unit {min(unknown)!r}; {LOCK.name} names all")
    with tempfile.TemporaryDirectory(prefix="bench-versions-") as folder:
        now = reference.measure(Path(folder))
    datasets = {**stored["datasets"], **data.measure()}
    moved = reference.moved(stored["methods"], now)
    moved_data = data.moved(stored["datasets"], datasets)
    conditioned = reference.only_under_conditions(moved)
    change = change_of(lock, units, toolkits(), moved, moved_data, given.by_hand, conditioned)
    _say(change, moved, max(reference.gaps(stored["methods"], now)))
    if change.unexplained:
        print(
            f"Numbers of {', '.join(change.unexplained)} moved, but none of the code that their versions "
            "cover changed: other libraries, or code outside these units. If that is meant, name what to "
            "raise with --raise. Nothing was written."
        )
        return 1
    if not given.dry_run:
        write_whole(LOCK, lock_text(change.lock))
        write_whole(reference.STORED, _json({"methods": now, "datasets": datasets}))
        print(f"written: {LOCK.name}, {reference.STORED.name}")
    return 0


def _say(change: Change, moved: Mapping[str, Sequence[str]], largest: tuple[float, str, str]) -> None:
    sentences = [sentence for name in sorted(moved) for sentence in moved[name]]
    for sentence in sentences[:_SHOWN]:
        print(f"moved: {sentence}")
    if len(sentences) > _SHOWN:
        print(f"and {len(sentences) - _SHOWN} more numbers")
    if not moved:
        where = f" ({largest[2]})" if largest[0] else ""
        print(f"no number moved; the largest difference is {largest[0]:.2g} of the tolerance{where}")
    for _, name in change.raised:
        print(f"raised: {name}")
    for _, name in change.confirmed:
        print(f"confirmed with the same numbers: {name}")
    if change.raised:
        print("Name what moved, and why, in CHANGELOG.md; docs/changing-numbers.md describes how to show it.")


def _json(content: Any) -> str:
    return json.dumps(content, indent=0, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.exit(main())
