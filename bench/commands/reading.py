"""Reading records for commands that print or tabulate them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import click

from bench.contract.errors import UsageError
from bench.records.schema import Record
from bench.records.store import Store


def read_records(results: Path) -> tuple[list[Record], list[tuple[str, str]]]:
    """Return all readable records, and (folder, sentence) for those left out, which are also printed.

    Raises:
        UsageError: if there is no record at all.
    """
    store = Store(results)
    records = list(store.records())
    problems = [(str(problem.folder), problem.sentence) for problem in store.problems]
    for folder, reason in problems:
        click.echo(f"warning: record {folder} is left out: {reason}", err=True)
    if not records:
        raise UsageError(f"no records in {results}; make some with: python -m bench run --results {results}")
    return records, problems


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of the globs; no globs fit everything."""
    words = [word for pattern in patterns for word in pattern.split(",") if word]
    return not words or any(fnmatch(name, word) for word in words)
