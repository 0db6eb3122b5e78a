"""``status``: what is recorded, by method and dataset, and why cells have no result."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from bench.cli.options import load_plugins, plugin_option, results_option

if TYPE_CHECKING:
    from bench.experiment.stale import Stale
    from bench.records.heartbeat import RunState
    from bench.records.schema import Record

_KEYS = ("dataset", "data", "fingerprint", "profile", "method", "variant")


@click.command("status", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", show_default=True)
@results_option
@plugin_option
def command(form: str, results: Path, plugin_files: Sequence[Path]) -> int:
    """Say what is recorded, why cells have no result, and what runs at the moment.

    What a request still lacks: python -m bench run ... --dry-run. Exit status 0; 1 if a record is damaged;
    2 for wrong usage or no records.
    """
    from bench.cli.reading import read_records
    from bench.experiment.stale import sentences, stale_records
    from bench.records.heartbeat import active_runs

    load_plugins(plugin_files)
    runs = active_runs(results)
    records, problems = read_records(results, may_be_none=bool(runs))
    rows = _rows(records)
    failures = [
        {
            "record": record.digest,
            "cell": record.identity.title,
            "status": record.status,
            "reason": _reason(record),
        }
        for record in sorted(records, key=lambda record: (record.identity.title, record.digest))
        if record.failure is not None
    ]
    stale = stale_records(records)
    undrawn = [
        {"record": record.digest, "cell": record.identity.title, "reason": record.result.snapshot_error}
        for record in records
        if record.result is not None and record.result.snapshot_error
    ]
    if form == "json":
        answer = {
            "cells": rows,
            "failures": failures,
            "damaged": problems,
            "running": [{"run": name, **msgspec.to_builtins(state)} for name, state in runs],
            "undrawn": undrawn,
            "stale": [_stale_row(one) for one in stale],
        }
        click.echo(json.dumps(answer, indent=1))
        return int(bool(problems))
    from tabulate import tabulate

    if rows:
        click.echo(tabulate(rows, headers="keys", disable_numparse=list(range(len(_KEYS)))))
    for item in failures:
        click.echo(f"{item['status']}: {item['cell']}: {item['reason']} (record {item['record']})")
    for one in undrawn:
        where = f"{one['reason']} (record {one['record']})"
        click.echo(f"done without a snapshot for figures: {one['cell']}: {where}")
    counts = Counter(record.status for record in records)
    total = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
    click.echo(f"{len(records)} records: {total or 'none'}")
    for sentence in sentences(stale):
        click.echo(sentence)
    if any(not one.again for one in stale):
        click.echo("run with --retry stale makes the cells of stale records again; these records stay")
    for line in _running_lines(runs):
        click.echo(line)
    return int(bool(problems))


def _stale_row(one: Stale) -> dict[str, Any]:
    identity = one.record.identity
    return {"record": identity.digest, "cell": identity.title, "changes": one.changes, "again": one.again}


def _rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        identity = record.identity
        key: tuple[str, ...] = (
            identity.dataset,
            identity.data_kind,
            identity.fingerprint[:8],
            identity.profile,
            identity.method,
            identity.variant,
        )
        groups.setdefault(key, []).append(record)
    rows = []
    for key, members in sorted(groups.items()):
        counts = Counter(record.status for record in members)
        rows.append(
            {
                **dict(zip(_KEYS, key, strict=True)),
                "cells": len(members),
                "done": counts["done"],
                "skipped": counts["skipped"],
                "failed": len(members) - counts["done"] - counts["skipped"],
                "seconds": round(sum(record.environment.seconds.get("total", 0.0) for record in members), 1),
            }
        )
    return rows


def _running_lines(runs: Sequence[tuple[str, RunState]]) -> list[str]:
    """Return a line per run at work, and one per cell that it is running."""
    from bench.cli.phrases import clock, headline, printable, stage

    lines = []
    now = time.time()
    for name, state in runs:
        stopping = ", stopping" if state.stopping else ""
        lines.append(f"running now ({name}): {headline(state, now)}{stopping}")
        for cell in state.running:
            words = [printable(cell.title), stage(cell), cell.slot, clock(now - cell.began)]
            lines.append("  " + ", ".join(word for word in words if word))
    return lines


def _reason(record: Record) -> str:
    return record.failure.reason.splitlines()[0] if record.failure is not None else ""
