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
    bayesian_signed_rank,
    critical_difference,
    nemenyi,
    omnibus,
    ranks,
    wilcoxon_against,
)
from bench.analysis.tables import ABSENT, AVERAGE, Entry, Row, Table
from bench.records.protocols import base_of, is_rank


class BlockKey(NamedTuple):
    """What tables must share for their numbers to be compared across datasets."""

    kind: str
    profile: str
    device: str
    harness: str  # versions of the packages that all numbers depend on
    protocol: str
    selection: str
    condition: str = CLEAN  # of the data


@dataclass(frozen=True)
class Block:
    """A complete block: methods by datasets, without gaps, of tables that share what ``about`` names."""

    about: BlockKey
    methods: tuple[str, ...]  # labels, in the tables' order
    reference: str  # label of the method that others are compared with; empty if it is not among them
    datasets: tuple[str, ...]
    scores: Array  # ``(methods, datasets)`` numbers, mean over directions and seeds
    seeds: tuple[int, int]  # the smallest and the largest number of seeds behind a score
    omitted: tuple[str, ...]  # methods and datasets that are left out, and why
    names: tuple[str, ...] = ()  # registry names, in the order of ``methods``
    data: tuple[Data, ...] = ()  # of the tables, in the order of ``datasets``
    records: tuple[tuple[str, ...], ...] = ()  # digests behind the scores of each method

    @property
    def oriented_scores(self) -> Array:
        """Return the scores, or where lower ones are better their negatives."""
        return -self.scores if is_rank(self.about.protocol) else self.scores

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
    these: whatever has to go is named. The others are compared with the method named ``reference``.
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
            if row.usual and not row.other_modalities:
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
    firsts = [(label, rows, next(iter(rows.values()))) for label, rows in usual_rows(chosen).items()]
    found = [each for each in firsts if each[-1].role != "reference"]
    having = np.array(
        [[_has_mean(rows.get(table.data)) for table in chosen] for _, rows, _ in found], dtype=bool
    ).reshape(len(found), len(chosen))
    some, counts = having.any(axis=1), having.sum(axis=0)
    counting = (counts > 0) & (2 * counts >= some.sum())
    complete = some & counting.any() & having[:, counting].all(axis=1)
    omitted += [
        f"{table.data.dataset}: only {count} of {some.sum()} methods have a number on it"
        for table, count, counts_too in zip(chosen, counts, counting, strict=True)
        if some.any() and not counts_too
    ]
    for (label, *_), present in zip(found, having, strict=True):
        lacking = [chosen[index].data.dataset for index in np.flatnonzero(counting & ~present)]
        if lacking and present.any():
            omitted.append(f"{label}: no number on {', '.join(lacking)}")
    unusual = {row.label for table in chosen for row in table.rows if row.other_modalities or not row.usual}
    if unusual:
        words = "ablations and rows with other settings or modalities than usual"
        omitted.append(f"{words}: {', '.join(sorted(unusual))}")
    data = tuple(chosen[index].data for index in np.flatnonzero(counting))
    methods = [found[index] for index in np.flatnonzero(complete)]
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
        versions[table.data.dataset].append(table)
    chosen, omitted = [], []
    for dataset, members in versions.items():
        best = max(members, key=lambda table: sum(map(_has_mean, table.rows)))
        chosen.append(best)
        counts = f"since {best.data.fingerprint[:8]} counts already"
        others = [table.data.fingerprint[:8] for table in members if table is not best]
        omitted += [f"{dataset}: its version {other}, {counts}" for other in others]
    return chosen, omitted


def _has_mean(row: Row | None) -> bool:
    return row is not None and row.entries[AVERAGE].mean is not None


class AgainstReference(NamedTuple):
    """The reference against one other method, with p-values, and probabilities of the Bayesian test.

    The probabilities are None for ranks such as ``medr``, since equivalence is a difference of mAP.
    """

    wilcoxon: float  # two-sided, of the signed-rank test
    adjusted: float  # the same after Holm over all other methods
    nemenyi: float  # among all pairs
    better: float | None
    equivalent: float | None
    worse: float | None


@dataclass(frozen=True)
class DatasetTests:
    """All tests of a block with at least two methods and two datasets."""

    block: Block
    average_ranks: Array  # ``(methods,)``, 1 is best
    omnibus: Omnibus | None  # whether any method differs; None for two methods
    critical_difference: float  # of average ranks, after Nemenyi
    nemenyi: Array  # p-values of all pairs ``(methods, methods)``
    against: dict[str, AgainstReference]  # the reference against each method, by label; empty without it


def dataset_tests_of(block: Block) -> DatasetTests | None:
    """Return all tests of a block; None where it has fewer than two methods or datasets."""
    if not block.testable:
        return None
    methods, datasets = block.scores.shape
    oriented_scores = block.oriented_scores
    pairwise = nemenyi(oriented_scores)
    against = {}
    if block.reference:
        index = block.methods.index(block.reference)
        rivals = [number for number in range(methods) if number != index]
        tests = np.column_stack([*wilcoxon_against(oriented_scores, index), pairwise[index, rivals]]).tolist()
        states: list[list[float | None]] = [[None] * 3] * len(rivals)
        if not is_rank(block.about.protocol):
            states = bayesian_signed_rank(oriented_scores[index], oriented_scores[rivals]).tolist()
        against = {
            block.methods[rival]: AgainstReference(*row, *state)
            for rival, row, state in zip(rivals, tests, states, strict=True)
        }
    average, least = ranks(oriented_scores).mean(axis=1), critical_difference(methods, datasets)
    return DatasetTests(block, average, omnibus(oriented_scores), least, pairwise, against)


@dataclass(frozen=True)
class SummaryRow:
    """One method as it is usually set."""

    method: str
    label: str
    role: str
    entries: dict[str, Entry]  # average over directions, by dataset; without a number where it has none
    class_matched: frozenset[str]  # datasets on which it was trained on pseudo-pairs
    rank: float | None  # mean over the ranked datasets, 1 is best; None where it is not ranked
    unranked: str  # why it is not; empty where it is
    given: tuple[str, ...] = ()  # SHA-256 of files that another program computed, if any


@dataclass(frozen=True)
class SummaryTable:
    """Average mAP of methods by datasets, of tables that share what ``about`` names, with average ranks."""

    about: BlockKey
    data: tuple[Data, ...]  # of the tables, in their order; of each dataset one
    ranked: tuple[str, ...]  # datasets of the ranks: those on which all ranked methods have a number
    lines: tuple[SummaryRow, ...]  # in the roster's order
    omitted: tuple[str, ...]  # what takes no part in the ranks, and why

    @property
    def datasets(self) -> tuple[str, ...]:
        """Return the names of the datasets."""
        return tuple(data.dataset for data in self.data)


def summary_tables_of(tables: Sequence[Table], blocks: Sequence[Block]) -> list[SummaryTable]:
    """Return a summary table for every block whose ``tables`` are of two datasets or more, in their order.

    Ranks are those of the block, the same that the tests across datasets use: methods that have a number on
    every ranked dataset, among each other. A rank over fewer datasets would not compare, so a method that
    lacks one is shown with what it has and is not ranked.
    """
    summaries = []
    for block in blocks:
        chosen, _ = one_version_each([table for table in tables if block_key(table) == block.about])
        if len(chosen) > 1:
            average = ranks(block.oriented_scores).mean(axis=1) if block.scores.size else ()
            rank = dict(zip(block.methods, map(float, average), strict=True))
            found, data = usual_rows(chosen), tuple(table.data for table in chosen)
            lines = tuple(
                _summary_row(label, found[label], data, rank.get(label), block.datasets)
                for label in _in_order(found, chosen)
            )
            summaries.append(SummaryTable(block.about, data, block.datasets, lines, block.omitted))
    return summaries


def _in_order(found: dict[str, dict[Data, Row]], tables: Sequence[Table]) -> list[str]:
    """Return labels so that each table's order is kept where the tables agree on one."""
    order: list[str] = []
    for table in tables:
        labels = {rows[table.data].label: label for label, rows in found.items() if table.data in rows}
        index = 0
        for label in (labels[row.label] for row in table.rows if row.label in labels):
            if label in order:
                index = order.index(label) + 1
            else:
                order.insert(index, label)
                index += 1
    return order


def _summary_row(
    label: str, rows: dict[Data, Row], every: Sequence[Data], rank: float | None, ranked: Sequence[str]
) -> SummaryRow:
    first = next(iter(rows.values()))
    entries = {data.dataset: rows[data].entries[AVERAGE] if data in rows else ABSENT for data in every}
    lacking = [name for name in ranked if entries[name].mean is None]
    unranked = ""
    if first.role == "reference":
        unranked = "a reference point"
    elif rank is None:
        unranked = f"no number on {', '.join(lacking)}" if lacking else "no dataset is ranked"
    matched = frozenset(data.dataset for data, row in rows.items() if row.pairing)
    given = tuple(dict.fromkeys(row.given for row in rows.values() if row.given))
    return SummaryRow(first.method, label, first.role, entries, matched, rank, unranked, given)
