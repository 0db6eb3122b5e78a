"""What a report is made of: the records, and what is computed from them once for all its parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from bench.analysis.ablations import Ablation, ablations_of, with_tests
from bench.analysis.across_datasets import (
    Block,
    DatasetTests,
    SummaryTable,
    blocks_of,
    dataset_tests_of,
    summary_tables_of,
)
from bench.analysis.comparisons import Family, all_pairs, families_against, with_marks
from bench.analysis.convergence import Trace
from bench.analysis.labels import Labels, registry_labels
from bench.analysis.ledger import LedgerRow, Published, ledger_of, read_published
from bench.analysis.optimism import Optimism, optimism_of
from bench.analysis.per_query import PerQuery, PerQueryTable, per_query_tables
from bench.analysis.results import Results
from bench.analysis.sensitivity import Sensitivity, sensitivities_of
from bench.analysis.settings import Tuning, tunings_of
from bench.analysis.snapshots import Snapshots
from bench.analysis.tables import Table, tables_of
from bench.records.schema import Record
from bench.records.snapshot import Snapshot
from bench.records.trials import Trial

PROTOCOLS = ("map@all", "map@50/hits")


@dataclass(frozen=True)
class Material:
    """Records and how to look at them; whatever several parts of a report need is computed once.

    Attributes:
        records: of any status.
        labels: titles, order and modalities of methods and datasets.
        protocols: ids of the protocols to tabulate, the first of which the figures show.
        selection: selection rule to print.
        problems: damaged records (folder, sentence), to be named.
        stale: what there is of records that other code made, in sentences.
        trials: of `tune`.
        trace: gives a record's trace by its digest.
        per_query: gives a record's average precisions per query by its digest, those of ``protocols`` and
            ``selection`` at least.
        view: gives what is drawn of a record by its digest; None where it has nothing of the kind.
        every_pair: whether every row is compared with every other, and not with the reference alone; the
            marks in the tables stay those of the reference.
        published: values from papers, to stand beside ours.
    """

    records: Sequence[Record]
    labels: Labels = field(default_factory=registry_labels)
    protocols: Sequence[str] = PROTOCOLS
    selection: str = "best"
    problems: Sequence[tuple[str, str]] = ()
    stale: Sequence[str] = ()
    trials: Sequence[Trial] = ()
    trace: Callable[[str], Trace] = lambda _: ()
    per_query: PerQuery = lambda _: {}
    view: Callable[[str], Snapshot | None] = lambda _: None
    every_pair: bool = False
    published: Published = field(default_factory=read_published)

    @cached_property
    def results(self) -> Results:
        """Return the records, grouped, and the results frame."""
        return Results(self.records, self.labels)

    @cached_property
    def views(self) -> Snapshots:
        """Return what is drawn of records, each read once; one that cannot be read takes no other with it."""
        return Snapshots(self.view)

    @cached_property
    def fields(self) -> list[PerQueryTable]:
        """Return the average precisions per query of every table."""
        return list(per_query_tables(self.results, self.protocols, self.selection, self.per_query))

    @cached_property
    def families(self) -> list[Family]:
        """Return the tests of the reference against each other row, for every table."""
        return families_against(self.fields, self.labels.reference)

    @cached_property
    def shown_families(self) -> list[Family]:
        """Return the tests to report: those against the reference, or of all pairs on request."""
        return [all_pairs(one) for one in self.fields] if self.every_pair else self.families

    @cached_property
    def plain_tables(self) -> list[Table]:
        """Return the tables without marks of significance."""
        return tables_of(self.results, self.protocols, self.selection)

    @cached_property
    def tables(self) -> list[Table]:
        """Return the tables as they are printed."""
        return with_marks(self.plain_tables, self.families)

    @cached_property
    def blocks(self) -> list[Block]:
        """Return what can be compared over datasets, of every kind, profile and protocol."""
        return blocks_of(self.plain_tables, self.labels.reference)

    @cached_property
    def overalls(self) -> list[SummaryTable]:
        """Return all datasets of a kind at a glance, with average ranks, wherever there are several."""
        return summary_tables_of(self.plain_tables, self.blocks)

    @cached_property
    def ledger(self) -> list[LedgerRow]:
        """Return every published value beside ours, or why nothing stands beside it."""
        return ledger_of(self.results, self.published)

    @cached_property
    def optimism(self) -> list[Optimism]:
        """Return what choosing the epoch on the test set would have added, where that was traced."""
        return optimism_of(self.results, self.protocols)

    @cached_property
    def standings(self) -> list[tuple[Block, DatasetTests | None]]:
        """Return how methods stand over datasets, with None where too little is there for a test."""
        return [(block, dataset_tests_of(block)) for block in self.blocks]

    @cached_property
    def tunings(self) -> list[Tuning]:
        """Return what the trials of `tune` found."""
        return tunings_of(self.trials)

    @cached_property
    def plain_ablations(self) -> list[Ablation]:
        """Return every method's variants against the method itself, without tests."""
        return ablations_of(self.results, self.protocols, self.selection)

    @cached_property
    def ablations(self) -> list[Ablation]:
        """Return every method's variants against the method itself, tested over queries."""
        return [with_tests(one, self.fields) for one in self.plain_ablations]

    @cached_property
    def sensitivities(self) -> list[Sensitivity]:
        """Return the records that differ in one or two settings alone."""
        return sensitivities_of(self.results, self.protocols, self.selection, self.trace)
