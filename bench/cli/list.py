"""``list``: methods, datasets, profiles and protocols."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any, Final

from bench import registry
from bench.cli.formatting import say, table, warn, write_data
from bench.cli.options import ARGUMENT, Form, PluginOption, make_command
from bench.evaluation import STANDARD_PROTOCOLS

_HIDDEN: Final = {"card", "settings", "where", "variants"}
"""Keys that only JSON has."""

_LONGEST: Final = 50
"""Letters of a cell of the table."""


@make_command("list")
def command(
    *,
    kind: Annotated[str | None, ARGUMENT] = None,
    format_: Form = "table",
    plugins: PluginOption,
) -> None:
    """List methods, datasets, profiles and protocols; KIND is one of these words.

    Args:
        kind: what to list; None for everything.
        format_: Form of the output.
        plugins: files with plug-ins.
    """
    sources = {
        "methods": _methods,
        "datasets": _datasets,
        "profiles": _profiles,
        "protocols": _protocols,
    }
    if kind is not None and kind not in sources:
        raise registry.unknown("kind of thing to list", kind, sources)
    plugins.load()
    tables = {name: sources[name]() for name in ([kind] if kind else sources)}
    if format_ == "json":
        write_data(json.dumps(tables[kind] if kind else tables, indent=1))
    else:
        for name, rows in tables.items():
            shown = [{key: _short(row[key]) for key in row if key not in _HIDDEN} for row in rows]
            say(name.capitalize(), *table(shown), "")
    for problem in registry.registered().problems:
        warn(f"left out: {problem.reason}")


def _short(value: Any) -> Any:
    return value[:_LONGEST] if isinstance(value, str) else value


def _methods() -> list[dict[str, Any]]:
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
                "variants": [*description.variants],
                "card": asdict(card),
                "settings": description.defaults,
                "where": description.where,
            }
        )
    return rows


def _datasets() -> list[dict[str, Any]]:
    cards = {name: registry.dataset(name).card for name in registry.dataset_names()}
    return [
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
        for name, card in cards.items()
    ]


def _profiles() -> list[dict[str, Any]]:
    return [
        {"name": "quick", "meaning": "small networks, few epochs, capped sizes; the whole grid in minutes"},
        {"name": "paper", "meaning": "published sizes and settings; meant for GPUs"},
    ]


def _protocols() -> list[dict[str, Any]]:
    return [{"id": protocol.id, **asdict(protocol)} for protocol in STANDARD_PROTOCOLS]
