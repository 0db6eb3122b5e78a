"""``list``: methods, datasets, conditions, profiles, protocols and encoders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Final

from bench import registry
from bench.cli.formatting import say, table, warn, write_data
from bench.cli.options import ARGUMENT, Form, PluginOption, make_command
from bench.evaluation import STANDARD_PROTOCOLS, Protocol
from bench.evaluation.protocols import FURTHER_PROTOCOLS

_HIDDEN: Final = {"card", "settings", "where", "variants"}
"""Keys that only JSON has."""

_LONGEST: Final = 50
"""Letters of a cell of the table."""


_PROFILES: Final = {
    "quick": "small networks, few epochs, capped sizes; the whole grid in minutes",
    "paper": "published sizes and settings; meant for GPUs",
}


@make_command("list")
def command(
    *, kind: Annotated[str | None, ARGUMENT] = None, format_: Form = "table", plugins: PluginOption
) -> None:
    """List methods, datasets, conditions, profiles, protocols and encoders, or only KIND, one of these words.

    Args:
        kind: what to list; None for everything.
        format_: Output format.
        plugins: files with plug-ins.
    """
    sources: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "methods": _methods,
        "datasets": _datasets,
        "conditions": _conditions,
        "profiles": lambda: [{"name": name, "meaning": meaning} for name, meaning in _PROFILES.items()],
        "protocols": lambda: [
            {"id": item.id, **asdict(item)}
            for item in (*STANDARD_PROTOCOLS, *map(Protocol.parse, FURTHER_PROTOCOLS))
        ],
        "encoders": _encoders,
    }
    if kind is not None and kind not in sources:
        raise registry.unknown("kind to list", kind, sources)
    plugins.load()
    tables = {name: sources[name]() for name in ([kind] if kind else sources)}
    if format_ == "json":
        write_data(json.dumps(tables[kind] if kind else tables, indent=1))
    else:
        for name, rows in tables.items():
            shown = [{key: row[key] for key in row if key not in _HIDDEN} for row in rows]
            for row in shown:
                row |= {
                    key: value[: 2 * _LONGEST if key == "changes" else _LONGEST]
                    for key, value in row.items()
                    if isinstance(value, str)
                }
            say(name.capitalize(), *table(shown), "")
    for problem in registry.registered().problems:
        warn(f"left out: {problem.reason}")


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


def _conditions() -> list[dict[str, Any]]:
    from bench.conditions import conditions

    return [
        {
            "name": card.name,
            "group": card.group,
            "changes": card.changes,
            "levels": "/".join(str(level) for level in card.levels),
            "variant names": ", ".join(card.variants),
            "sources": card.sources,
            "card": asdict(card),
        }
        for card in (cls.card for cls in conditions().values())
    ]


def _encoders() -> list[dict[str, Any]]:
    from bench.encoders import encoder_cards

    return [
        {
            "name": card.name,
            "kind": card.kind,
            "title": card.title,
            "width": card.width,
            "fitted": "yes" if card.fitted else "no",
            "weights": card.weights,
            "card": asdict(card),
        }
        for card in encoder_cards()
    ]
