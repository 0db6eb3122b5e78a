"""``status``: what is recorded, by method and dataset, and why cells have no result."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.options import results_option

if TYPE_CHECKING:
    from bench.records.schema import Record


@click.command("status")
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", show_default=True)
@results_option
def command(form: str, results: Path) -> int:
    """Say what is done and what failed, with the reasons."""
    from bench.commands.reading import read_records

    records, problems = read_records(results)
    rows = _rows(records)
    failures = [
        {
            "record": record.digest,
            "cell": record.identity.title,
            "status": record.status,
            "reason": _reason(record),
        }
        for record in sorted(records, key=lambda record: record.identity.title)
        if record.failure is not None
    ]
    if form == "json":
        click.echo(json.dumps({"cells": rows, "failures": failures, "damaged": problems}, indent=1))
        return int(bool(problems))
    from tabulate import tabulate

    click.echo(tabulate(rows, headers="keys"))
    for item in failures:
        click.echo(f"{item['status']}: {item['cell']}: {item['reason']} (record {item['record']})")
    counts = Counter(record.status for record in records)
    click.echo(f"{len(records)} records: " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items())))
    return int(bool(problems))


def _rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        identity = record.identity
        key: tuple[str, ...] = (
            identity.dataset,
            identity.data_kind,
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
                **dict(zip(("dataset", "data", "profile", "method", "variant"), key, strict=True)),
                "cells": len(members),
                "done": counts["done"],
                "skipped": counts["skipped"],
                "failed": len(members) - counts["done"] - counts["skipped"],
                "seconds": round(sum(record.circumstances.seconds["total"] for record in members), 1),
            }
        )
    return rows


def _reason(record: Record) -> str:
    return record.failure.reason.splitlines()[0] if record.failure is not None else ""
