"""Which recorded cells are meant: by method, dataset, and whatever narrows them down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bench.cli.options import grouped
from bench.cli.phrases import printable
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.records.schema import Identity, Record

_LISTED: Final = 6
"""Cells that a message names; the others are counted."""


@dataclass(frozen=True)
class Which:
    """What narrows cells down, as typed; None admits all."""

    seed: int | None
    variant: str | None
    profile: str | None
    modalities: str | None
    data_version: str | None
    record: str | None


which_options = grouped(
    Which,
    "which",
    click.option("--seed", default=None, type=click.IntRange(0), help="Only this seed index."),
    click.option("--variant", default=None, help="Only this variant: full, or an ablation's name."),
    click.option("--profile", default=None, help="Only this profile: quick or paper."),
    click.option("--modalities", default=None, metavar="A,B", help="Only cells of exactly these modalities."),
    click.option(
        "--data-version", default=None, metavar="DIGITS", help="Only data whose fingerprint begins so."
    ),
    click.option("--record", default=None, metavar="DIGEST", help="Only this record; its first digits do."),
)
"""Adds the options of `Which`; the command gets them as ``which``."""


@dataclass(frozen=True)
class DataWord:
    """A dataset as somebody named it.

    Attributes:
        name: of the dataset in the records.
        versions: beginnings of the fingerprints that are meant; empty where all are.
    """

    name: str
    versions: tuple[str, ...] = ()

    def fits(self, who: Identity) -> bool:
        """Return whether a cell is of this data."""
        return who.dataset == self.name and (
            not self.versions or any(who.fingerprint.startswith(version) for version in self.versions)
        )


def data_named(word: str, records: Sequence[Record]) -> DataWord:
    """Return which data a word means: a name, ``name@fingerprint``, or the path of a feature bundle.

    Two files of one name are two data: where the file is there, its content decides.

    Raises:
        BenchError: if there is such a file and it cannot be read.
    """
    from bench.data import fingerprint_of
    from bench.data.source import is_bundle
    from bench.registry import PROFILES

    known = {record.identity.dataset for record in records}
    name, at, version = word.rpartition("@")
    if word not in known and at and name in known:
        return DataWord(name, (version,))
    if word in known or not is_bundle(word):
        return DataWord(word)
    if not Path(word).is_file():
        return DataWord(Path(word).stem)
    return DataWord(Path(word).stem, tuple(fingerprint_of(word, profile=one)[1] for one in PROFILES))


def find(records: Sequence[Record], method: str, dataset: str, which: Which, results: Path) -> list[Record]:
    """Return the records that are meant, in the order of variant, profile, modalities and seed.

    A stale record is meant only if it is named, or if the code at hand has not made its cell again.

    Args:
        records: of any status.
        method: registry name, or ``method/variant``.
        dataset: name in the records, or what else `data_named` takes.
        which: what narrows them down.
        results: folder of the records, for the messages.

    Raises:
        UsageError: if there is none; says which there are, or what makes one.
    """
    name, slash, variant = method.partition("/")
    if slash and which.variant is None:
        which = replace(which, variant=variant)
    data = data_named(dataset, records)
    own = [one for one in records if (one.identity.method, one.identity.dataset) == (name, data.name)]
    fitting = [one for one in own if _fits(one, which) and data.fits(one.identity)]
    if fitting:
        fitting = fitting if which.record else _latest(fitting)
        return sorted(fitting, key=lambda one: (*_order(one.identity), one.digest))
    command = _command(name, data.name if dataset.startswith(f"{data.name}@") else dataset, which, results)
    if own:
        raise UsageError(
            f"no record of {name} on {data.name} in {results} fits; there are: {_listed(own)}; {command}"
        )
    _require_names(records, name, data.name, dataset)
    raise UsageError(f"no record of {name} on {data.name} in {results}; {command}")


def _latest(records: Sequence[Record]) -> list[Record]:
    """Return the records without stale ones whose cells were made again."""
    from bench.experiment.stale import stale_records

    made_again = {one.record.digest for one in stale_records(records) if one.again}
    return [record for record in records if record.digest not in made_again]


def narrowing(one: Record, others: Sequence[Record]) -> str:
    """Return the options that single one record out among others, such as ``--seed 0 --profile quick``."""
    columns: dict[str, Callable[[Identity], str]] = {
        "--variant": lambda who: who.variant,
        "--profile": lambda who: who.profile,
        "--data-version": lambda who: who.fingerprint[:8],
        "--modalities": lambda who: ",".join(who.modalities),
        "--seed": lambda who: str(who.seed),
    }
    words: list[str] = []
    left = [other for other in others if other.digest != one.digest]
    for option, value in columns.items():
        kept = [other for other in left if value(other.identity) == value(one.identity)]
        if len(kept) < len(left):
            words.append(f"{option} {value(one.identity)}")
        left = kept
    return " ".join(words) if not left else f"--record {one.digest[:8]}"


def _fits(record: Record, which: Which) -> bool:
    who = record.identity
    named = None if which.modalities is None else {part.strip() for part in which.modalities.split(",")}
    return (
        which.seed in (None, who.seed)
        and which.variant in (None, who.variant)
        and which.profile in (None, who.profile)
        and named in (None, set(who.modalities))
        and who.fingerprint.startswith(which.data_version or "")
        and record.digest.startswith(which.record or "")
    )


def _order(who: Identity) -> tuple[Any, ...]:
    from bench.analysis.labels import newest_first

    return (
        *(who.variant != "full", who.variant, who.profile, who.data_kind, who.fingerprint, who.device),
        *(newest_first(who.harness), newest_first(who.code), who.modalities, who.seed),
    )


def _listed(records: Sequence[Record]) -> str:
    ordered = sorted(records, key=lambda one: (*_order(one.identity), one.digest))
    several = len({one.identity.fingerprint for one in records}) > 1
    names = [
        f"{one.identity.variant}, {one.identity.profile} profile, {'+'.join(one.identity.modalities)}, "
        f"seed {one.identity.seed} ({one.digest[:8]})"
        + (f" of {one.identity.dataset}@{one.identity.fingerprint[:8]}" if several else "")
        for one in ordered[:_LISTED]
    ]
    more = f" and {len(records) - _LISTED} more" if len(records) > _LISTED else ""
    return printable("; ".join(names)) + more


def _require_names(records: Sequence[Record], method: str, dataset: str, typed: str) -> None:
    """Refuse names that neither the registry nor the records know.

    Raises:
        UsageError: with what was probably meant.
    """
    from bench import registry

    found = registry.registered()
    methods = {*found.methods, *(one.identity.method for one in records)}
    datasets = {*found.datasets, *(one.identity.dataset for one in records)}
    if method not in methods:
        raise registry.unknown("method", method, methods)
    if dataset not in datasets and not typed.endswith(".npz"):
        raise registry.unknown("dataset", dataset, datasets)


def _command(method: str, dataset: str, which: Which, results: Path) -> str:
    import shlex

    words = ["python", "-m", "bench", "run", "--methods", method, "--datasets", dataset]
    if which.seed is not None:
        words += ["--seeds", f"{which.seed}-{which.seed}"]
    for option, value in (
        ("--variants", which.variant),
        ("--profile", which.profile),
        ("--modalities", which.modalities),
    ):
        words += [] if value is None else [option, value]
    return f"to make it: {shlex.join([*words, '--results', str(results)])}"
