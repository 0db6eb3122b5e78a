"""mAP tables: methods x directions, mean and deviation over seeds, pivoted from the results frame.

What `Data` names, protocols and selection rules each get tables of their own; what `RowKey` names gets rows
of its own.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.analysis.chance import NearChance, near_chance
from bench.analysis.groups import Data, MixedCells, RowGroup, data_of
from bench.analysis.labels import Labels
from bench.analysis.results import Results
from bench.records.schema import Record

if TYPE_CHECKING:
    import pandas as pd

Direction = tuple[str, str]
"""Query modality, gallery modality."""
AVERAGE: Final = ("average", "")
"""Stands for the mean over all directions."""
NOT_RUN: Final = "not run"
"""Why there is no number where no cell is recorded."""
_BRIEF: Final = {"timeout": "time limit"}
"""Of the statuses that do not read as words by themselves."""


def direction_name(direction: Direction) -> str:
    """Return a direction, or the average over all of them, as it is printed."""
    return "average" if direction == AVERAGE else f"{direction[0]}→{direction[1]}"


class ZeroRows(NamedTuple):
    """Test rows of a modality whose embeddings are zero: they have no direction, and count as ties.

    Attributes:
        modality: of the rows.
        number: of them.
        rows: of the whole test split; 0 where unknown.
        seed: of the cell.
    """

    modality: str
    number: int
    rows: int
    seed: int

    @property
    def words(self) -> str:
        """Return them in a few words."""
        whole = f" of {self.rows}" if self.rows else ""
        return f"{self.number}{whole} {self.modality} (seed {self.seed})"


class Spread(NamedTuple):
    """Numbers of several seeds: their mean, and their sample standard deviation, None for fewer than two."""

    mean: float
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class Entry:
    """One number of a table.

    Attributes:
        mean: over seeds; None where there is no result.
        deviation: sample standard deviation over seeds; None with fewer than two.
        seeds: how many seeds it rests on.
        records: digests of the records behind it, or of those that say why there is none.
        reason: why there is no number; empty where there is one.
        mark: ``a`` or ``b`` where it differs from the table's reference, see `comparisons.with_marks`.
        brief: the reason in two or three words, to be printed instead of the number.
        zeros: test rows without a direction that took part in it.
    """

    mean: float | None
    deviation: float | None = None
    seeds: int = 0
    records: tuple[str, ...] = ()
    reason: str = ""
    mark: str = ""
    brief: str = ""
    zeros: tuple[ZeroRows, ...] = ()


@dataclass(frozen=True)
class Row:
    """One method's line of a table.

    Attributes:
        method: registry name.
        label: what to print: the title, with variant and unusual settings where there are any.
        pairing: ``class-matched`` where pseudo-pairs were used.
        role: of the method's card, such as ``reference``.
        entries: one per column.
        lacking: how the cells without a result ended, in words.
        usual: whether this is the method itself with its usual settings, and the last such row.
        title: the method's title, unlike any other method's of the table.
        threads: CPU threads of the fits.
        code: versions of the method and its toolkit.
        near: how near to chance its numbers are; None where they are not.
    """

    method: str
    label: str
    pairing: str
    role: str
    entries: dict[Direction, Entry]
    lacking: tuple[str, ...] = ()
    usual: bool = True
    title: str = ""
    threads: int = 1
    code: str = ""
    near: NearChance | None = None

    @property
    def zeros(self) -> tuple[ZeroRows, ...]:
        """Return the test rows without a direction in any of its numbers, by seed."""
        found = dict.fromkeys(zeros for entry in self.entries.values() for zeros in entry.zeros)
        return tuple(sorted(found, key=lambda zeros: (zeros.seed, zeros.modality)))


@dataclass(frozen=True)
class Table:
    """All methods on one data under one protocol.

    Attributes:
        data: what its records share.
        protocol: id of the evaluation rule.
        selection: rule that chose the state.
        columns: directions, then the average.
        rows: in the roster's order.
        reference: label of the row that marks refer to; empty where nothing was tested.
    """

    data: Data
    protocol: str
    selection: str
    columns: tuple[Direction, ...]
    rows: tuple[Row, ...]
    reference: str = ""

    @property
    def dataset(self) -> str:
        """Return the registry name of the dataset."""
        return self.data.dataset

    @property
    def kind(self) -> str:
        """Return ``real`` or ``look-alike``."""
        return self.data.kind

    @property
    def profile(self) -> str:
        """Return ``quick`` or ``paper``."""
        return self.data.profile

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Return the columns without the average."""
        return tuple(column for column in self.columns if column != AVERAGE)

    @property
    def competing(self) -> tuple[Row, ...]:
        """Return the rows that compete for the best number.

        Reference points do not, nor do variants and other settings of a method that is there with its usual
        ones: the best of a sweep would be chosen on test data.
        """
        usual = {row.method for row in self.rows if row.usual}
        return tuple(
            row for row in self.rows if row.role != "reference" and (row.usual or row.method not in usual)
        )


def tables_of(results: Results, protocols: Sequence[str], selection: str = "best") -> list[Table]:
    """Return the tables for all records, sorted by data, then in the order of the protocols."""
    tables = []
    for data, groups in results.groups.items():
        directions = directions_of([record for group in groups for record in group.records], results.labels)
        for protocol in protocols:
            rows = rows_of(results, groups, directions, protocol, selection)
            tables.append(Table(data, protocol, selection, (*directions, AVERAGE), tuple(rows)))
    return tables


def directions_of(records: Sequence[Record], labels: Labels) -> list[Direction]:
    """Return all directions of records of one dataset.

    They are in the dataset's order of modalities, or else in that of the widest record.
    """
    present = {name for record in records for name in record.identity.modalities}
    widest = max((record.identity.modalities for record in records), key=lambda names: (len(names), names))
    order = labels.modalities(records[0].identity.dataset) or widest
    known = [name for name in order if name in present]
    return list(permutations([*known, *sorted(present - set(known))], 2))


def seed_values(
    results: Results,
    groups: Sequence[RowGroup],
    directions: Sequence[Direction],
    protocol: str,
    selection: str,
    only: Collection[str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the numbers of rows of one data by label and seed, and the digests of the records behind them.

    The numbers have a column per direction, and `AVERAGE` for the seeds with every direction; NaN is none.

    Args:
        results: that the rows are of.
        groups: the rows, at least one.
        directions: at least one.
        protocol: id of the evaluation rule.
        selection: rule that chose the state; closed forms, which select nothing, always take part.
        only: digests of the records that take part; None for all of the rows.

    Raises:
        MixedCells: if there are two numbers for one direction and seed of a row.
    """
    import pandas as pd

    labels, places = {group.label for group in groups}, {each: place for place, each in enumerate(directions)}
    values: dict[tuple[str, int], list[float]] = {}
    digests: dict[tuple[str, int], list[str]] = {}
    numbers = results.numbers(data_of(groups[0].records[0]), protocol, selection)
    for label, seed, *direction, value, record in numbers.itertuples(index=False, name=None):
        place = places.get((direction[0], direction[1]))
        if place is None or label not in labels or (only is not None and record not in only):
            continue
        behind = digests.setdefault((label, seed), [""] * len(places))
        if behind[place]:
            raise MixedCells(
                f"{label}, seed {seed}: records {behind[place]} and {record} both have a number for "
                f"{direction_name(directions[place])} under {protocol}"
            )
        behind[place] = record
        values.setdefault((label, seed), [math.nan] * len(places))[place] = value
    keys = sorted(values)
    labels_of, seeds_of = [key[0] for key in keys], [key[1] for key in keys]
    index = pd.MultiIndex.from_arrays([labels_of, seeds_of], names=["label", "seed"])
    columns = pd.MultiIndex.from_tuples([*directions, AVERAGE], names=["query", "gallery"])
    found = [[*values[key], statistics.fmean(values[key])] for key in keys]
    return (
        pd.DataFrame(found, index, columns, dtype=float),
        pd.DataFrame([digests[key] for key in keys], index, columns[:-1], dtype=object),
    )


def values_of_row(values: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return the part of `seed_values` that is of one row, by seed; empty where it has no number."""
    return values[values.index.get_level_values("label") == label].droplevel("label")


def spread_of(numbers: Sequence[float]) -> Spread:
    """Return mean and deviation of one number per seed, at least one."""
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Spread(math.fsum(numbers) / len(numbers), deviation, len(numbers))


def rows_of(
    results: Results,
    groups: Sequence[RowGroup],
    directions: Sequence[Direction],
    protocol: str,
    selection: str,
) -> list[Row]:
    """Return the rows of a table: every entry a mean over seeds, or the reason why there is none.

    Args:
        results: that the rows are of.
        groups: rows of one data, at least one.
        directions: columns, which the average is over.
        protocol: id of the evaluation rule.
        selection: rule that chose the state.

    Raises:
        MixedCells: if two records give the same number.
    """
    values, records = seed_values(results, groups, directions, protocol, selection)
    places: dict[str, list[int]] = {}
    for place, (label, _) in enumerate(values.index):
        places.setdefault(label, []).append(place)
    numbers, digests = values.to_numpy(), records.to_numpy()
    rows = []
    for group in groups:
        entries: dict[Direction, Entry] = {}
        for number, column in enumerate([*directions, AVERAGE]):
            at = places.get(group.label, ())
            having = [place for place in at if not math.isnan(numbers[place, number])]
            behind = slice(None) if column == AVERAGE else slice(number, number + 1)
            if having:
                behind_it = zip(
                    digests[having, behind].ravel(), [*directions[behind]] * len(having), strict=True
                )
                entries[column] = _entry(results, numbers[having, number].tolist(), [*behind_it], selection)
            else:
                entries[column] = _absent(group.records, column, entries, protocol, selection)
        rows.append(_row(group, entries, results.labels, selection))
    return rows


def _row(group: RowGroup, entries: dict[Direction, Entry], labels: Labels, selection: str) -> Row:
    cell = group.identity
    pairings = {record.result.pairing for record in group.records if record.result is not None}
    return Row(
        method=cell.method,
        label=group.label,
        pairing="class-matched" if "class-matched" in pairings else "",
        role=labels.role(cell.method),
        entries=entries,
        lacking=_lacking(group.records, selection),
        usual=group.usual,
        title=group.title,
        threads=cell.threads,
        code=cell.code,
        near=near_chance(group.records, selection),
    )


def _entry(
    results: Results, numbers: Sequence[float], behind: Sequence[tuple[str, Direction]], selection: str
) -> Entry:
    """Return an entry from a number per seed, and the digest and direction of every record behind these."""
    zeros = dict.fromkeys(
        found
        for digest, direction in behind
        for found in _zero_rows(results.by_digest[digest], direction, selection)
    )
    return Entry(*spread_of(numbers), tuple(sorted({digest for digest, _ in behind})), zeros=tuple(zeros))


def _zero_rows(record: Record, direction: Direction, selection: str) -> list[ZeroRows]:
    """Return the test rows without a direction that took part in a number."""
    result = record.result
    if result is None or not result.zero_rows:
        return []
    counts = result.zero_rows.get(selection, result.zero_rows.get("none", {}))
    sizes, seed = result.rows, record.identity.seed
    return [
        ZeroRows(name, counts[name], sizes[name].test if name in sizes else 0, seed)
        for name in direction
        if counts.get(name)
    ]


def _absent(
    records: Sequence[Record],
    column: Direction,
    entries: dict[Direction, Entry],
    protocol: str,
    selection: str,
) -> Entry:
    """Return an entry that says why there is no number; ``entries`` are those of all directions."""
    if column == AVERAGE:
        lacking = [entry for entry in entries.values() if entry.mean is None]
        return lacking[0] if lacking else Entry(None, reason="no seed has all directions", brief="incomplete")
    concerned = [record for record in records if set(column) <= set(record.identity.modalities)]
    if not concerned:
        return Entry(None, reason=NOT_RUN, brief=NOT_RUN)
    failed = [record for record in concerned if record.failure is not None]
    refused = [record for record in concerned if _refusal(record, selection)]
    metrics = [metric for record in concerned if record.result for metric in record.result.metrics]
    if failed:
        status = failed[0].status
        concerned, reason = failed, _failure(failed[0])
        brief = _BRIEF.get(status, status.replace("-", " "))
    elif refused:
        concerned, reason, brief = refused, _refusal(refused[0], selection), "refused"
    elif all(metric.protocol != protocol for metric in metrics):
        reason, brief = f"not evaluated under {protocol}", "not evaluated"
    else:
        reason, brief = f"nothing was selected by the rule {selection}", "not selected"
    digests = tuple(sorted(record.digest for record in concerned))
    return Entry(None, records=digests, reason=reason, brief=brief)


def _lacking(records: Sequence[Record], selection: str) -> tuple[str, ...]:
    """Say how the cells ended that have no result, or no state of this rule that can be ranked."""
    reasons = (_failure(record) or _refusal(record, selection) for record in records)
    counts = Counter(reason for reason in reasons if reason)
    return tuple(
        reason if number == len(records) else f"{number} of {len(records)} cells {reason}"
        for reason, number in sorted(counts.items())
    )


def _failure(record: Record) -> str:
    """Return how a cell without a result ended; empty for others."""
    return "" if record.failure is None else f"{record.status}: {_first_line(record.failure.reason)}"


def _refusal(record: Record, selection: str) -> str:
    """Return why a rule's state could not be ranked; empty where it could."""
    reason = None if record.result is None else record.result.refused.get(selection)
    return "" if reason is None else f"refused under the rule {selection}: {_first_line(reason)}"


def _first_line(reason: str) -> str:
    return reason.splitlines()[0] if reason else "no reason given"
