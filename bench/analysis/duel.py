"""Two rows chosen by name, from one results folder or from two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.analysis.paired import Comparison, Pair, compare, pair_of
from bench.analysis.queries import Field, Member
from bench.contract.errors import UsageError
from bench.registry.names import unknown


@dataclass(frozen=True)
class Duel:
    """Two rows on one data.

    Attributes:
        field: what they were compared in.
        first: label of the one, which says how it was set.
        second: label of the other.
        comparisons: one per direction, with the names that were asked for; Holm is over all of them.
        omitted: directions that could not be compared, and why.
    """

    field: Field
    first: str
    second: str
    comparisons: tuple[Comparison, ...]
    omitted: tuple[str, ...]


def duels(first: tuple[str, str, Sequence[Field]], second: tuple[str, str, Sequence[Field]]) -> list[Duel]:
    """Compare two rows on every data that both have results on, nothing mixed.

    Args:
        first: name of the row as `member_named` takes it; what to add to its label; the fields to look in.
        second: the same of the other row.

    Raises:
        UsageError: if there is no such row, or none on the same data, or both are the same.
    """
    ours, theirs = (dict(_found(name, suffix, fields)) for name, suffix, fields in (first, second))
    shared = [field for field in first[2] if _key(field) in ours.keys() & theirs.keys()]
    if not shared:
        raise UsageError(
            f"{first[0]}{first[1]} and {second[0]}{second[1]} have no result on the same data: "
            f"{_places(first)} against {_places(second)}; run both with the same profile on the same data"
        )
    names = first[0] + first[1], second[0] + second[1]
    return [_duel(field, names, ours[_key(field)], theirs[_key(field)]) for field in shared]


def member_named(name: str, members: Sequence[Member]) -> Member | None:
    """Return the row that is meant: by its whole label, its method, or its method/variant.

    A method's name means the row with its usual settings where there are several.

    Raises:
        UsageError: if several rows fit equally well.
    """
    labelled = [member for member in members if member.label == name]
    fitting = labelled or [member for member in members if _short(member) == name]
    if len(fitting) > 1:
        fitting = [member for member in fitting if member.usual] or fitting
    if len(fitting) > 1:
        labels = ", ".join(repr(member.label) for member in fitting)
        raise UsageError(f"{len(fitting)} rows are of {name}; name one by its whole label: {labels}")
    return fitting[0] if fitting else None


def _found(name: str, suffix: str, fields: Sequence[Field]) -> Iterator[tuple[tuple[str, ...], Member]]:
    members = [member for field in fields for member in field.members]
    if not any(name in (member.label, _short(member)) for member in members):
        known = {word for member in members for word in (member.label, _short(member))}
        raise unknown(f"method with a result here{suffix}", name, known)
    for field in fields:
        member = member_named(name, field.members)
        if member is not None:
            yield _key(field), member


def _duel(field: Field, names: tuple[str, str], one: Member, other: Member) -> Duel:
    if one is other:
        raise UsageError(f"{names[0]} would be compared with itself; name two methods, or --other-results")
    directions = sorted(one.values.keys() | other.values.keys())
    tried = [
        pair_of(replace(one, label=names[0]), replace(other, label=names[1]), direction)
        for direction in directions
    ]
    pairs = [pair for pair in tried if isinstance(pair, Pair)]
    omitted = tuple(pair for pair in tried if isinstance(pair, str))
    return Duel(field, one.label, other.label, tuple(compare(pairs, one_family=True)), omitted)


def _short(member: Member) -> str:
    return member.method if member.variant == "full" else f"{member.method}/{member.variant}"


def _key(field: Field) -> tuple[str, ...]:
    return (*field.data, field.protocol, field.selection)


def _places(side: tuple[str, str, Sequence[Field]]) -> str:
    name, _, fields = side
    found = [field.data for field in fields if member_named(name, field.members) is not None]
    return ", ".join(
        f"{data.kind} data {data.fingerprint[:8]} in the {data.profile} profile" for data in found
    )
