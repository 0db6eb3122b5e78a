"""Pairwise comparison: two rows, chosen by name, from one results folder or from two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bench.analysis.comparisons import Family, compare, pairs_of, reasons_among
from bench.analysis.groups import CLEAN, Data
from bench.analysis.labels import EARLIER, newest_first
from bench.analysis.per_query import PerQueryRow, PerQueryTable
from bench.contract.errors import UsageError
from bench.registry import unknown


@dataclass(frozen=True)
class PairwiseComparison(Family):
    """Two rows, chosen by name, on one data; from one results folder or from two.

    The comparisons have the given names; Holm's adjustment is over all directions. The
    reference is the label of the first row, and ``table`` is what that is from.
    """

    other: str  # label of the second row
    other_data: Data  # of the second row: the same, or of two folders that of other code


_Key = tuple[Data, str, str]  # data, protocol and selection rule of a table


def pairwise_comparisons(
    first: tuple[str, str, Sequence[PerQueryTable]],
    second: tuple[str, str, Sequence[PerQueryTable]],
    *,
    across_code: bool = False,
) -> list[PairwiseComparison]:
    """Compare two rows on every data that both have results on, nothing mixed.

    Each is given by its name (its whole label, its method, or its method/variant), what to add to the name,
    and the tables to look in. ``across_code`` admits rows of different versions of the harness, as before and
    after a change.

    Raises:
        UsageError: if there is no such row, or none on the same data, or both are the same, or they are on
            several versions of one dataset.
    """
    ours, theirs = (_rows_named(*side) for side in (first, second))
    couples = {key: key for key in ours if key in theirs}
    if across_code:  # of what they share but for the code, the newest of either side
        known = {_but_for_code(key) for key in couples}
        newest, newest_there = _newest(ours), _newest(theirs)
        couples |= {
            newest[key]: newest_there[key] for key in newest if key in newest_there and key not in known
        }
    names = first[0] + first[1], second[0] + second[1]
    if not couples:
        raise UsageError(
            f"{names[0]} and {names[1]} have no result on the same data: {_data_names(ours)} against "
            f"{_data_names(theirs)}; run both with the same profile on the same data and device"
        )
    _require_one_version([data for data, *_ in couples])
    return [_pairwise(here, there, names, ours[here], theirs[there]) for here, there in couples.items()]


def _rows_named(name: str, suffix: str, tables: Sequence[PerQueryTable]) -> dict[_Key, PerQueryRow]:
    """Return the row of each table that is meant; of several of a method the one with its usual settings."""
    known = {word for table in tables for row in table.rows for word in (row.label, _short_name(row))}
    if name not in known:
        raise unknown(f"method with a result here{suffix}", name, known)
    found = {}
    for table in tables:
        fitting = [row for row in table.rows if row.label == name]
        fitting = fitting or [row for row in table.rows if _short_name(row) == name]
        if len(fitting) > 1:
            fitting = [row for row in fitting if row.usual] or fitting
        if len(fitting) > 1:
            labels = ", ".join(repr(row.label) for row in fitting)
            raise UsageError(f"{len(fitting)} rows match {name}; give the complete label of one: {labels}")
        if fitting:
            found[table.key] = fitting[0]
    return found


def _but_for_code(key: _Key) -> _Key:
    return key[0]._replace(harness=""), key[1], key[2]


def _newest(keys: Iterable[_Key]) -> dict[_Key, _Key]:
    """Return the newest of the keys that are alike but for the harness, by what is alike."""
    oldest_first = sorted(keys, key=lambda key: newest_first(key[0].harness), reverse=True)
    newest = {_but_for_code(key): key for key in oldest_first}
    return {_but_for_code(key): newest[_but_for_code(key)] for key in keys}


def _require_one_version(found: Sequence[Data]) -> None:
    """Refuse data that share a name alone (`UsageError`): the name is ambiguous."""
    versions: dict[Data, set[str]] = defaultdict(set)
    for data in found:
        versions[data._replace(fingerprint="")].add(data.fingerprint)
    for data, fingerprints in versions.items():
        if len(fingerprints) > 1:
            words = [f"{data.dataset}@{fingerprint[:8]}" for fingerprint in sorted(fingerprints)]
            raise UsageError(
                f"{len(words)} versions of {data.dataset} are recorded: {', '.join(words)}; name one, such "
                f"as --dataset {words[0]}, or the path of its file"
            )


def _pairwise(
    here: _Key, there: _Key, names: tuple[str, str], first: PerQueryRow, second: PerQueryRow
) -> PairwiseComparison:
    if first is second:
        raise UsageError(f"{names[0]} would be compared with itself; name two methods, or --other-results")
    rows = replace(first, label=names[0]), replace(second, label=names[1])
    table = PerQueryTable(*here, rows)
    tried = pairs_of(table, [rows])
    comparisons = tuple(compare(tried, one_family=True))
    return PairwiseComparison(table, first.label, comparisons, reasons_among(tried), second.label, there[0])


def _short_name(row: PerQueryRow) -> str:
    return row.method if row.variant == "full" else f"{row.method}/{row.variant}"


def _data_names(found: Iterable[_Key]) -> str:
    words = []
    for data, *_ in found:
        under = "" if data.condition == CLEAN else f" under {data.condition}"
        code = f"code {data.harness}" if data.harness else EARLIER
        about = f"{data.kind} data {data.fingerprint[:8]}{under} in the {data.profile} profile"
        words.append(f"{about} on {data.device}, {code}")
    return ", ".join(words)
