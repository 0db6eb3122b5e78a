"""Which methods have a number on which datasets: the complete block that tests over datasets need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.queries import Array
from bench.analysis.tables import AVERAGE, Row, Table


@dataclass(frozen=True)
class Block:
    """Methods by datasets, without gaps: of one kind of data, profile, protocol and selection rule.

    Attributes:
        kind: ``real`` or ``look-alike``.
        profile: ``quick`` or ``paper``.
        protocol: id of the evaluation rule.
        selection: rule that chose the state.
        methods: labels, in the tables' order.
        reference: label of the method that others are compared with; empty if it is not among them.
        datasets: names.
        scores: ``(methods, datasets)`` mAP, mean over directions and seeds.
        seeds: the smallest and the largest number of seeds behind a score.
        omitted: methods and datasets that are left out, and why.
    """

    kind: str
    profile: str
    protocol: str
    selection: str
    methods: tuple[str, ...]
    reference: str
    datasets: tuple[str, ...]
    scores: Array
    seeds: tuple[int, int]
    omitted: tuple[str, ...]


def blocks_of(tables: Sequence[Table], reference: str) -> list[Block]:
    """Return a block for every kind, profile, protocol and selection rule, in the tables' order.

    Methods as they are usually set take part; reference points such as chance, and ablations, do not. A
    dataset counts if at least half of the methods have a number on it, a method if it has one on all of
    these: whatever has to go is named.

    Args:
        tables: of any data.
        reference: registry name of the method to compare the others with.
    """
    groups: dict[tuple[str, str, str, str], list[Table]] = defaultdict(list)
    for table in tables:
        groups[table.kind, table.profile, table.protocol, table.selection].append(table)
    return [_block(members, reference) for members in groups.values()]


def _block(tables: list[Table], reference: str) -> Block:
    chosen, omitted = one_version_each(tables)
    found = {table.dataset: {row.label: row for row in table.rows if _takes_part(row)} for table in chosen}
    labels = list(dict.fromkeys(label for rows in found.values() for label in rows))
    having = {
        name: {label for label in rows if _mean(rows[label]) is not None} for name, rows in found.items()
    }
    some = [label for label in labels if any(label in names for names in having.values())]
    datasets = [name for name in found if having[name] and 2 * len(having[name]) >= len(some)]
    omitted += [
        f"{name}: only {len(having[name])} of {len(some)} methods have a number on it"
        for name in found
        if name not in datasets and some
    ]
    methods = [label for label in some if datasets and all(label in having[name] for name in datasets)]
    for label in some:
        lacking = [name for name in datasets if label not in having[name]]
        if lacking:
            omitted.append(f"{label}: no number on {', '.join(lacking)}")
    other = {row.label for table in chosen for row in table.rows if not row.usual}
    if other:
        omitted.append(f"ablations and rows with other settings than usual: {', '.join(sorted(other))}")
    entries = [[found[name][label].entries[AVERAGE] for name in datasets] for label in methods]
    seeds = [entry.seeds for line in entries for entry in line]
    scores = [[0.0 if entry.mean is None else entry.mean for entry in line] for line in entries]
    first = tables[0]
    own = [label for label in methods if found[datasets[0]][label].method == reference]
    return Block(
        first.kind,
        first.profile,
        first.protocol,
        first.selection,
        tuple(methods),
        own[0] if own else "",
        tuple(datasets),
        np.array(scores, dtype=np.float64).reshape(len(methods), len(datasets)),
        (min(seeds, default=0), max(seeds, default=0)),
        tuple(omitted),
    )


def one_version_each(tables: list[Table]) -> tuple[list[Table], list[str]]:
    """Return one table per dataset: two versions of the same data are not two independent datasets."""
    versions: dict[str, list[Table]] = defaultdict(list)
    for table in tables:
        versions[table.dataset].append(table)
    chosen, omitted = [], []
    for dataset, members in versions.items():
        best = max(members, key=lambda table: sum(_mean(row) is not None for row in table.rows))
        chosen.append(best)
        omitted += [
            f"{dataset}: its version {table.fingerprint[:8]}, since {best.fingerprint[:8]} counts already"
            for table in members
            if table is not best
        ]
    return chosen, omitted


def _takes_part(row: Row) -> bool:
    return row.role != "reference" and row.usual


def _mean(row: Row) -> float | None:
    return row.entries[AVERAGE].mean
