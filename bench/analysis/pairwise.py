"""Pairwise comparison: two rows, chosen by name, from one results folder or from two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bench.analysis.comparisons import Comparison, average_of, compare, pair_of, pairs_among
from bench.analysis.groups import Data
from bench.analysis.labels import EARLIER, newest_first
from bench.analysis.per_query import PerQueryRow, PerQueryTable
from bench.contract.errors import UsageError
from bench.registry import unknown


@dataclass(frozen=True)
class PairwiseComparison:
    """Two rows, chosen by name, on one data; from one results folder or from two.

    Attributes:
        table: what they were compared in, which is where the first is from.
        other: data of the second: the same, or of two folders that of other code.
        first: label of the one, which says how it was set.
        second: label of the other.
        comparisons: one per direction, with the names that were asked for, and one of the average; Holm is
            over the directions.
        omitted: directions that could not be compared, and why.
    """

    table: PerQueryTable
    other: Data
    first: str
    second: str
    comparisons: tuple[Comparison, ...]
    omitted: tuple[str, ...]


_Key = tuple[Data, str, str]
"""Data, protocol and selection rule of a table."""


def pairwise_comparisons(
    first: tuple[str, str, Sequence[PerQueryTable]],
    second: tuple[str, str, Sequence[PerQueryTable]],
    *,
    across_code: bool = False,
) -> list[PairwiseComparison]:
    """Compare two rows on every data that both have results on, nothing mixed.

    Args:
        first: name of the row as `row_named` takes it; what to add to its label; the tables to look in.
        second: the same of the other row.
        across_code: whether rows may be of different versions of the harness, as before and after a change.

    Raises:
        UsageError: if there is no such row, or none on the same data, or both are the same, or they are on
            several versions of one dataset.
    """
    sides = [_rows_named(*side) for side in (first, second)]
    couples = _couples(list(sides[0]), list(sides[1]), across_code)
    if not couples:
        raise UsageError(
            f"{first[0]}{first[1]} and {second[0]}{second[1]} have no result on the same data: "
            f"{_data_names(sides[0])} against {_data_names(sides[1])}; run both with the same profile on the "
            "same data and device"
        )
    _require_one_version([key[0] for key, _ in couples])
    names = first[0] + first[1], second[0] + second[1]
    return [_pairwise(couple, names, (sides[0][couple[0]], sides[1][couple[1]])) for couple in couples]


def row_named(name: str, rows: Sequence[PerQueryRow]) -> PerQueryRow | None:
    """Return the row that is meant: by its whole label, its method, or its method/variant.

    A method's name means the row with its usual settings where there are several.

    Raises:
        UsageError: if several rows fit equally well.
    """
    fitting = [row for row in rows if row.label == name] or [row for row in rows if _short_name(row) == name]
    if len(fitting) > 1:
        fitting = [row for row in fitting if row.usual] or fitting
    if len(fitting) > 1:
        labels = ", ".join(repr(row.label) for row in fitting)
        raise UsageError(f"{len(fitting)} rows are of {name}; name one by its whole label: {labels}")
    return fitting[0] if fitting else None


def _rows_named(name: str, suffix: str, tables: Sequence[PerQueryTable]) -> dict[_Key, PerQueryRow]:
    known = {word for table in tables for row in table.rows for word in (row.label, _short_name(row))}
    if name not in known:
        raise unknown(f"method with a result here{suffix}", name, known)
    found = {(table.data, table.protocol, table.selection): row_named(name, table.rows) for table in tables}
    return {key: row for key, row in found.items() if row is not None}


def _couples(ours: Sequence[_Key], theirs: Sequence[_Key], across_code: bool) -> list[tuple[_Key, _Key]]:
    """Return the tables to compare: the same, or else the newest of either side but for the harness."""
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
    keys: tuple[_Key, _Key], names: tuple[str, str], rows: tuple[PerQueryRow, PerQueryRow]
) -> PairwiseComparison:
    if rows[0] is rows[1]:
        raise UsageError(f"{names[0]} would be compared with itself; name two methods, or --other-results")
    first, second = (replace(row, label=name) for row, name in zip(rows, names, strict=True))
    directions = sorted(first.values.keys() | second.values.keys())
    tried = [pair_of(first, second, direction) for direction in directions]
    if len(directions) > 1 and first.values.keys() == second.values.keys():
        tried.append(average_of(first, second, directions))
    omitted = tuple(reason for reason in tried if isinstance(reason, str))
    table, comparisons = PerQueryTable(*keys[0], rows), compare(pairs_among(tried), one_family=True)
    return PairwiseComparison(table, keys[1][0], rows[0].label, rows[1].label, tuple(comparisons), omitted)


def _short_name(row: PerQueryRow) -> str:
    return row.method if row.variant == "full" else f"{row.method}/{row.variant}"


def _data_names(found: Iterable[_Key]) -> str:
    return ", ".join(
        f"{data.kind} data {data.fingerprint[:8]} in the {data.profile} profile on {data.device}, "
        f"{f'code {data.harness}' if data.harness else EARLIER}"
        for data, *_ in found
    )
