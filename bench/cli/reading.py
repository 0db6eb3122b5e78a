"""Reading records for commands that print or tabulate them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import filter as filter_names
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import BenchError, DataError, UsageError
from bench.records.encoding import Series
from bench.records.schema import Metric, Record
from bench.records.store import Store
from bench.registry.names import unknown


class RecordsError(BenchError):
    """No record of a results folder is sound."""


def read_records(results: Path, *, may_be_none: bool = False) -> tuple[list[Record], list[tuple[str, str]]]:
    """Return all readable records, and (folder, sentence) for those left out, which are also printed.

    Raises:
        UsageError: if there is no record at all, unless there ``may_be_none``.
        RecordsError: if there are some, but none is sound.
    """
    store = Store(results)
    records = list(store.records())
    problems = [(str(problem.folder), problem.sentence) for problem in store.problems]
    for _, reason in problems:
        click.echo(f"warning: left out: {reason}", err=True)
    if problems and not records:
        raise RecordsError(f"none of the {len(problems)} records in {results} can be read")
    if not records and not may_be_none:
        raise UsageError(f"no records in {results}; make some with: python -m bench run --results {results}")
    return records, problems


class WithQueries(NamedTuple):
    """Records whose values per query can be believed.

    Attributes:
        records: those of ``values``, and all without a result.
        values: by digest of a finished record, what was asked for.
        problems: (folder, sentence) of the others.
    """

    records: list[Record]
    values: dict[str, dict[Series, NDArray[np.float64]]]
    problems: list[tuple[str, str]]


def with_queries(store: Store, records: Iterable[Record], wanted: Callable[[Series], bool]) -> WithQueries:
    """Read values per query and leave out the records that these contradict, which are also printed."""
    found = WithQueries([], {}, [])
    for record in records:
        try:
            if record.result is not None:
                found.values[record.digest] = store.per_query(record.digest, wanted)
        except DataError as error:
            click.echo(f"warning: left out: {error}", err=True)
            found.problems.append((str(store.runs / record.digest), str(error)))
        else:
            found.records.append(record)
    return found


def chosen(what: str, known: Iterable[str], patterns: Sequence[str]) -> set[str]:
    """Return the names that one of the globs fits; no globs fit everything.

    Args:
        what: kind of name, for the error.
        known: names that occur in the records.
        patterns: as typed; commas separate.

    Raises:
        UsageError: for a glob or name that fits none; suggests near misses.
    """
    names = set(known)
    words = [word.strip() for pattern in patterns for word in pattern.split(",") if word.strip()]
    for word in words:
        if not filter_names(names, word):
            raise unknown(f"{what} in these records", word, names)
    return {name for word in words for name in filter_names(names, word)} if words else names


def evaluated(words: Sequence[str], records: Sequence[Record]) -> list[str]:
    """Return the protocols' ids, each once.

    Raises:
        UsageError: for an id that is none, or that no record has numbers for.
    """
    from bench.evaluation import Protocol

    known = {metric.protocol for metric in metrics_of(records)}
    ids = [Protocol.parse(part).id for word in words for part in word.split(",") if part.strip()]
    for protocol in ids:
        if known and protocol not in known:
            raise unknown("protocol in these records", protocol, known)
    return list(dict.fromkeys(ids))


def metrics_of(records: Sequence[Record]) -> Iterator[Metric]:
    """Iterate over the numbers of all records that have a result."""
    for record in records:
        if record.result is not None:
            yield from record.result.metrics
