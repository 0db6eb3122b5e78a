"""Records and trials of another results folder are brought into this one, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from bench.atomic import write_whole
from bench.contract.errors import DataError, UsageError
from bench.records.folders import explain
from bench.records.schema import Record, Result
from bench.records.store import Store
from bench.records.trials import Trial, TrialStore

Fate = Literal["copied", "replaced", "known", "kept", "conflict", "damaged"]
"""What became of a record of the other folder:

copied: there was none here; replaced: the one here was a failure or damaged; known: the one here says the
same; kept: the one here is worth more, or of a later version; conflict: both are done and their numbers
differ, so the one here stays; damaged: it cannot be believed, or only a later version can read it.
"""


@dataclass(frozen=True)
class Merged:
    """What became of one record or trial.

    Attributes:
        kind: ``record`` or ``trial``.
        title: of the cell; the path of a damaged one.
        fate: see `Fate`.
        why: one sentence for a conflict or a damaged one; else empty.
    """

    kind: Literal["record", "trial"]
    title: str
    fate: Fate
    why: str = ""


def merge(other: Path, results: Path) -> Iterator[Merged]:
    """Bring what is in ``other`` into ``results`` and say of each record and trial what became of it.

    Every record is checked against its checksums and the schema before it is copied, and copied whole or not
    at all; whoever is stopped in between merges again. ``other`` is only read.

    Args:
        other: a results folder.
        results: a results folder; it is made if it does not exist.

    Raises:
        UsageError: if ``other`` is no results folder, is empty, or is ``results`` itself.
        StoreError: if ``results`` cannot be written; what is there already stays.
    """
    if not (other / "runs").is_dir() and not (other / "trials").is_dir():
        known = "a results folder has a folder runs or trials in it"
        what = "is not a results folder" if other.exists() else "does not exist"
        raise UsageError(f"{other} {what}: {known}; give the folder that `run --results` wrote")
    if other.resolve() == results.resolve():
        raise UsageError(f"{other} is the results folder itself; give the one to copy from")
    theirs, trials = Store(other), TrialStore(other)
    if not theirs.stamps() and not any(trials.folder.glob("*.json")):
        raise UsageError(f"there is nothing to merge: {other} has neither records nor trials")
    return _merge(theirs, Store(results), trials, TrialStore(results))


def _merge(theirs: Store, ours: Store, their_trials: TrialStore, our_trials: TrialStore) -> Iterator[Merged]:
    ours.prepare()
    for record in theirs.records():
        yield _merge_record(record, theirs, ours)
    for problem in theirs.problems:
        yield Merged("record", str(problem.folder), "damaged", problem.sentence)
    for path in sorted(their_trials.folder.glob("*.json")):
        yield _merge_trial(path, our_trials)


def _merge_record(record: Record, theirs: Store, ours: Store) -> Merged:
    """Copy a sound record unless what is here is as good."""
    title = record.identity.title
    try:
        theirs.verify(record.digest)
    except DataError as error:
        return Merged("record", title, "damaged", str(error))
    mine = _read(ours, record.digest)
    if mine is not None and mine.status == "done" and record.status == "done":
        difference = _difference(record, theirs, mine, ours)
        if difference:
            return Merged("record", title, "conflict", difference)
        return Merged("record", title, "known")
    if mine is not None and (mine.status == "done" or record.status != "done"):
        return Merged("record", title, "known" if mine.status == record.status else "kept")
    there = ours.stamp(record.digest) is not None
    try:
        adopted = ours.adopt(theirs, record.digest)
    except DataError as error:
        return Merged("record", title, "damaged", str(error))
    if not adopted:
        return Merged("record", title, "kept")
    return Merged("record", title, "replaced" if there else "copied")


def _read(store: Store, digest: str) -> Record | None:
    try:
        return store.verify(digest)
    except DataError:
        return None


def _difference(their: Record, theirs: Store, our: Record, ours: Store) -> str:
    """Say in a sentence in what two finished records of a cell differ; empty if their results agree.

    An oracle trace that only one of them has is no difference.
    """
    assert their.result is not None
    assert our.result is not None
    digest = our.digest
    their_metrics, our_metrics = _metrics(their.result), _metrics(our.result)
    shared = their_metrics.keys() & our_metrics.keys()
    for key in sorted(shared):
        if their_metrics[key] != our_metrics[key]:
            query, gallery, protocol, selection = key
            return (
                f"{protocol} of {query} -> {gallery} ({selection}) is {our_metrics[key]!r} here "
                f"and {their_metrics[key]!r} there"
            )
    for key in sorted(their_metrics.keys() ^ our_metrics.keys()):
        if key[3] != "oracle":
            where = "here" if key in our_metrics else "there"
            return f"{key[2]} of {key[0]} -> {key[1]} ({key[3]}) is only {where}"
    fixed = [_fixed(msgspec.structs.replace(one, snapshot_error="")) for one in (their.result, our.result)]
    if fixed[0] != fixed[1]:
        return "their metrics agree, but not what else the result says (selection, rows, notes)"
    our_series, their_series = ours.per_query(digest), theirs.per_query(digest)
    for series in our_series.keys() & their_series.keys():
        if our_series[series].tolist() != their_series[series].tolist():
            return f"their metrics agree, but not the average precisions of {' / '.join(series)}"
    return ""


def _metrics(result: Result) -> dict[tuple[str, str, str, str], float]:
    return {(m.query, m.gallery, m.protocol, m.selection): m.value for m in result.metrics}


def _fixed(result: Result) -> bytes:
    """Return what must agree besides the metrics, without what an oracle trace adds."""
    rest = msgspec.structs.replace(
        result,
        selected=[item for item in result.selected if item.rule != "oracle"],
        zero_rows={rule: counts for rule, counts in result.zero_rows.items() if rule != "oracle"},
        refused={rule: reason for rule, reason in result.refused.items() if rule != "oracle"},
        metrics=[],
        audit="",
    )
    return msgspec.json.encode(rest, order="sorted")


def _merge_trial(path: Path, ours: TrialStore) -> Merged:
    try:
        content = path.read_bytes()
        trial = msgspec.json.decode(content, type=Trial)
    except (OSError, msgspec.DecodeError) as error:
        return Merged("trial", str(path), "damaged", f"{path} cannot be read: {error}; run tune there again")
    if trial.identity.digest != path.stem:
        return Merged("trial", str(path), "damaged", f"{path} belongs to another cell; run tune there again")
    place = ours.folder / path.name
    mine = None
    with suppress(OSError, msgspec.DecodeError):
        mine = msgspec.json.decode(place.read_bytes(), type=Trial)
    title = trial.identity.title
    if mine is not None:
        if mine.status == trial.status == "done" and mine.validation_map != trial.validation_map:
            why = f"validation mAP is {mine.validation_map!r} here and {trial.validation_map!r} there"
            return Merged("trial", title, "conflict", why)
        if mine.status == "done" or trial.status != "done":
            return Merged("trial", title, "known" if mine.status == trial.status else "kept")
    there = place.exists()
    try:
        with suppress(FileNotFoundError):  # a trial of before there were logs
            write_whole(ours.log_path(path.stem), path.with_suffix(".txt").read_bytes())
        write_whole(place, content)
    except OSError as error:
        raise explain(error, ours.folder) from error
    return Merged("trial", title, "replaced" if there else "copied")
