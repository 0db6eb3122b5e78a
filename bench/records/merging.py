"""Copies the records, stored models and trials of another results folder into this one, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from bench.contract.errors import DataError, UsageError
from bench.records.schema import Record, Result
from bench.records.store import Store
from bench.records.trials import TrialStore

Action = Literal["copied", "replaced", "known", "kept", "conflict", "damaged"]
"""What was done with a record of the other folder:

copied: it was absent here; replaced: the one here was a failure or damaged; known: the same record is here;
kept: the one here has a higher rank; conflict: both are done with different numbers, and the one here stays;
damaged: it is not sound, or only a later version can read it.
"""


@dataclass(frozen=True)
class Merged:
    """What was done with one record, model or trial.

    Attributes:
        title: of the cell; the path of a damaged record.
        why: one sentence for a conflict or a damaged record; else empty.
    """

    kind: Literal["record", "model", "trial"]
    title: str
    action: Action
    why: str = ""


def merge(other: Path, results: Path) -> Iterator[Merged]:
    """Copy the records, models and trials of ``other`` into ``results``; yields what was done with each.

    Every record is checked before it is copied, and copied whole or not at all; an interrupted merge can be
    repeated. ``other`` is only read.

    Raises:
        UsageError: if ``other`` is no results folder, is empty, or is ``results`` itself.
        StoreError: if ``results`` cannot be written.
    """
    if not (other / "runs").is_dir() and not (other / "trials").is_dir():
        known = "a results folder has a folder runs or trials in it"
        what = "is not a results folder" if other.exists() else "does not exist"
        raise UsageError(f"{other} {what}: {known}; give the folder that `run --results` wrote")
    if other.resolve() == results.resolve():
        raise UsageError(f"{other} is the results folder itself; give the one to copy from")
    theirs, trials = Store(other), TrialStore(other)
    if not theirs.stamps() and not trials.digests():
        raise UsageError(f"there is nothing to merge: {other} has neither records nor trials")
    ours, our_trials = Store(results), TrialStore(results)

    def every() -> Iterator[Merged]:
        ours.prepare()
        for record in theirs.records():
            merged = _merge_record(record, theirs, ours)
            yield merged
            if record.status == "done" and merged.action in ("copied", "replaced", "known"):
                yield from _merge_model(record, theirs, ours)
        for problem in theirs.problems:
            yield Merged("record", str(problem.folder), "damaged", problem.sentence)
        for digest in trials.digests():
            yield _merge_trial(digest, trials, our_trials)

    return every()


def _merge_record(record: Record, theirs: Store, ours: Store) -> Merged:
    """Copy a sound record unless the one here has the same rank or a higher one."""
    title = record.identity.title
    try:
        theirs.verify(record.digest)
        try:
            mine = ours.verify(record.digest)
        except DataError:
            mine = None
        if mine is not None and (mine.status == "done" or record.status != "done"):
            difference = _difference(theirs, record, ours, mine)
            if difference:
                return Merged("record", title, "conflict", difference)
            return Merged("record", title, "known" if mine.status == record.status else "kept")
        there = ours.stamp(record.digest) is not None
        if not ours.copy_from(theirs, record.digest):
            return Merged("record", title, "kept")
    except DataError as error:
        return Merged("record", title, "damaged", str(error))
    return Merged("record", title, "replaced" if there else "copied")


def _merge_model(record: Record, theirs: Store, ours: Store) -> Iterator[Merged]:
    """Copy the model of a record that is the same in both folders, if there is one."""
    try:
        if ours.models.copy_from(theirs.models, record.digest):
            yield Merged("model", record.identity.title, "copied")
        elif theirs.models.card(record.digest) is not None:
            yield Merged("model", record.identity.title, "known")
    except DataError as error:
        yield Merged("model", record.identity.title, "damaged", str(error))


def _difference(theirs: Store, their: Record, ours: Store, our: Record) -> str:
    """Return a sentence on the difference of two finished records of a cell; empty if their results agree.

    An oracle trace that only one of them has is no difference.
    """
    if their.result is None or our.result is None:
        return ""
    their_metrics, our_metrics = (
        {metric.series: metric.value for metric in result.metrics} for result in (their.result, our.result)
    )
    for series in sorted(their_metrics.keys() | our_metrics.keys()):
        here, there = our_metrics.get(series), their_metrics.get(series)
        if here is not None and there is not None and here != there:
            return f"{series} is {here!r} here and {there!r} there"
        if (here is None or there is None) and series.selection != "oracle":
            return f"{series} is only {'there' if here is None else 'here'}"
    if _without_oracle(their.result) != _without_oracle(our.result):
        return "their metrics agree, but not the rest of their results (selection, rows, notes)"
    our_values, their_values = ours.per_query(our.digest), theirs.per_query(our.digest)
    for series in our_values.keys() & their_values.keys():
        if our_values[series].tobytes() != their_values[series].tobytes():
            return f"their metrics agree, but not the average precisions of {series}"
    return ""


def _without_oracle(result: Result) -> bytes:
    """Return the parts of a result that must agree besides the metrics, without those of an oracle trace."""
    rest = msgspec.structs.replace(
        result,
        selected=[item for item in result.selected if item.rule != "oracle"],
        zero_rows={rule: counts for rule, counts in result.zero_rows.items() if rule != "oracle"},
        refused={rule: reason for rule, reason in result.refused.items() if rule != "oracle"},
        metrics=[],
        audit="",
        snapshot_error="",
    )
    return msgspec.json.encode(rest, order="sorted")


def _merge_trial(digest: str, theirs: TrialStore, ours: TrialStore) -> Merged:
    """Copy a sound trial unless the one here has the same rank or a higher one."""
    try:
        trial, content, log = theirs.load(digest)
    except DataError as error:
        return Merged("trial", str(theirs.folder / f"{digest}.json"), "damaged", str(error))
    title, mine = trial.identity.title, ours.get(digest)
    if mine is not None:
        if mine.status == trial.status == "done" and mine.validation_map != trial.validation_map:
            why = f"validation mAP is {mine.validation_map!r} here and {trial.validation_map!r} there"
            return Merged("trial", title, "conflict", why)
        if mine.status == "done" or trial.status != "done":
            return Merged("trial", title, "known" if mine.status == trial.status else "kept")
    there = ours.stamp(digest) is not None
    ours.put(digest, content, log)
    return Merged("trial", title, "replaced" if there else "copied")
