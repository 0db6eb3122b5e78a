"""Reads the records of a results folder, and selects those that a command uses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import registry
from bench.analysis.groups import condition_order
from bench.analysis.labels import newest_first
from bench.analysis.results import Filter, words_of
from bench.cli.formatting import and_more, warn
from bench.cli.options import Words
from bench.conditions import CLEAN, file_name, name_of, parse_conditions
from bench.contract.errors import BenchError, DataError, UsageError
from bench.data import fingerprint_of
from bench.data.loading import is_bundle
from bench.evaluation import Protocol
from bench.experiment.stale import stale_records
from bench.records.protocols import base_of
from bench.records.schema import Identity, Metric, Record, Series
from bench.records.store import Store

_LISTED: Final = 6  # cells that a message names; the others are counted


@dataclass(frozen=True)
class RecordOptions:
    """Options that narrow down the records of a method on a dataset; None admits all.

    Attributes:
        seed: Only this seed index.
        variant: Only this variant: full, or an ablation's name.
        profile: Only this profile: quick or paper.
        modalities: Only cells of exactly these modalities.
        data_version: Only data whose fingerprint begins with these digits.
        record: Only the record whose digest begins with these digits.
        condition: Only this condition, such as label-noise@.4.  [default: clean, if recorded]
    """

    seed: int | None = None
    variant: str | None = None
    profile: str | None = None
    modalities: Annotated[str | None, Words("A,B")] = None
    data_version: Annotated[str | None, Words("DIGITS")] = None
    record: Annotated[str | None, Words("DIGEST")] = None
    condition: str | None = None

    def filter(self, records: Sequence[Record]) -> Filter:
        """Return the filter of these options for some records."""
        clean = [CLEAN] if any(not record.identity.condition for record in records) else []

        names = ("variants", "profiles", "seeds", "fingerprints", "records")
        values = (self.variant, self.profile, self.seed, self.data_version, self.record)
        pairs = zip(names, values, strict=True)
        given: dict[str, Any] = {name: [value] for name, value in pairs if value is not None}
        conditions = condition_words([self.condition] if self.condition else [], records) or clean
        return Filter(modalities=words_of(self.modalities or ()), conditions=conditions, **given)


def condition_words(words: Sequence[str], records: Sequence[Record]) -> list[str]:
    """Return conditions for a filter, from words as for `run`, or globs.

    A name or a group means all its levels in ``records``; a name with a variant, those of the variant.

    Raises:
        UsageError: for an unknown condition, variant or level.
    """
    known = sorted({record.identity.condition for record in records} - {""})
    found = []
    for word in words_of(words):
        if word in known or "*" in word or word == CLEAN:
            found.append(word)
        elif "=" in word:
            found += _of_file(word, known)
        elif "@" in word:
            found += [applied.id for applied in parse_conditions([word]) if applied]
        else:
            meant = parse_conditions([word])
            heads = {_head(applied.id) if "/" in word else applied.name for applied in meant if applied}
            found += [one for one in known if heads & {name_of(one), _head(one)}] or [word]
    return found


def _head(condition: str) -> str:
    """Return the name of a condition with its variant, without level or file."""
    return re.split("[@=]", condition)[0]


def _of_file(word: str, known: Sequence[str]) -> list[str]:
    """Return the condition of a file; if the file is gone, those read from files of its name."""
    head, _, path = word.partition("=")
    if Path(path).expanduser().is_file():
        return [applied.id for applied in parse_conditions([word]) if applied]
    beginning = f"{head}={file_name(Path(path))}:"
    return [condition for condition in known if condition.startswith(beginning)] or [word]


class RecordsError(BenchError):
    """No record of a results folder is sound."""


def read_records(results: Path, *, may_be_none: bool = False) -> tuple[list[Record], list[tuple[str, str]]]:
    """Return all readable records, and (folder, sentence) for those left out, which are also printed.

    Raises:
        UsageError: if there is no record, unless there ``may_be_none``.
        RecordsError: if there are records, but none is sound.
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
    """Records whose values per query agree with their metrics, and all without a result.

    Attributes:
        values: of the wanted series, by digest of a finished record.
        problems: (folder, sentence) of the other records.
    """

    records: list[Record]
    values: dict[str, dict[Series, NDArray[np.float64]]]
    problems: list[tuple[str, str]]


def with_queries(store: Store, records: Iterable[Record], wanted: Callable[[Series], bool]) -> WithQueries:
    """Read values per query; records whose metrics contradict them are left out and printed."""
    result = WithQueries([], {}, [])
    for record in records:
        try:
            if record.result is not None:
                result.values[record.digest] = store.per_query(record.digest, wanted, record=record)
        except DataError as error:
            warn(f"left out: {error}")
            result.problems.append((str(store.runs / record.digest), str(error)))
        else:
            result.records.append(record)
    return result


def evaluated_protocols(words: Sequence[str], records: Sequence[Record]) -> list[str]:
    """Return the ids of protocols without ``/gallery``, each once.

    Raises:
        UsageError: for an unknown id, or one without numbers in the records.
    """
    known = {base_of(metric.protocol) for metric in metrics_of(records)}
    ids = [Protocol.parse(word).base for word in words_of(words)]
    for protocol in ids:
        if known and protocol not in known:
            raise registry.unknown("protocol in these records", protocol, known)
    return list(dict.fromkeys(ids))


def metrics_of(records: Sequence[Record]) -> Iterator[Metric]:
    """Iterate over the numbers of all records that have a result."""
    for record in records:
        if record.result is not None:
            yield from record.result.metrics


class DatasetName(NamedTuple):
    """A dataset as named in a command; with ``versions``, only data whose fingerprints begin so."""

    name: str
    versions: tuple[str, ...] = ()

    def admits(self, identity: Identity) -> bool:
        """Return whether a cell is of this data."""
        return identity.dataset == self.name and identity.fingerprint.startswith(self.versions or "")


def dataset_named(word: str, records: Sequence[Record]) -> DatasetName:
    """Return the data of a word: a name, ``name@fingerprint``, or the path of a feature bundle.

    Two files of one name are different data: if the file exists, its content decides.

    Raises:
        BenchError: if the file cannot be read.
    """
    known = {record.identity.dataset for record in records}
    name, at, version = word.rpartition("@")
    if word not in known and at and name in known:
        return DatasetName(name, (version,))
    if word in known or not is_bundle(word):
        return DatasetName(word)
    if not Path(word).exists():
        return DatasetName(Path(word).stem)
    versions = tuple(fingerprint_of(word, profile=profile)[1] for profile in registry.PROFILES)
    return DatasetName(Path(word).stem, versions)


def select_records(
    records: Sequence[Record], method: str, dataset: str, options: RecordOptions, results: Path
) -> list[Record]:
    """Return the matching records, in the order of variant, profile, modalities and seed.

    A stale record is left out if the present code has made its cell again, unless its digest is given.
    ``method`` is a registry name or ``method/variant``, ``dataset`` a word for `dataset_named`.

    Raises:
        UsageError: if none matches; names the available ones, or the command that makes one.
    """
    name, slash, variant = method.partition("/")
    if slash and options.variant is None:
        options = replace(options, variant=variant)
    data = dataset_named(dataset, records)
    candidates = [
        record for record in records if (record.identity.method, record.identity.dataset) == (name, data.name)
    ]
    chosen = [record for record in options.filter(candidates).of(candidates) if data.admits(record.identity)]
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
    """Return the options that select a record among others, such as ``--seed 0 --profile quick``."""

    def options(identity: Identity) -> dict[str, str]:
        return {
            "--variant": identity.variant,
            "--profile": identity.profile,
            "--condition": identity.condition or CLEAN,
            "--data-version": identity.fingerprint[:8],
            "--modalities": ",".join(identity.modalities),
            "--seed": str(identity.seed),
        }

    words: list[str] = []
    left = [options(other.identity) for other in others if other.digest != record.digest]
    for option, value in options(record.identity).items():
        kept = [other for other in left if other[option] == value]
        words += [f"{option} {value}"] if len(kept) < len(left) else []
        left = kept
    return " ".join(words) if not left else f"--record {record.digest[:8]}"


def _order(record: Record) -> tuple[Any, ...]:
    cell = record.identity
    return (
        *(cell.variant != "full", cell.variant, cell.profile, cell.data_kind, cell.fingerprint, cell.device),
        *(newest_first(cell.harness), newest_first(cell.code), condition_order(cell.condition)),
        *(cell.modalities, cell.seed, record.digest),
    )


def _listed(records: Sequence[Record]) -> str:
    several = len({record.identity.fingerprint for record in records}) > 1
    names = []
    for record in sorted(records, key=_order):
        identity = record.identity
        data = f" of {identity.dataset}@{identity.fingerprint[:8]}" if several else ""
        modalities = "+".join(identity.modalities)
        seed = f"seed {identity.seed}" + (f", {identity.condition}" if identity.condition else "")
        cell = f"{identity.variant}, {identity.profile} profile, {modalities}, {seed}"
        names.append(f"{cell} ({record.digest[:8]}){data}")
    return and_more(names, _LISTED)


def _command(method: str, dataset: str, options: RecordOptions, results: Path) -> str:
    given = {
        "--seeds": None if options.seed is None else f"{options.seed}-{options.seed}",
        "--variants": options.variant,
        "--profile": options.profile,
        "--modalities": options.modalities,
        "--conditions": options.condition,
        "--results": str(results),
    }
    words = ["python", "-m", "bench", "run", "--methods", method, "--datasets", dataset]
    words += [word for pair in given.items() if pair[1] is not None for word in pair if word is not None]
    return f"to make it: {shlex.join(words)}"
