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

_KEYS = ("dataset", "data", "profile", "method", "variant")


@click.command("status", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", show_default=True)
@results_option
def command(form: str, results: Path) -> int:
    """Say what is recorded, and why cells have no result.

    What a request still lacks: python -m bench run ... --dry-run. Exit status 0; 1 if a record is damaged;
    2 for wrong usage or no records.
    """
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
        for record in sorted(records, key=lambda record: (record.identity.title, record.digest))
        if record.failure is not None
    ]
    if form == "json":
        click.echo(json.dumps({"cells": rows, "failures": failures, "damaged": problems}, indent=1))
        return int(bool(problems))
    from tabulate import tabulate

    click.echo(tabulate(rows, headers="keys", disable_numparse=list(range(len(_KEYS)))))
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
                **dict(zip(_KEYS, key, strict=True)),
                "cells": len(members),
                "done": counts["done"],
                "skipped": counts["skipped"],
                "failed": len(members) - counts["done"] - counts["skipped"],
                "seconds": round(
                    sum(record.circumstances.seconds.get("total", 0.0) for record in members), 1
                ),
            }
        )
    return rows


def _reason(record: Record) -> str:
    return record.failure.reason.splitlines()[0] if record.failure is not None else ""
