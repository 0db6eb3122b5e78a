"""Which methods have a number on which datasets: the complete block that tests over datasets need."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.analysis.groups import Data
from bench.analysis.queries import Array
from bench.analysis.tables import AVERAGE, Row, Table
from bench.analysis.versions import difference, newest_first


class Across(NamedTuple):
    """What tables must share for their numbers to stand beside each other over datasets.

    Attributes:
        kind: ``real`` or ``look-alike``.
        profile: ``quick`` or ``paper``.
        device: kind of device.
        harness: versions of the rooms that all numbers depend on.
        protocol: id of the evaluation rule.
        selection: rule that chose the state.
    """

    kind: str
    profile: str
    device: str
    harness: str
    protocol: str
    selection: str


class Candidate(NamedTuple):
    """What rows of several tables must share to be one method over datasets."""

    method: str
    code: str
    threads: int


@dataclass(frozen=True)
class Block:
    """Methods by datasets, without gaps, of tables that share what `Across` names.

    Attributes:
        about: what the tables share.
        methods: labels, in the tables' order.
        reference: label of the method that others are compared with; empty if it is not among them.
        datasets: names.
        scores: ``(methods, datasets)`` mAP, mean over directions and seeds.
        seeds: the smallest and the largest number of seeds behind a score.
        omitted: methods and datasets that are left out, and why.
        names: registry names, in the order of ``methods``.
        data: of the tables, in the order of ``datasets``.
        records: digests behind the scores of each method, in the order of ``methods``.
    """

    about: Across
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
    def kind(self) -> str:
        """Return ``real`` or ``look-alike``."""
        return self.about.kind

    @property
    def profile(self) -> str:
        """Return ``quick`` or ``paper``."""
        return self.about.profile

    @property
    def protocol(self) -> str:
        """Return the id of the evaluation rule."""
        return self.about.protocol

    @property
    def selection(self) -> str:
        """Return the rule that chose the state."""
        return self.about.selection


def across_of(table: Table) -> Across:
    """Return what other tables must share with one to stand beside it."""
    data = table.data
    return Across(data.kind, data.profile, data.device, data.harness, table.protocol, table.selection)


def blocks_of(tables: Sequence[Table], reference: str) -> list[Block]:
    """Return a block for all tables that may stand beside each other, in the tables' order.

    Methods as they are usually set take part; reference points such as chance, and ablations, do not. A
    dataset counts if at least half of the methods have a number on it, a method if it has one on all of
    these: whatever has to go is named.

    Args:
        tables: of any data.
        reference: registry name of the method to compare the others with.
    """
    groups: dict[Across, list[Table]] = defaultdict(list)
    for table in tables:
        groups[across_of(table)].append(table)
    return [_block(about, members, reference) for about, members in groups.items()]


def candidates_of(tables: Sequence[Table]) -> dict[str, dict[Data, Row]]:
    """Return the rows of methods as they are usually set, by a label of each method and by data.

    Rows of different code or numbers of threads are different methods here: no rank and no mean is over
    both. Labels are in the tables' order.
    """
    found: dict[Candidate, dict[Data, Row]] = {}
    for table in tables:
        for row in table.rows:
            if row.usual:
                key = Candidate(row.method, row.code, row.threads)
                found.setdefault(key, {})[table.data] = row
    titles = {
        key: (next(iter(rows.values())).title or next(iter(rows.values())).label)
        for key, rows in found.items()
    }
    # Of several versions of one method's code the newest goes by the title alone.
    newest = {
        method: min(
            (key for key in found if key.method == method), key=lambda key: newest_first(key.code)
        ).code
        for method in {key.method for key in found}
    }
    labels = {key: _label(key, titles[key], newest[key.method]) for key in found}
    counts = Counter(labels.values())
    return {
        labels[key] if counts[labels[key]] == 1 else f"{labels[key]} ({key.method})": rows
        for key, rows in found.items()
    }


def _label(key: Candidate, title: str, newest: str) -> str:
    words = [f"threads={key.threads}"] if key.threads != 1 else []
    if key.code != newest:
        words.append(difference(key.code, newest))
    return title + (f" [{', '.join(words)}]" if words else "")


def _block(about: Across, tables: list[Table], reference: str) -> Block:
    chosen, omitted = one_version_each(tables)
    places = {table.data: table.dataset for table in chosen}
    found = {
        label: rows
        for label, rows in candidates_of(chosen).items()
        if next(iter(rows.values())).role != "reference"
    }
    having = {
        data: [label for label, rows in found.items() if _mean(rows.get(data)) is not None] for data in places
    }
    some = [label for label in found if any(label in labels for labels in having.values())]
    counting = [data for data in places if having[data] and 2 * len(having[data]) >= len(some)]
    omitted += [
        f"{places[data]}: only {len(having[data])} of {len(some)} methods have a number on it"
        for data in places
        if data not in counting and some
    ]
    methods = [label for label in some if counting and all(label in having[data] for data in counting)]
    for label in some:
        lacking = [places[data] for data in counting if label not in having[data]]
        if lacking:
            omitted.append(f"{label}: no number on {', '.join(lacking)}")
    other = {row.label for table in chosen for row in table.rows if not row.usual}
    if other:
        omitted.append(f"ablations and rows with other settings than usual: {', '.join(sorted(other))}")
    entries = [[found[label][data].entries[AVERAGE] for data in counting] for label in methods]
    seeds = [entry.seeds for line in entries for entry in line]
    scores = [[0.0 if entry.mean is None else entry.mean for entry in line] for line in entries]
    names = tuple(next(iter(found[label].values())).method for label in methods)
    return Block(
        about,
        tuple(methods),
        methods[names.index(reference)] if reference in names else "",
        tuple(places[data] for data in counting),
        np.array(scores, dtype=np.float64).reshape(len(methods), len(counting)),
        (min(seeds, default=0), max(seeds, default=0)),
        tuple(omitted),
        names,
        tuple(counting),
        tuple(tuple(digest for entry in line for digest in entry.records) for line in entries),
    )


def one_version_each(tables: Sequence[Table]) -> tuple[list[Table], list[str]]:
    """Return one table per dataset: two versions of the same data are not two independent datasets."""
    versions: dict[str, list[Table]] = defaultdict(list)
    for table in tables:
        versions[table.dataset].append(table)
    chosen, omitted = [], []
    for dataset, members in versions.items():
        best = max(members, key=lambda table: sum(_mean(row) is not None for row in table.rows))
        chosen.append(best)
        omitted += [
            f"{dataset}: its version {table.data.fingerprint[:8]}, since {best.data.fingerprint[:8]} counts "
            "already"
            for table in members
            if table is not best
        ]
    return chosen, omitted


def _mean(row: Row | None) -> float | None:
    return None if row is None else row.entries[AVERAGE].mean
