"""The data of a report: the records, and cached results that several topics need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from bench.analysis.ablations import Ablation, ablations_of
from bench.analysis.across_datasets import Block, DatasetTests, blocks_of, dataset_tests_of
from bench.analysis.comparisons import Family, families_against, with_marks
from bench.analysis.condition_levels import Drop, LevelSeries, drops_of, level_series
from bench.analysis.convergence import Curve, Trace, curves_of
from bench.analysis.groups import CLEAN, Data
from bench.analysis.labels import Labels, registry_labels
from bench.analysis.ledger import Published, read_published
from bench.analysis.per_query import PerQuery, PerQueryTable, per_query_tables
from bench.analysis.results import Results
from bench.analysis.sensitivity import Sensitivity, sensitivities_of
from bench.analysis.snapshots import Snapshots
from bench.analysis.tables import Table, tables_of
from bench.records.protocols import base_of, is_rank
from bench.records.schema import Record
from bench.records.snapshot import Snapshot
from bench.records.trials import Trial

PROTOCOLS = ("map@all", "map@50/hits")


@dataclass(frozen=True)
class ReportData:
    """Records and options of the report; cached properties are what several topics need."""

    records: Sequence[Record]  # of any status
    labels: Labels = field(default_factory=registry_labels)  # of methods and datasets
    protocols: Sequence[str] = PROTOCOLS  # ids to tabulate, without ``/gallery``; figures show the first
    selection: str = "best"  # selection rule to print
    problems: Sequence[tuple[str, str]] = ()  # damaged records (folder, sentence), to be named
    stale: Sequence[str] = ()  # sentences about records that other code made
    trials: Sequence[Trial] = ()  # of `tune`
    trace: Callable[[str], Trace] = lambda _: ()  # gives a record's trace by its digest
    per_query: PerQuery = lambda _: {}  # gives those of ``protocols`` and ``selection`` at least
    snapshot: Callable[[str], Snapshot | None] = lambda _: None  # gives a record's snapshot by its digest
    every_pair: bool = False  # whether all pairs of rows are compared; marks stay those of the reference
    published: Published = field(default_factory=read_published)  # values from papers, for the ledger

    @cached_property
    def results(self) -> Results:
        """Return the records, grouped, with their numbers."""
        return Results(self.records, self.labels)

    @cached_property
    def snapshots(self) -> Snapshots:
        """Return the snapshots of records, each read once; one that cannot be read takes no other with it."""
        return Snapshots(self.snapshot)

    @cached_property
    def per_query_tables(self) -> list[PerQueryTable]:
        """Return the values per query of every table but those of ranks, whose medians need other tests."""
        tested = [protocol for protocol in self.protocols if not is_rank(protocol)]
        return list(per_query_tables(self.results, tested, self.selection, self.per_query))

    @cached_property
    def families(self) -> list[Family]:
        """Return the tests of the reference against each other row, for every table."""
        return families_against(self.per_query_tables, self.labels.reference)

    @cached_property
    def plain_tables(self) -> list[Table]:
        """Return the tables without marks of significance."""
        return tables_of(self.results, self.protocols, self.selection)

    @property
    def first_tables(self) -> list[Table]:
        """Return the plain tables of clean data and the first protocol, which figures show."""
        return [table for table in self.plain_tables if self.is_first(table.protocol, table.data.condition)]

    def is_first(self, protocol: str, condition: str = CLEAN) -> bool:
        """Return whether numbers are of clean data and the first protocol, with or without ``/gallery``."""
        return base_of(protocol) == self.protocols[0] and condition == CLEAN

    def fold(self, protocol: str, condition: str) -> Literal["", "all"]:
        """Return which part of a table is folded: all of it, unless it `is_first`."""
        return "" if self.is_first(protocol, condition) else "all"

    @cached_property
    def drops(self) -> list[tuple[LevelSeries, list[Drop]]]:
        """Return every condition's levels on every data by the first protocol, with the methods' drops.

        Conditions under which no method was run as it is usually set are left out.
        """
        first = [table for table in self.plain_tables if self.is_first(table.protocol)]
        found = [(series, drops_of(series, self.results)) for series in level_series(first)]
        return [(series, drops) for series, drops in found if drops]

    @cached_property
    def tables(self) -> list[Table]:
        """Return the tables with marks of significance."""
        return with_marks(self.plain_tables, self.families)

    @cached_property
    def blocks(self) -> list[Block]:
        """Return the complete blocks of methods by datasets, of every kind, profile and protocol."""
        return blocks_of(self.plain_tables, self.labels.reference)

    @cached_property
    def dataset_tests(self) -> list[tuple[Block, DatasetTests | None]]:
        """Return the tests over datasets of each block, with None if there are too few for a test."""
        return [(block, dataset_tests_of(block)) for block in self.blocks]

    @cached_property
    def ablations(self) -> list[Ablation]:
        """Return every method's variants against the method itself, without tests."""
        return ablations_of(self.results, self.protocols, self.selection)

    @cached_property
    def sensitivities(self) -> list[Sensitivity]:
        """Return the records that differ in one or two settings alone."""
        return sensitivities_of(self.results, self.protocols, self.selection, self.trace)

    @cached_property
    def curves(self) -> dict[Data, list[Curve]]:
        """Return validation mAP along the epochs of every row that traces it."""
        return curves_of(self.results, self.trace)
