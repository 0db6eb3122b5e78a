"""Records as flat rows: one per cell, direction and protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from bench.analysis.groups import device_of
from bench.records.schema import Record

COLUMNS = (
    "method",
    "variant",
    "dataset",
    "data_kind",
    "modalities",
    "seed",
    "profile",
    "query",
    "gallery",
    "protocol",
    "selection",
    "value",
    "status",
    "record",
    "fingerprint",
    "device",
    "harness",
    "code",
    "threads",
    "settings",
)
FURTHER = COLUMNS[-6:]
"""Columns that are mostly the same everywhere; the last is a digest of the complete settings."""


def rows_of(records: Iterable[Record], selection: str | None = None) -> list[dict[str, Any]]:
    """Return rows with the keys `COLUMNS`, sorted; a cell without result has one row without value.

    Args:
        records: of any status.
        selection: ``best``, ``last`` or ``oracle`` (closed-form methods, which select nothing, always
            take part), ``every`` for all; None for each record's own rule.
    """
    rows = [row for record in records for row in _rows(record, selection)]
    return sorted(rows, key=lambda row: tuple(str(row[column]) for column in COLUMNS))


def _rows(record: Record, selection: str | None) -> list[dict[str, Any]]:
    identity = record.identity
    common: dict[str, Any] = {
        "method": identity.method,
        "variant": identity.variant,
        "dataset": identity.dataset,
        "data_kind": identity.data_kind,
        "modalities": "+".join(identity.modalities),
        "seed": identity.seed,
        "profile": identity.profile,
        "status": record.status,
        "record": record.digest,
        "fingerprint": identity.fingerprint,
        "device": device_of(identity, record.environment),
        "harness": identity.harness,
        "code": identity.code,
        "threads": identity.threads,
        "settings": _digest(identity.settings),
    }
    if record.result is None:
        nothing = dict.fromkeys(("query", "gallery", "protocol", "selection", "value"), "")
        return [_ordered({**common, **nothing})]
    wanted = {"none", selection or record.result.selection}
    nothing = dict.fromkeys(("query", "gallery", "protocol", "value"), "")
    unranked = [
        _ordered({**common, **nothing, "status": "refused", "selection": rule})
        for rule in record.result.refused
        if selection == "every" or rule in wanted
    ]
    return unranked + [
        _ordered(
            {
                **common,
                "query": metric.query,
                "gallery": metric.gallery,
                "protocol": metric.protocol,
                "selection": metric.selection,
                "value": metric.value,
            }
        )
        for metric in record.result.metrics
        if selection == "every" or metric.selection in wanted
    ]


def _digest(settings: Mapping[str, Any]) -> str:
    """Return eight digits that settings share with no others."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _ordered(row: dict[str, Any]) -> dict[str, Any]:
    return {column: row[column] for column in COLUMNS}
