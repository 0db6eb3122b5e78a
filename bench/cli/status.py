"""``status``: count records by method and dataset; show failures and runs in progress."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bench.analysis.groups import CLEAN
from bench.cli.formatting import bytes_of, clock, first_line, headline, print_lines, stage, table, write_data
from bench.cli.options import Form, ResultsOption, make_command
from bench.cli.select_records import read_records
from bench.experiment.refit import moved_condition_files
from bench.experiment.stale import Stale, sentences, stale_records
from bench.plural import counted
from bench.records.heartbeat import RunState, active_runs
from bench.records.schema import Record
from bench.records.store import Store


@make_command("status")
def command(*, format_: Form = "table", folder: ResultsOption) -> int:
    """Count the records; show why cells have no result, and which runs are in progress.

    To see which cells of a grid are missing: python -m bench run ... --dry-run. Exit status 0; 1 if a record
    is damaged; 2 for wrong usage or no records.

    Args:
        format_: Output format.
    """
    runs = active_runs(folder.results)
    records, problems = read_records(folder.results, may_be_none=bool(runs))
    stale = stale_records(records)
    models = Store(folder.results).models
    kept, size, unkept = models.totals({*models.digests()})
    facts = {
        "cells": _counts(records),
        "models": {
            "kept": kept,
            "bytes": size,
            "not_kept": unkept,
            "without_record": sorted({*models.digests()} - {record.digest for record in records}),
        },
        "failures": [
            {**_cell(record), "status": record.status, "reason": first_line(record.failure.reason)}
            for record in sorted(records, key=lambda record: (record.identity.title, record.digest))
            if record.failure is not None
        ],
        "damaged": problems,
        "running": [{"run": name, **msgspec.to_builtins(state)} for name, state in runs],
        "undrawn": [
            {**_cell(record), "reason": record.result.snapshot_error}
            for record in records
            if record.result is not None and record.result.snapshot_error
        ],
        "moved": moved_condition_files(records),
        "stale": [{**_cell(item.record), "changes": item.changes, "again": item.again} for item in stale],
    }
    if format_ == "json":
        write_data(json.dumps(facts, indent=1))
    else:
        print_lines(*_lines(facts, records, stale, runs))
    return int(bool(problems))


def _cell(record: Record) -> dict[str, Any]:
    return {"record": record.digest, "cell": record.identity.title}


def _counts(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a row per method and data: numbers of cells by status, and their seconds."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        cell = record.identity
        data = (cell.dataset, cell.data_kind, cell.fingerprint[:8], cell.profile, cell.condition or CLEAN)
        groups.setdefault((*data, cell.method, cell.variant), []).append(record)
    keys = ("dataset", "data", "fingerprint", "profile", "condition", "method", "variant")
    rows = []
    for key, members in sorted(groups.items()):
        counts = Counter(record.status for record in members)
        ends = {"done": counts["done"], "skipped": counts["skipped"]}
        ends["failed"] = len(members) - sum(ends.values())
        seconds = sum(record.environment.seconds.get("total", 0.0) for record in members)
        row = {**dict(zip(keys, key, strict=True)), "cells": len(members), **ends}
        rows.append({**row, "seconds": round(seconds, 1)})
    return rows


def _lines(
    facts: dict[str, Any],
    records: Sequence[Record],
    stale: Sequence[Stale],
    runs: Sequence[tuple[str, RunState]],
) -> Iterator[str]:
    hidden = "" if any(record.identity.condition for record in records) else "condition"
    yield from table([{key: row[key] for key in row if key != hidden} for row in facts["cells"]])
    for item in facts["failures"]:
        yield f"{item['status']}: {item['cell']}: {item['reason']} (record {item['record']})"
    for item in facts["undrawn"]:
        yield (
            f"done without a snapshot for figures: {item['cell']}: {item['reason']} (record {item['record']})"
        )
    for sentence in facts["moved"]:
        yield f"cannot be run again: {sentence}"
    counts = Counter(record.status for record in records)
    total = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    yield f"{counted(len(records), 'record')}: {total or 'none'}"
    yield from sentences(stale)
    models = facts["models"]
    if models["kept"]:
        yield f"stored models: {models['kept']}, {bytes_of(models['bytes'])}"
    yield from (f"no model of record {digest}: {why}" for digest, why in models["not_kept"].items())
    for digest in models["without_record"]:
        yield f"model {digest} has no record here; merge or remove it"
    if any(not record.again for record in stale):
        yield "run with --retry stale makes the cells of stale records again; these records stay"
    now = time.time()
    for name, state in runs:
        stopping = ", stopping" if state.stopping else ""
        yield f"running now ({name}): {headline(state, now)}{stopping}"
        for cell in state.running:
            words = [cell.title, stage(cell), cell.slot, clock(now - cell.began)]
            yield "  " + ", ".join(word for word in words if word)
