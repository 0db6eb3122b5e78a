"""Two rows chosen by name, from one results folder or from two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench.analysis.groups import Data
from bench.analysis.paired import Comparison, Pair, average_of, compare, pair_of
from bench.analysis.queries import Field, Member
from bench.analysis.versions import EARLIER, newest_first
from bench.contract.errors import UsageError
from bench.registry.names import unknown


@dataclass(frozen=True)
class Duel:
    """Two rows on one data.

    Attributes:
        field: what they were compared in, which is where the first is from.
        other: data of the second: the same, or of two folders that of other code.
        first: label of the one, which says how it was set.
        second: label of the other.
        comparisons: one per direction, with the names that were asked for, and one of the average; Holm is
            over the directions.
        omitted: directions that could not be compared, and why.
    """

    field: Field
    other: Data
    first: str
    second: str
    comparisons: tuple[Comparison, ...]
    omitted: tuple[str, ...]


def duels(
    first: tuple[str, str, Sequence[Field]],
    second: tuple[str, str, Sequence[Field]],
    *,
    across_code: bool = False,
) -> list[Duel]:
    """Compare two rows on every data that both have results on, nothing mixed.

    Args:
        first: name of the row as `member_named` takes it; what to add to its label; the fields to look in.
        second: the same of the other row.
        across_code: whether rows may be of different versions of the harness, as before and after a change.

    Raises:
        UsageError: if there is no such row, or none on the same data, or both are the same, or they are on
            several versions of one dataset.
    """
    sides = [dict(_found(*side)) for side in (first, second)]
    couples = _couples(list(sides[0]), list(sides[1]), across_code)
    if not couples:
        raise UsageError(
            f"{first[0]}{first[1]} and {second[0]}{second[1]} have no result on the same data: "
            f"{_places(sides[0])} against {_places(sides[1])}; run both with the same profile on the same "
            "data and device"
        )
    _require_one_version([one[0] for one, _ in couples])
    names = first[0] + first[1], second[0] + second[1]
    return [_duel((one, other), names, (sides[0][one], sides[1][other])) for one, other in couples]


_Key = tuple[Data, str, str]
"""Data, protocol and selection rule of a field."""


def _couples(ours: Sequence[_Key], theirs: Sequence[_Key], across_code: bool) -> list[tuple[_Key, _Key]]:
    """Return the fields to compare: the same, or else the newest of either side but for the harness."""
    same = [(key, key) for key in ours if key in theirs]
    if not across_code:
        return same
    known = {_but_for_code(key) for key, _ in same}
    left = [key for key in dict.fromkeys(map(_but_for_code, ours)) if key not in known]
    return same + [
        (_newest(ours, key), _newest(theirs, key)) for key in left if key in map(_but_for_code, theirs)
    ]


def _but_for_code(key: _Key) -> _Key:
    return key[0]._replace(harness=""), key[1], key[2]


def _newest(keys: Sequence[_Key], wanted: _Key) -> _Key:
    fitting = [key for key in keys if _but_for_code(key) == wanted]
    return min(fitting, key=lambda key: newest_first(key[0].harness))


def _require_one_version(found: Sequence[Data]) -> None:
    """Refuse data that share a name alone: nobody can have meant both.

    Raises:
        UsageError: with how to name one.
    """
    for data in found:
        others = sorted(
            {
                one.fingerprint
                for one in found
                if one._replace(fingerprint="") == data._replace(fingerprint="")
            }
        )
        if len(others) > 1:
            words = [f"{data.dataset}@{fingerprint[:8]}" for fingerprint in others]
            raise UsageError(
                f"{len(others)} versions of {data.dataset} are recorded: {', '.join(words)}; name one, such "
                f"as --dataset {words[0]}, or the path of its file"
            )


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


def _found(name: str, suffix: str, fields: Sequence[Field]) -> Iterator[tuple[_Key, Member]]:
    members = [member for field in fields for member in field.members]
    if not any(name in (member.label, _short(member)) for member in members):
        known = {word for member in members for word in (member.label, _short(member))}
        raise unknown(f"method with a result here{suffix}", name, known)
    for field in fields:
        member = member_named(name, field.members)
        if member is not None:
            yield (field.data, field.protocol, field.selection), member


def _duel(keys: tuple[_Key, _Key], names: tuple[str, str], members: tuple[Member, Member]) -> Duel:
    if members[0] is members[1]:
        raise UsageError(f"{names[0]} would be compared with itself; name two methods, or --other-results")
    one, other = (replace(member, label=name) for member, name in zip(members, names, strict=True))
    directions = sorted(one.values.keys() | other.values.keys())
    tried = [pair_of(one, other, direction) for direction in directions]
    if len(directions) > 1 and one.values.keys() == other.values.keys():
        tried.append(average_of(one, other, directions))
    pairs = [pair for pair in tried if isinstance(pair, Pair)]
    omitted = tuple(pair for pair in tried if isinstance(pair, str))
    field = Field(*keys[0], members)
    labels = members[0].label, members[1].label
    return Duel(field, keys[1][0], *labels, tuple(compare(pairs, one_family=True)), omitted)


def _short(member: Member) -> str:
    return member.method if member.variant == "full" else f"{member.method}/{member.variant}"


def _places(found: Iterable[_Key]) -> str:
    return ", ".join(
        f"{data.kind} data {data.fingerprint[:8]} in the {data.profile} profile on {data.device}, "
        f"{f'code {data.harness}' if data.harness else EARLIER}"
        for data, *_ in found
    )
