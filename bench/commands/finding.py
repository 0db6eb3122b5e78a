"""Which recorded cells are meant: by method, dataset, and whatever narrows them down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bench.commands.options import grouped
from bench.commands.phrases import printable
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
    record: str | None


which_options = grouped(
    Which,
    "which",
    click.option("--seed", default=None, type=click.IntRange(0), help="Only this seed index."),
    click.option("--variant", default=None, help="Only this variant: full, or an ablation's name."),
    click.option("--profile", default=None, help="Only this profile: quick or paper."),
    click.option("--modalities", default=None, metavar="A,B", help="Only cells of exactly these modalities."),
    click.option("--record", default=None, metavar="DIGEST", help="Only this record; its first digits do."),
)
"""Adds the options of `Which`; the command gets them as ``which``."""


def find(records: Sequence[Record], method: str, dataset: str, which: Which, results: Path) -> list[Record]:
    """Return the records that are meant, in the order of variant, profile, modalities and seed.

    A stale record is meant only if it is named, or if the code at hand has not made its cell again.

    Args:
        records: of any status.
        method: registry name, or ``method/variant``.
        dataset: name in the records, or path of a feature bundle.
        which: what narrows them down.
        results: folder of the records, for the messages.

    Raises:
        UsageError: if there is none; says which there are, or what makes one.
    """
    name, slash, variant = method.partition("/")
    if slash and which.variant is None:
        which = Which(which.seed, variant, which.profile, which.modalities, which.record)
    data = Path(dataset).stem if dataset.endswith(".npz") else dataset
    own = [one for one in records if (one.identity.method, one.identity.dataset) == (name, data)]
    fitting = [one for one in own if _fits(one, which)]
    if fitting:
        fitting = fitting if which.record else _latest(fitting)
        return sorted(fitting, key=lambda one: (*_order(one.identity), one.digest))
    command = _command(name, dataset, which, results)
    if own:
        raise UsageError(
            f"no record of {name} on {data} in {results} fits; there are: {_listed(own)}; {command}"
        )
    _require_names(records, name, dataset)
    raise UsageError(f"no record of {name} on {data} in {results}; {command}")


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
        and record.digest.startswith(which.record or "")
    )


def _order(who: Identity) -> tuple[bool, str, str, str, tuple[str, ...], int]:
    return who.variant != "full", who.variant, who.profile, who.data_kind, who.modalities, who.seed


def _listed(records: Sequence[Record]) -> str:
    ordered = sorted(records, key=lambda one: (*_order(one.identity), one.digest))
    names = [
        f"{one.identity.variant}, {one.identity.profile} profile, {'+'.join(one.identity.modalities)}, "
        f"seed {one.identity.seed} ({one.digest[:8]})"
        for one in ordered[:_LISTED]
    ]
    more = f" and {len(records) - _LISTED} more" if len(records) > _LISTED else ""
    return printable("; ".join(names)) + more


def _require_names(records: Sequence[Record], method: str, dataset: str) -> None:
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
    if dataset not in datasets and not dataset.endswith(".npz"):
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
