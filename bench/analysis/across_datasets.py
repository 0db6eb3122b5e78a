"""Comparisons across datasets: complete blocks, tests of these, and summary tables with average ranks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.analysis.groups import CLEAN, Data
from bench.analysis.labels import newest_first, version_difference
from bench.analysis.statistics import (
    Array,
    Omnibus,
    RopeProbabilities,
    bayesian_signed_rank,
    critical_difference,
    nemenyi,
    omnibus,
    ranks,
    wilcoxon_against,
)
from bench.analysis.tables import AVERAGE, NOT_RUN, Entry, Row, Table
from bench.records.protocols import base_of, is_rank


class BlockKey(NamedTuple):
    """What tables must share for their numbers to be compared across datasets.

    Attributes:
        harness: versions of the rooms that all numbers depend on.
        condition: of the data.
    """

    kind: str
    profile: str
    device: str
    harness: str
    protocol: str
    selection: str
    condition: str = CLEAN


@dataclass(frozen=True)
class _AcrossDatasets:
    about: BlockKey

    @property
    def kind(self) -> str:
        """Return ``real`` or ``look-alike``."""
        return self.about.kind

    @property
    def profile(self) -> str:
        """Return ``quick`` or ``paper``."""
        return self.about.profile

    @property
    def protocol(self) -> str:
        """Return the id of the evaluation rule, without ``/gallery``."""
        return self.about.protocol

    @property
    def lower_is_better(self) -> bool:
        """Return whether the numbers are ranks."""
        return is_rank(self.protocol)

    @property
    def selection(self) -> str:
        """Return the rule that chose the state."""
        return self.about.selection


@dataclass(frozen=True)
class Block(_AcrossDatasets):
    """A complete block: methods by datasets, without gaps, of tables that share what `BlockKey` names.

    Attributes:
        methods: labels, in the tables' order.
        reference: label of the method that others are compared with; empty if it is not among them.
        scores: ``(methods, datasets)`` numbers, mean over directions and seeds.
        seeds: the smallest and the largest number of seeds behind a score.
        omitted: methods and datasets that are left out, and why.
        names: registry names, in the order of ``methods``.
        data: of the tables, in the order of ``datasets``.
        records: digests behind the scores of each method, in the order of ``methods``.
    """

    methods: tuple[str, ...]
    reference: str
    datasets: tuple[str, ...]
    scores: Array
    seeds: tuple[int, int]
    omitted: tuple[str, ...]
    names: tuple[str, ...] = ()
    data: tuple[Data, ...] = ()
    records: tuple[tuple[str, ...], ...] = ()

    @property
    def merits(self) -> Array:
        """Return the scores, or where lower ones are better their negatives."""
        return -self.scores if self.lower_is_better else self.scores

    @property
    def testable(self) -> bool:
        """Return whether it has two methods and datasets, which every test over datasets needs."""
        return all(size >= 2 for size in self.scores.shape)


def block_key(table: Table) -> BlockKey:
    """Return what other tables must share with one to be compared with it across datasets."""
    data = table.data
    rule = base_of(table.protocol), table.selection
    return BlockKey(data.kind, data.profile, data.device, data.harness, *rule, data.condition)


def blocks_of(tables: Sequence[Table], reference: str) -> list[Block]:
    """Return a block for all tables that may be compared with each other, in the tables' order.

    Methods as they are usually set take part; reference points such as chance, and ablations, do not. A
    dataset counts if at least half of the methods have a number on it, a method if it has one on all of
    these: whatever has to go is named.

    Args:
        tables: of any data.
        reference: registry name of the method to compare the others with.
    """
    groups: dict[BlockKey, list[Table]] = defaultdict(list)
    for table in tables:
        groups[block_key(table)].append(table)
    return [_block(about, members, reference) for about, members in groups.items()]


def usual_rows(tables: Sequence[Table]) -> dict[str, dict[Data, Row]]:
    """Return the rows of methods as they are usually set, by a label of each method and by data.

    Rows of different code or numbers of threads are different methods here: no rank and no mean is over
    both. Labels are in the tables' order.
    """
    found: dict[tuple[str, str, int], dict[Data, Row]] = {}
    for table in tables:
        for row in table.rows:
            if row.usual:
                found.setdefault((row.method, row.code, row.threads), {})[table.data] = row
    labels = []
    for (method, code, threads), rows in found.items():
        first = next(iter(rows.values()))
        words = [f"threads={threads}"] if threads != 1 else []
        # Of several versions of one method's code the newest goes by the title alone.
        newest = min((other for name, other, _ in found if name == method), key=newest_first)
        if code != newest:
            words.append(version_difference(code, newest))
        labels.append((first.title or first.label) + (f" [{', '.join(words)}]" if words else ""))
    counts = Counter(labels)
    return {
        label if counts[label] == 1 else f"{label} ({method})": rows
        for label, ((method, *_), rows) in zip(labels, found.items(), strict=True)
    }


def _block(about: BlockKey, tables: list[Table], reference: str) -> Block:
    chosen, omitted = one_version_each(tables)
    found = [
        (label, rows, next(iter(rows.values())))
        for label, rows in usual_rows(chosen).items()
        if next(iter(rows.values())).role != "reference"
    ]
    having = np.array(
        [[_has_mean(rows.get(table.data)) for table in chosen] for _, rows, _ in found], dtype=bool
    ).reshape(len(found), len(chosen))
    some, counts = having.any(axis=1), having.sum(axis=0)
    counting = (counts > 0) & (2 * counts >= some.sum())
    complete = some & counting.any() & having[:, counting].all(axis=1)
    omitted += [
        f"{table.dataset}: only {count} of {some.sum()} methods have a number on it"
        for table, count, counts_too in zip(chosen, counts, counting, strict=True)
        if some.any() and not counts_too
    ]
    for (label, *_), present in zip(found, having, strict=True):
        lacking = [chosen[place].dataset for place in np.flatnonzero(counting & ~present)]
        if lacking and present.any():
            omitted.append(f"{label}: no number on {', '.join(lacking)}")
    unusual = {row.label for table in chosen for row in table.rows if not row.usual}
    if unusual:
        omitted.append(f"ablations and rows with other settings than usual: {', '.join(sorted(unusual))}")
    data = tuple(chosen[place].data for place in np.flatnonzero(counting))
    methods = [found[place] for place in np.flatnonzero(complete)]
    entries = [[rows[each].entries[AVERAGE] for each in data] for _, rows, _ in methods]
    scores = np.array([[entry.mean for entry in line] for line in entries], dtype=np.float64)
    seeds = [entry.seeds for line in entries for entry in line]
    return Block(
        about,
        tuple(label for label, *_ in methods),
        next((label for label, _, row in methods if row.method == reference), ""),
        tuple(each.dataset for each in data),
        scores.reshape(len(methods), len(data)),
        (min(seeds, default=0), max(seeds, default=0)),
        tuple(omitted),
        tuple(row.method for *_, row in methods),
        data,
        tuple(tuple(digest for entry in line for digest in entry.records) for line in entries),
    )


def one_version_each(tables: Sequence[Table]) -> tuple[list[Table], list[str]]:
    """Return one table per dataset: two versions of the same data are not two independent datasets."""
    versions: dict[str, list[Table]] = defaultdict(list)
    for table in tables:
        versions[table.dataset].append(table)
    chosen, omitted = [], []
    for dataset, members in versions.items():
        best = max(members, key=lambda table: sum(map(_has_mean, table.rows)))
        chosen.append(best)
        omitted += [
            f"{dataset}: its version {table.data.fingerprint[:8]}, since {best.data.fingerprint[:8]} counts "
            "already"
            for table in members
            if table is not best
        ]
    return chosen, omitted


def _has_mean(row: Row | None) -> bool:
    return row is not None and row.entries[AVERAGE].mean is not None


@dataclass(frozen=True)
class AgainstReference:
    """The reference against one other method.

    Attributes:
        wilcoxon: two-sided p-value of the signed-rank test.
        adjusted: the same after Holm over all other methods.
        nemenyi: p-value among all pairs.
        rope: probabilities, given a region of practical equivalence.
    """

    wilcoxon: float
    adjusted: float
    nemenyi: float
    rope: RopeProbabilities


@dataclass(frozen=True)
class DatasetTests:
    """All tests of a block with at least two methods and two datasets.

    Attributes:
        average_ranks: ``(methods,)``, 1 is best.
        omnibus: whether any method differs; None for two methods.
        critical_difference: of average ranks, after Nemenyi.
        nemenyi: p-values of all pairs ``(methods, methods)``.
        against: the reference against each other method, by label; empty without a reference.
    """

    block: Block
    average_ranks: Array
    omnibus: Omnibus | None
    critical_difference: float
    nemenyi: Array
    against: dict[str, AgainstReference]


def dataset_tests_of(block: Block) -> DatasetTests | None:
    """Return all tests of a block; None where it has fewer than two methods or datasets."""
    if not block.testable:
        return None
    methods, datasets = block.scores.shape
    merits = block.merits
    pairwise = nemenyi(merits)
    against = {}
    if block.reference:
        place = block.methods.index(block.reference)
        rivals = [number for number in range(methods) if number != place]
        p_values, adjusted = wilcoxon_against(merits, place)
        probabilities = bayesian_signed_rank(merits[place], merits[rivals])
        against = {
            block.methods[rival]: AgainstReference(float(p), float(holm), float(pairwise[place, rival]), rope)
            for rival, p, holm, rope in zip(rivals, p_values, adjusted, probabilities, strict=True)
        }
    return DatasetTests(
        block=block,
        average_ranks=ranks(merits).mean(axis=1),
        omnibus=omnibus(merits),
        critical_difference=critical_difference(methods, datasets),
        nemenyi=pairwise,
        against=against,
    )


@dataclass(frozen=True)
class SummaryRow:
    """One method as it is usually set.

    Attributes:
        entries: average over directions, by dataset; without a number where it has none.
        class_matched: datasets on which it was trained on pseudo-pairs.
        rank: mean over the ranked datasets, 1 is best; None where it is not ranked.
        unranked: why it is not; empty where it is.
        given: SHA-256 of files that another program computed; none for what was trained here.
    """

    method: str
    label: str
    role: str
    entries: dict[str, Entry]
    class_matched: frozenset[str]
    rank: float | None
    unranked: str
    given: tuple[str, ...] = ()


@dataclass(frozen=True)
class SummaryTable(_AcrossDatasets):
    """Average mAP of methods by datasets, of tables that share what `BlockKey` names, with average ranks.

    Attributes:
        data: of the tables, in their order; of each dataset one.
        ranked: the datasets that ranks are over: those on which all ranked methods have a number.
        lines: in the roster's order.
        omitted: what takes no part in the ranks, and why.
    """

    data: tuple[Data, ...]
    ranked: tuple[str, ...]
    lines: tuple[SummaryRow, ...]
    omitted: tuple[str, ...]

    @property
    def datasets(self) -> tuple[str, ...]:
        """Return the names of the datasets."""
        return tuple(data.dataset for data in self.data)


def summary_tables_of(tables: Sequence[Table], blocks: Sequence[Block]) -> list[SummaryTable]:
    """Return a summary table for every block whose tables are of two datasets or more, in their order.

    Ranks are those of the block, the same that the tests across datasets use: methods that have a number on
    every ranked dataset, among each other. A rank over fewer datasets would not compare, so a method that
    lacks one is shown with what it has and is not ranked.

    Args:
        tables: what the blocks were made of.
        blocks: see `blocks_of`.
    """
    summaries = []
    for block in blocks:
        chosen, _ = one_version_each([table for table in tables if block_key(table) == block.about])
        average = ranks(block.merits).mean(axis=1) if block.scores.size else ()
        rank = dict(zip(block.methods, map(float, average), strict=True))
        found = usual_rows(chosen)
        lines = tuple(
            _summary_row(label, found[label], chosen, rank.get(label), block.datasets)
            for label in _in_order(found, chosen)
        )
        if len(chosen) > 1:
            data = tuple(table.data for table in chosen)
            summaries.append(SummaryTable(block.about, data, block.datasets, lines, block.omitted))
    return summaries


def _in_order(found: dict[str, dict[Data, Row]], tables: Sequence[Table]) -> list[str]:
    """Return labels so that each table's order is kept where the tables agree on one."""
    order: list[str] = []
    for table in tables:
        labels = {rows[table.data].label: label for label, rows in found.items() if table.data in rows}
        place = 0
        for label in (labels[row.label] for row in table.rows if row.label in labels):
            if label in order:
                place = order.index(label) + 1
            else:
                order.insert(place, label)
                place += 1
    return order


def _summary_row(
    label: str, rows: dict[Data, Row], tables: Sequence[Table], rank: float | None, ranked: Sequence[str]
) -> SummaryRow:
    first = next(iter(rows.values()))
    absent = Entry(None, reason=NOT_RUN, brief=NOT_RUN)
    entries = {
        table.dataset: rows[table.data].entries[AVERAGE] if table.data in rows else absent for table in tables
    }
    lacking = [name for name in ranked if entries[name].mean is None]
    unranked = ""
    if first.role == "reference":
        unranked = "a reference point"
    elif rank is None:
        unranked = f"no number on {', '.join(lacking)}" if lacking else "no dataset is ranked"
    matched = frozenset(data.dataset for data, row in rows.items() if row.pairing)
    given = tuple(dict.fromkeys(row.given for row in rows.values() if row.given))
    return SummaryRow(first.method, label, first.role, entries, matched, rank, unranked, given)
