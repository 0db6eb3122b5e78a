"""All datasets of one kind at a glance: each method's average mAP on each, and its average rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.across import Across, Block, across_of, candidates_of, one_version_each
from bench.analysis.groups import Data
from bench.analysis.ranking import ranks
from bench.analysis.tables import AVERAGE, Entry, Row, Table

LEAST = 2
"""Datasets below which there is nothing to look at together."""


@dataclass(frozen=True)
class OverallLine:
    """One method as it is usually set.

    Attributes:
        method: registry name.
        label: what to print.
        role: of the method's card, such as ``reference``.
        entries: average over directions, by dataset; without a number where it has none.
        class_matched: datasets on which it was trained on pseudo-pairs.
        rank: mean over the ranked datasets, 1 is best; None where it is not ranked.
        unranked: why it is not; empty where it is.
    """

    method: str
    label: str
    role: str
    entries: dict[str, Entry]
    class_matched: frozenset[str]
    rank: float | None
    unranked: str


@dataclass(frozen=True)
class Overall:
    """Methods by datasets, of tables that share what `Across` names.

    Attributes:
        about: what the tables share.
        data: of the tables, in their order; of each dataset one.
        ranked: the datasets that ranks are over: those on which all ranked methods have a number.
        lines: in the roster's order.
        omitted: what takes no part in the ranks, and why.
    """

    about: Across
    data: tuple[Data, ...]
    ranked: tuple[str, ...]
    lines: tuple[OverallLine, ...]
    omitted: tuple[str, ...]

    @property
    def datasets(self) -> tuple[str, ...]:
        """Return the names of the datasets."""
        return tuple(data.dataset for data in self.data)

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


def overalls_of(tables: Sequence[Table], blocks: Sequence[Block]) -> list[Overall]:
    """Return an overall table for every block whose tables are of two datasets or more, in their order.

    Ranks are those of the block, the same that the tests over datasets use: methods that have a number on
    every ranked dataset, among each other. A rank over fewer datasets would not compare, so a method that
    lacks one is shown with what it has and is not ranked.

    Args:
        tables: what the blocks were made of.
        blocks: see `bench.analysis.across`.
    """
    found = [_overall(tables, block) for block in blocks]
    return [overall for overall in found if len(overall.datasets) >= LEAST]


def _overall(tables: Sequence[Table], block: Block) -> Overall:
    chosen, _ = one_version_each([table for table in tables if across_of(table) == block.about])
    average = ranks(block.scores).mean(axis=1) if block.scores.size else ()
    rank = dict(zip(block.methods, map(float, average), strict=True))
    return Overall(
        block.about,
        data=tuple(table.data for table in chosen),
        ranked=block.datasets,
        lines=tuple(_lines(chosen, rank, block.datasets)),
        omitted=block.omitted,
    )


def _lines(tables: Sequence[Table], rank: dict[str, float], ranked: Sequence[str]) -> list[OverallLine]:
    found = candidates_of(tables)
    order = _in_order(found, tables)
    return [_line(label, found[label], tables, rank.get(label), ranked) for label in order]


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


def _line(
    label: str, rows: dict[Data, Row], tables: Sequence[Table], rank: float | None, ranked: Sequence[str]
) -> OverallLine:
    first = next(iter(rows.values()))
    absent = Entry(None, reason="not run", brief="not run")
    entries = {
        table.dataset: rows[table.data].entries[AVERAGE] if table.data in rows else absent for table in tables
    }
    lacking = [name for name in ranked if entries[name].mean is None]
    unranked = ""
    if first.role == "reference":
        unranked = "a reference point"
    elif rank is None:
        unranked = f"no number on {', '.join(lacking)}" if lacking else "no dataset is ranked"
    return OverallLine(
        first.method,
        label,
        first.role,
        entries,
        frozenset(data.dataset for data, row in rows.items() if row.pairing),
        rank,
        unranked,
    )
