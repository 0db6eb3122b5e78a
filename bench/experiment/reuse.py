"""Cells that need no training: the condition changes pairs alone, and the method makes no use of pairs.

Such a cell has the numbers of the cell on clean data of the same method, settings, seed, threads, device and
code: the random streams of a method do not depend on the condition. The conformance suite checks what a card
states about pairs.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
from msgspec import structs

from bench import registry
from bench.conditions import conditions, name_of
from bench.contract import DataError
from bench.data import training_rows
from bench.experiment.cell import CellRun, Finished
from bench.experiment.conditions import under_condition
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext, has_all
from bench.records.schema import Identity, Result
from bench.records.store import Store
from bench.registry.versions import CONDITIONS

PAIRS: Final = "pairs"
"""Group of the conditions that change which rows correspond."""


def clean_counterpart(cell: Cell) -> Identity | None:
    """Return the clean cell that has the numbers of one under a condition; None if there is none."""
    identity = cell.identity
    cls = conditions().get(name_of(identity.condition))
    unused = cell.method is not None and cell.method.card.get("pairs") == "unused"
    if cls is None or cls.card.group != PAIRS or not cls.card.training_only or not unused:
        return None
    harness = identity.harness.partition(f", {CONDITIONS} ")[0]
    return structs.replace(identity, condition="", harness=harness)


def reused(cell: Cell, context: RunContext, store: Store) -> Finished | None:
    """Return a cell finished by the record of its clean counterpart; None if the cell must be run."""
    counterpart = None if context.keep_models else clean_counterpart(cell)
    try:
        clean = None if counterpart is None else store.verify(counterpart.digest)
    except DataError:
        return None
    if counterpart is None or clean is None or clean.result is None:
        return None
    run = CellRun(cell, context)
    if not has_all(clean.result, context.protocols, trace_test=context.trace_test):
        return None
    result, _, _ = run.attempt(partial(_result, cell, run, clean.result))
    now = run.environment()
    if result is None or (now.host, now.versions) != (clean.environment.host, clean.environment.versions):
        return None
    seconds = {**clean.environment.seconds, **run.seconds()}
    record = cell.record("done", structs.replace(now, seconds=seconds, reused=counterpart.digest), result)
    per_query = {(*series,): values for series, values in store.per_query(counterpart.digest).items()}
    log = f"not trained: the numbers of {counterpart.title} (record {counterpart.digest}) hold\n"
    return Finished(
        record, per_query, store.trace(counterpart.digest), log, store.snapshot(counterpart.digest)
    )


def _result(cell: Cell, run: CellRun, clean: Result) -> Result | None:
    """Return the clean result with what the condition changes; None if it changes more than pairs."""
    identity = cell.identity
    whole = run.dataset().select(identity.modalities)
    changed, effective = under_condition(whole, identity.condition, identity.seed, cell.condition_file)
    for before, after in ((whole.train, changed.train), (whole.validation, changed.validation)):
        if before.n_classes != after.n_classes or not all(
            old.labels.dtype == after[name].labels.dtype
            and np.array_equal(old.labels, after[name].labels)
            and np.array_equal(old.features, after[name].features)
            for name, old in before.items()
        ):
            return None
    card = registry.method(identity.method).card
    train = training_rows(card, changed.train, np.random.default_rng())  # makes no pseudo-pairs here
    return structs.replace(clean, pairing=train.pairing, effective=effective)
