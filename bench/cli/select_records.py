"""Reading the records of a results folder, and selecting those that a command is about."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import filter as filter_names
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import registry
from bench.analysis.labels import newest_first
from bench.cli.formatting import and_more, warn
from bench.cli.options import Words
from bench.contract.errors import BenchError, DataError, UsageError
from bench.data import fingerprint_of
from bench.data.loading import is_bundle
from bench.evaluation import Protocol
from bench.experiment.stale import stale_records
from bench.records.schema import Identity, Metric, Record, Series
from bench.records.store import Store

_LISTED: Final = 6
"""Cells that a message names; the others are counted."""


@dataclass(frozen=True)
class RecordOptions:
    """Options that narrow down the records of a method on a dataset; None admits all.

    Attributes:
        seed: Only this seed index.
        variant: Only this variant: full, or an ablation's name.
        profile: Only this profile: quick or paper.
        modalities: Only cells of exactly these modalities.
        data_version: Only data whose fingerprint begins so.
        record: Only this record; its first digits do.
    """

    seed: int | None = None
    variant: str | None = None
    profile: str | None = None
    modalities: Annotated[str | None, Words("A,B")] = None
    data_version: Annotated[str | None, Words("DIGITS")] = None
    record: Annotated[str | None, Words("DIGEST")] = None

    def admit(self, record: Record) -> bool:
        """Return whether a record is admitted."""
        identity = record.identity
        return (
            self.seed in (None, identity.seed)
            and self.variant in (None, identity.variant)
            and self.profile in (None, identity.profile)
            and (self.modalities is None or _parts(self.modalities) == {*identity.modalities})
            and identity.fingerprint.startswith(self.data_version or "")
            and record.digest.startswith(self.record or "")
        )


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
        warn(f"left out: {reason}")
    if problems and not records:
        raise RecordsError(f"none of the {len(problems)} records in {results} can be read")
    if not records and not may_be_none:
        raise UsageError(f"no records in {results}; make some with: python -m bench run --results {results}")
    return records, problems


class WithQueries(NamedTuple):
    """Records whose values per query agree with their metrics.

    Attributes:
        records: those of ``values``, and all without a result.
        values: by digest of a finished record, what was asked for.
        problems: (folder, sentence) of the others.
    """

    records: list[Record]
    values: dict[str, dict[Series, NDArray[np.float64]]]
    problems: list[tuple[str, str]]


def with_queries(store: Store, records: Iterable[Record], wanted: Callable[[Series], bool]) -> WithQueries:
    """Read values per query; records that these contradict are left out and printed."""
    result = WithQueries([], {}, [])
    for record in records:
        try:
            if record.result is not None:
                result.values[record.digest] = store.per_query(record.digest, wanted)
        except DataError as error:
            warn(f"left out: {error}")
            result.problems.append((str(store.runs / record.digest), str(error)))
        else:
            result.records.append(record)
    return result


def matching_names(what: str, known: Iterable[str], patterns: Sequence[str]) -> set[str]:
    """Return the names that one of the globs matches; no globs match everything.

    Args:
        what: kind of name, for the error.
        known: names that occur in the records.
        patterns: as given; commas separate.

    Raises:
        UsageError: for a glob or name that matches none; suggests near misses.
    """
    names = set(known)
    words = [word for pattern in patterns for word in sorted(_parts(pattern))]
    for word in words:
        if not filter_names(names, word):
            raise registry.unknown(f"{what} in these records", word, names)
    return {name for word in words for name in filter_names(names, word)} if words else names


def evaluated_protocols(words: Sequence[str], records: Sequence[Record]) -> list[str]:
    """Return the ids of protocols, each once.

    Raises:
        UsageError: for an id that is none, or that no record has numbers for.
    """
    known = {metric.protocol for metric in metrics_of(records)}
    ids = [Protocol.parse(part).id for word in words for part in word.split(",") if part.strip()]
    for protocol in ids:
        if known and protocol not in known:
            raise registry.unknown("protocol in these records", protocol, known)
    return list(dict.fromkeys(ids))


def metrics_of(records: Sequence[Record]) -> Iterator[Metric]:
    """Iterate over the numbers of all records that have a result."""
    for record in records:
        if record.result is not None:
            yield from record.result.metrics


@dataclass(frozen=True)
class DatasetName:
    """A dataset as named in a command.

    Attributes:
        name: of the dataset in the records.
        versions: beginnings of the fingerprints that are meant; empty where all are.
    """

    name: str
    versions: tuple[str, ...] = ()

    def admits(self, identity: Identity) -> bool:
        """Return whether a cell is of this data."""
        return identity.dataset == self.name and (
            not self.versions or any(identity.fingerprint.startswith(version) for version in self.versions)
        )


def dataset_named(word: str, records: Sequence[Record]) -> DatasetName:
    """Return which data a word means: a name, ``name@fingerprint``, or the path of a feature bundle.

    Two files of one name are two data: where the file is there, its content decides.

    Raises:
        BenchError: if there is such a file and it cannot be read.
    """
    known = {record.identity.dataset for record in records}
    name, at, version = word.rpartition("@")
    if word not in known and at and name in known:
        return DatasetName(name, (version,))
    if word in known or not is_bundle(word):
        return DatasetName(word)
    if not Path(word).is_file():
        return DatasetName(Path(word).stem)
    versions = tuple(fingerprint_of(word, profile=profile)[1] for profile in registry.PROFILES)
    return DatasetName(Path(word).stem, versions)


def select_records(
    records: Sequence[Record], method: str, dataset: str, options: RecordOptions, results: Path
) -> list[Record]:
    """Return the records that are meant, in the order of variant, profile, modalities and seed.

    A stale record is meant only if it is named, or if the code at hand has not made its cell again.

    Args:
        records: of any status.
        method: registry name, or ``method/variant``.
        dataset: name in the records, or what else `dataset_named` takes.
        options: what narrows them down.
        results: folder of the records, for the messages.

    Raises:
        UsageError: if there is none; says which there are, or what makes one.
    """
    name, slash, variant = method.partition("/")
    if slash and options.variant is None:
        options = replace(options, variant=variant)
    data = dataset_named(dataset, records)
    candidates = [
        record for record in records if (record.identity.method, record.identity.dataset) == (name, data.name)
    ]
    chosen = [record for record in candidates if options.admit(record) and data.admits(record.identity)]
    if chosen:
        made_again = {stale.record.digest for stale in stale_records(chosen) if stale.again}
        return sorted(
            (record for record in chosen if options.record or record.digest not in made_again), key=_order
        )
    typed = data.name if dataset.startswith(f"{data.name}@") else dataset
    command = _command(name, typed, options, results)
    if candidates:
        there_are = f"there are: {_listed(candidates)}"
        raise UsageError(f"no record of {name} on {data.name} in {results} fits; {there_are}; {command}")
    known = registry.registered()
    methods = {*known.methods, *(record.identity.method for record in records)}
    datasets = {*known.datasets, *(record.identity.dataset for record in records)}
    if name not in methods:
        raise registry.unknown("method", name, methods)
    if data.name not in datasets and not is_bundle(dataset):
        raise registry.unknown("dataset", data.name, datasets)
    raise UsageError(f"no record of {name} on {data.name} in {results}; {command}")


def narrowing(record: Record, others: Sequence[Record]) -> str:
    """Return the options that single a record out among others, such as ``--seed 0 --profile quick``."""
    columns: dict[str, Callable[[Identity], str]] = {
        "--variant": lambda identity: identity.variant,
        "--profile": lambda identity: identity.profile,
        "--data-version": lambda identity: identity.fingerprint[:8],
        "--modalities": lambda identity: ",".join(identity.modalities),
        "--seed": lambda identity: str(identity.seed),
    }
    words: list[str] = []
    left = [other for other in others if other.digest != record.digest]
    for option, value in columns.items():
        kept = [other for other in left if value(other.identity) == value(record.identity)]
        if len(kept) < len(left):
            words.append(f"{option} {value(record.identity)}")
        left = kept
    return " ".join(words) if not left else f"--record {record.digest[:8]}"


def _parts(words: str) -> set[str]:
    return {part.strip() for part in words.split(",") if part.strip()}


def _order(record: Record) -> tuple[Any, ...]:
    one = record.identity
    return (
        *(one.variant != "full", one.variant, one.profile, one.data_kind, one.fingerprint, one.device),
        *(newest_first(one.harness), newest_first(one.code), one.modalities, one.seed, record.digest),
    )


def _listed(records: Sequence[Record]) -> str:
    several = len({record.identity.fingerprint for record in records}) > 1
    names = []
    for record in sorted(records, key=_order):
        one = record.identity
        data = f" of {one.dataset}@{one.fingerprint[:8]}" if several else ""
        modalities = "+".join(one.modalities)
        names.append(
            f"{one.variant}, {one.profile} profile, {modalities}, seed {one.seed} ({record.digest[:8]}){data}"
        )
    return and_more(names, _LISTED)


def _command(method: str, dataset: str, options: RecordOptions, results: Path) -> str:
    words = ["python", "-m", "bench", "run", "--methods", method, "--datasets", dataset]
    seeds = None if options.seed is None else f"{options.seed}-{options.seed}"
    for option, value in (
        ("--seeds", seeds),
        ("--variants", options.variant),
        ("--profile", options.profile),
        ("--modalities", options.modalities),
    ):
        words += [] if value is None else [option, value]
    return f"to make it: {shlex.join([*words, '--results', str(results)])}"
