"""mAP tables: methods x directions, mean and deviation over seeds.

Each `Data`, protocol and selection rule has a separate table; each `RowKey` has a separate row.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, permutations
from typing import Final, NamedTuple

from bench.analysis.chance import NearChance, near_chance
from bench.analysis.groups import Data, RowGroup, data_of
from bench.analysis.labels import Labels
from bench.analysis.results import Numbers, Results
from bench.records.protocols import base_of, is_rank
from bench.records.schema import Record

Direction = tuple[str, str]
"""Query modality, gallery modality."""
AVERAGE: Final = ("average", "")
"""The mean over all directions."""
NOT_RUN: Final = "not run"
"""Why there is no number where no cell is recorded."""


def direction_name(direction: Direction) -> str:
    """Return a direction, or the average over all of them, as it is printed."""
    return "average" if direction == AVERAGE else f"{direction[0]}→{direction[1]}"


class ZeroRows(NamedTuple):
    """Rows of a modality whose embeddings are zero: they have no direction, and count as ties."""

    seed: int  # of the cell
    modality: str  # of the rows
    number: int
    rows: int  # of the whole test split and of a separate gallery; 0 where unknown
    gallery: bool = False  # whether there is such a gallery, so that they may be rows of it

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
    """One number of a table."""

    mean: float | None  # over seeds; None where there is no result
    deviation: float | None = None  # sample standard deviation over seeds; None with fewer than two
    seeds: int = 0  # number of seeds behind it
    records: tuple[str, ...] = ()  # digests of the records behind it, or of those without it
    reason: str = ""  # why there is no number; empty where there is one
    mark: str = ""  # ``a`` or ``b`` where it differs from the table's reference, see `comparisons.with_marks`
    brief: str = ""  # the reason in two or three words, to be printed instead of the number
    zeros: tuple[ZeroRows, ...] = ()  # test rows without a direction that took part in it


ABSENT: Final = Entry(None, reason=NOT_RUN, brief=NOT_RUN)
"""Where no cell is recorded."""


@dataclass(frozen=True)
class Row:
    """One method's line of a table."""

    method: str  # registry name
    label: str  # what to print: the title, with variant and unusual settings where there are any
    pairing: str  # ``class-matched`` where pseudo-pairs were used
    role: str  # of the method's card, such as ``reference``
    entries: dict[Direction, Entry]  # one per column
    lacking: tuple[str, ...] = ()  # how the cells without a result ended, in words
    usual: bool = True  # whether this is the method itself with its usual settings, and the last such row
    other_modalities: bool = (
        False  # whether it was fitted on other three or more modalities at once than most methods
    )
    title: str = ""  # the method's title, unlike any other method's of the table
    threads: int = 1  # CPU threads of the fits
    code: str = ""  # versions of the method and its toolkit
    near: NearChance | None = None  # how near to chance its numbers are; None where they are not
    given: str = ""  # SHA-256 of the file that another program computed; empty for what was trained here

    @property
    def zeros(self) -> tuple[ZeroRows, ...]:
        """Return the test rows without a direction in any of its numbers, by seed."""
        return tuple(sorted({zeros for entry in self.entries.values() for zeros in entry.zeros}))


@dataclass(frozen=True)
class Table:
    """All methods on one data under one protocol."""

    data: Data  # what its records share
    protocol: str  # id of the evaluation rule
    selection: str  # rule that chose the state
    columns: tuple[Direction, ...]  # directions, then the average
    rows: tuple[Row, ...]  # in the roster's order
    reference: str = ""  # label of the row that marks refer to; empty where nothing was tested
    one_seed: bool = False  # whether a comparison with it has a single seed: the two rows share no more
    reached: tuple[float | str, ...] = ()  # lowest and highest level of training rows; empty for clean data

    @property
    def effective(self) -> str:
        """Return the levels that the training rows reached as a text; empty for clean data."""
        words = (level if isinstance(level, str) else f"{level:.3g}" for level in self.reached)
        return " to ".join(dict.fromkeys(words))

    @property
    def lower_is_better(self) -> bool:
        """Return whether the numbers are ranks."""
        return is_rank(self.protocol)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Return the columns without the average."""
        return tuple(column for column in self.columns if column != AVERAGE)

    @property
    def competing(self) -> tuple[Row, ...]:
        """Return the rows that compete for the best number.

        Reference points do not, nor do fits on other modalities at once, nor variants and other settings of a
        method that is there with its usual ones: the best of a sweep would be chosen on test data.
        """
        usual = {row.method for row in self.rows if row.usual}
        return tuple(
            row
            for row in self.rows
            if not (row.role == "reference" or row.other_modalities)
            and (row.usual or row.method not in usual)
        )


def tables_of(results: Results, protocols: Sequence[str], selection: str = "best") -> list[Table]:
    """Return the tables for all records, sorted by data, then in the order of the protocols."""
    tables = []
    for data, groups in results.groups.items():
        members = [record for group in groups for record in group.records]
        directions, reached = directions_of(groups, results.labels), _reached_levels(members)
        for protocol in (results.protocol_id(data, name) for name in protocols):
            rows = rows_of(results, groups, directions, protocol, selection)
            columns = (*directions, AVERAGE)
            tables.append(Table(data, protocol, selection, columns, tuple(rows), reached=reached))
    return tables


def _reached_levels(records: Sequence[Record]) -> tuple[float | str, ...]:
    """Return the lowest and the highest level of a condition that records reached; none for clean data."""
    found = {record.result.effective for record in records if record.result is not None}
    levels = sorted(level for level in found if isinstance(level, float | int))
    if not levels:
        return tuple(sorted(level for level in found if isinstance(level, str)))[:1]
    return tuple(dict.fromkeys((levels[0], levels[-1])))


def directions_of(groups: Sequence[RowGroup], labels: Labels) -> list[Direction]:
    """Return all directions of some rows of one dataset.

    They are in the dataset's order of modalities, or else in that of the widest record.
    """
    found = {record.identity.modalities for group in groups for record in group.records}
    present, widest = (
        {name for names in found for name in names},
        max(found, key=lambda names: (len(names), names)),
    )
    order = labels.modalities(groups[0].identity.dataset) or widest
    known = [name for name in order if name in present]
    return list(permutations([*known, *sorted(present - set(known))], 2))


def seed_values(row: Numbers, directions: Sequence[Direction]) -> dict[int, dict[Direction, float]]:
    """Return the numbers of a table's row by seed; `AVERAGE` is that of the seeds with every direction."""
    found: dict[int, dict[Direction, float]] = {}
    for seed, numbers in row.items():
        found[seed] = {each: numbers[each][0] for each in directions if each in numbers}
        if len(found[seed]) == len(directions):
            found[seed][AVERAGE] = statistics.fmean(found[seed].values())
    return found


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
    """Return the rows of one data's table: every entry a mean over seeds, or the reason why there is none.

    Averages are over ``directions``, the columns.

    Raises:
        MixedCells: if two records give the same number.
    """
    recorded = results.numbers(data_of(groups[0].records[0]), protocol, selection)
    rows = []
    for group in groups:
        cell, members, entries = group.identity, group.records, dict[Direction, Entry]()
        by_seed = seed_values(recorded[group.label], directions)
        for column in (*directions, AVERAGE):
            having = {seed: numbers[column] for seed, numbers in by_seed.items() if column in numbers}
            if not having:
                entries[column] = _absent(members, column, entries, protocol, selection)
                continue
            averaged = directions if column == AVERAGE else [column]
            pairs = [(recorded[group.label][seed][each][1], each) for seed in having for each in averaged]
            by_record = (_zero_rows(results.by_digest[digest], pair, selection) for digest, pair in pairs)
            zeros, records = tuple(dict.fromkeys(chain(*by_record))), tuple(sorted({d for d, _ in pairs}))
            entries[column] = Entry(*spread_of([*having.values()]), records, zeros=zeros)
        matched = any(r.result is not None and r.result.pairing == "class-matched" for r in members)
        rows.append(
            Row(
                method=cell.method,
                label=group.label,
                pairing="class-matched" if matched else "",
                role=results.labels.role(cell.method),
                entries=entries,
                lacking=_lacking(members, selection),
                usual=group.usual,
                other_modalities=group.other_modalities,
                title=group.title,
                threads=cell.threads,
                code=cell.code,
                near=near_chance(members, selection),
                given=cell.file_sha256,
            )
        )
    return rows


def _zero_rows(record: Record, direction: Direction, selection: str) -> list[ZeroRows]:
    """Return the rows without a direction that took part in a number."""
    result = record.result
    if result is None or not result.zero_rows:
        return []
    counts = result.zero_rows.get(selection, result.zero_rows.get("none", {}))
    sizes, seed = result.rows, record.identity.seed
    return [
        ZeroRows(seed, name, counts[name], size.evaluated if size else 0, bool(size and size.gallery))
        for name, size in ((name, sizes.get(name)) for name in direction)
        if counts.get(name)
    ]


def _absent(
    records: Sequence[Record],
    column: Direction,
    entries: dict[Direction, Entry],
    protocol: str,
    selection: str,
) -> Entry:
    """Return an entry with the reason why there is no number; ``entries`` are those of all directions."""
    if column == AVERAGE:
        lacking = [entry for entry in entries.values() if entry.mean is None]
        return lacking[0] if lacking else Entry(None, reason="no seed has all directions", brief="incomplete")
    concerned = [record for record in records if set(column) <= set(record.identity.modalities)]
    if not concerned:
        return ABSENT
    failed = [record for record in concerned if record.failure is not None]
    refused = [record for record in concerned if _ending(record, selection)]
    metrics = [metric for record in concerned if record.result for metric in record.result.metrics]
    if failed or refused:
        concerned = failed or refused
        reason = _ending(concerned[0], selection)
        brief = concerned[0].status.replace("-", " ") if failed else "refused"
        brief = "time limit" if brief == "timeout" else brief
    elif all(metric.protocol != protocol for metric in metrics):
        known = (record.result.unavailable.get(base_of(protocol)) for record in concerned if record.result)
        reason, brief = f"not evaluated under {protocol}", "not evaluated"
        if why := next(filter(None, known), ""):
            reason, brief = f"{base_of(protocol)} is not defined here: {why}", "not defined"
    else:
        reason, brief = f"nothing was selected by the rule {selection}", "not selected"
    digests = tuple(sorted(record.digest for record in concerned))
    return Entry(None, records=digests, reason=reason, brief=brief)


def _lacking(records: Sequence[Record], selection: str) -> tuple[str, ...]:
    """Return how the cells ended that have no result, or no state of this rule that can be ranked."""
    counts = Counter(reason for record in records if (reason := _ending(record, selection)))
    return tuple(
        reason if number == len(records) else f"{number} of {len(records)} cells {reason}"
        for reason, number in sorted(counts.items())
    )


def _ending(record: Record, selection: str) -> str:
    """Return how a cell ended, or why a rule's state could not be ranked; empty where there are numbers."""
    how: str = record.status
    if record.failure is not None:
        reason = record.failure.reason
    elif record.result is not None and selection in record.result.refused:
        how, reason = f"refused under the rule {selection}", record.result.refused[selection]
    else:
        return ""
    return f"{how}: {reason.splitlines()[0] if reason else 'no reason given'}"
