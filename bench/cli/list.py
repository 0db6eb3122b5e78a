"""``list``: what can be run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bench.cli.options import load_plugins, plugin_option, warn_of_problems

_KINDS = ("methods", "datasets", "profiles", "protocols")


@click.command("list", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("kind", type=click.Choice(_KINDS), required=False)
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", show_default=True)
@plugin_option
def command(kind: str | None, form: str, plugin_files: Sequence[Path]) -> None:
    """List methods, datasets, profiles and protocols."""
    load_plugins(plugin_files)
    tables = {name: _ROWS[name]() for name in ([kind] if kind else _KINDS)}
    if form == "json":
        click.echo(json.dumps(tables[kind] if kind else tables, indent=1))
    else:
        from tabulate import tabulate

        for name, rows in tables.items():
            shown = tabulate([_short(row) for row in rows], headers="keys", disable_numparse=True)
            click.echo(f"{name.capitalize()}\n{shown}\n")
    warn_of_problems()


def _methods() -> list[dict[str, Any]]:
    from bench import registry

    rows = []
    for name in registry.method_names():
        description = registry.method(name)
        card = description.card
        rows.append(
            {
                "name": name,
                "title": card.title,
                "year": card.year,
                "family": card.family,
                "role": card.role,
                "pairs": card.pairs,
                "modalities": "any" if card.any_modalities else "two",
                "multi-label": "yes" if card.multi_label else "no",
                "parity": card.parity.partition(":")[0],
                "departures": len(card.from_paper) + len(card.from_release),
                "variants": list(description.variants),
                "card": asdict(card),
                "settings": description.defaults,
                "where": description.where,
            }
        )
    return rows


def _datasets() -> list[dict[str, Any]]:
    from bench import registry

    rows = []
    for name in registry.dataset_names():
        card = registry.dataset(name).card
        rows.append(
            {
                "name": name,
                "title": card.title,
                "classes": card.n_classes.value,
                "modalities": "+".join(modality.name for modality in card.modalities),
                "labels": "multi" if card.multi_label else "single",
                "paired": "yes" if card.paired.value else "no",
                "in all": "yes" if card.in_all else "no",
                "licence": card.licence,
                "card": asdict(card),
            }
        )
    return rows


def _profiles() -> list[dict[str, Any]]:
    return [
        {"name": "quick", "meaning": "small networks, few epochs, capped sizes; the whole grid in minutes"},
        {"name": "paper", "meaning": "published sizes and settings; meant for GPUs"},
    ]


def _protocols() -> list[dict[str, Any]]:
    from bench.evaluation import STANDARD_PROTOCOLS

    return [{"id": protocol.id, **asdict(protocol)} for protocol in STANDARD_PROTOCOLS]


_ROWS = {"methods": _methods, "datasets": _datasets, "profiles": _profiles, "protocols": _protocols}


def _short(row: dict[str, Any]) -> dict[str, Any]:
    hidden = {"card", "settings", "where", "variants"}
    return {
        key: (value[:50] if isinstance(value, str) else value)
        for key, value in row.items()
        if key not in hidden
    }
