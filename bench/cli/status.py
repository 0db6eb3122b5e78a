"""``status``: records by method and dataset, why cells have no result, and what runs at the moment."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bench.cli.formatting import clock, first_line, headline, say, stage, table, write_data
from bench.cli.options import Form, PluginOption, ResultsOption, make_command
from bench.cli.select_records import read_records
from bench.experiment.stale import Stale, sentences, stale_records
from bench.records.heartbeat import RunState, active_runs
from bench.records.schema import Record


@make_command("status")
def command(*, format_: Form = "table", folder: ResultsOption, plugins: PluginOption) -> int:
    """Count the records, say why cells have no result, and what runs at the moment.

    What a request still lacks: python -m bench run ... --dry-run. Exit status 0; 1 if a record is damaged;
    2 for wrong usage or no records.

    Args:
        format_: Form of the output.
        folder: of the records.
        plugins: files with plug-ins.
    """
    plugins.load()
    runs = active_runs(folder.results)
    records, problems = read_records(folder.results, may_be_none=bool(runs))
    stale = stale_records(records)
    facts = {
        "cells": _counts(records),
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
        "stale": [{**_cell(one.record), "changes": one.changes, "again": one.again} for one in stale],
    }
    if format_ == "json":
        write_data(json.dumps(facts, indent=1))
    else:
        say(*_lines(facts, records, stale), *_running_lines(runs))
    return int(bool(problems))


def _cell(record: Record) -> dict[str, Any]:
    return {"record": record.digest, "cell": record.identity.title}


def _counts(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a row per method and data: how many cells ended how, and their seconds."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    keys = ("dataset", "data", "fingerprint", "profile", "method", "variant")
    for record in records:
        one = record.identity
        key: tuple[str, ...] = (
            one.dataset,
            one.data_kind,
            one.fingerprint[:8],
            one.profile,
            one.method,
            one.variant,
        )
        groups.setdefault(key, []).append(record)
    rows = []
    for key, members in sorted(groups.items()):
        counts = Counter(record.status for record in members)
        seconds = sum(record.environment.seconds.get("total", 0.0) for record in members)
        rows.append(
            {
                **dict(zip(keys, key, strict=True)),
                "cells": len(members),
                "done": counts["done"],
                "skipped": counts["skipped"],
                "failed": len(members) - counts["done"] - counts["skipped"],
                "seconds": round(seconds, 1),
            }
        )
    return rows


def _lines(facts: dict[str, Any], records: Sequence[Record], stale: Sequence[Stale]) -> Iterator[str]:
    yield from table(facts["cells"])
    for item in facts["failures"]:
        yield f"{item['status']}: {item['cell']}: {item['reason']} (record {item['record']})"
    for item in facts["undrawn"]:
        yield (
            f"done without a snapshot for figures: {item['cell']}: {item['reason']} (record {item['record']})"
        )
    counts = Counter(record.status for record in records)
    total = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    yield f"{len(records)} records: {total or 'none'}"
    yield from sentences(stale)
    if any(not one.again for one in stale):
        yield "run with --retry stale makes the cells of stale records again; these records stay"


def _running_lines(runs: Sequence[tuple[str, RunState]]) -> Iterator[str]:
    """Yield a line per run at work, and one per cell that it is running."""
    now = time.time()
    for name, state in runs:
        stopping = ", stopping" if state.stopping else ""
        yield f"running now ({name}): {headline(state, now)}{stopping}"
        for cell in state.running:
            words = [cell.title, stage(cell), cell.slot, clock(now - cell.began)]
            yield "  " + ", ".join(word for word in words if word)
