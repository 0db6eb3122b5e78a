"""``list``: methods, datasets, conditions, profiles, protocols and encoders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Final

from bench import registry
from bench.cli import no_collection
from bench.cli.formatting import print_lines, table, warn, write_data
from bench.cli.options import ARGUMENT, Form, make_command
from bench.evaluation import STANDARD_PROTOCOLS, Protocol
from bench.evaluation.protocols import FURTHER_PROTOCOLS

_HIDDEN: Final = {"card", "settings", "where", "variants"}  # keys that only JSON has
_LONGEST: Final = 50  # letters of a cell of the table


_PROFILES: Final = {
    "quick": "small networks, few epochs, capped sizes; the whole grid in minutes",
    "paper": "published sizes and settings; meant for GPUs",
}


@make_command("list")
def command(*, kind: Annotated[str | None, ARGUMENT] = None, format_: Form = "table") -> None:
    """List methods, datasets, conditions, profiles, protocols and encoders, or only KIND, one of these words.

    Args:
        format_: Output format.
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
    with no_collection():
        tables = {name: sources[name]() for name in ([kind] if kind else sources)}
    if format_ == "json":
        write_data(json.dumps(tables[kind] if kind else tables, indent=1))
    else:
        for name, rows in tables.items():
            longest = {"changes": 2 * _LONGEST}
            shown = [
                {
                    key: value[: longest.get(key, _LONGEST)] if isinstance(value, str) else value
                    for key, value in row.items()
                    if key not in _HIDDEN
                }
                for row in rows
            ]
            print_lines(name.capitalize(), *table(shown), "")
    for problem in registry.registered().problems:
        warn(f"left out: {problem.reason}")


def _row(card: Any, keys: str, more: dict[str, Any]) -> dict[str, Any]:
    """Return fields of a card by their names, then more, then the whole card."""
    return {key: getattr(card, key) for key in keys.split()} | more | {"card": asdict(card)}


def _methods() -> list[dict[str, Any]]:
    rows = []
    for name in registry.method_names():
        found = registry.method(name)
        card = found.card
        more = {
            "modalities": "any" if card.any_modalities else "two",
            "multi-label": "yes" if card.multi_label else "no",
            "parity": card.parity.partition(":")[0],
            "departures": len(card.from_paper) + len(card.from_release),
            "variants": [*found.variants],
        }
        row = _row(card, "name title year family role pairs", more)
        rows.append({**row, "settings": found.defaults, "where": found.where})
    return rows


def _datasets() -> list[dict[str, Any]]:
    rows = []
    for card in (registry.dataset(name).card for name in registry.dataset_names()):
        more = {
            "classes": card.n_classes.value,
            "modalities": "+".join(modality.name for modality in card.modalities),
            "labels": "multi" if card.multi_label else "single",
            "paired": "yes" if card.paired.value else "no",
            "in all": "yes" if card.in_all else "no",
            "licence": card.licence,
        }
        rows.append(_row(card, "name title", more))
    return rows


def _conditions() -> list[dict[str, Any]]:
    from bench.conditions import conditions

    rows = []
    for card in (cls.card for cls in conditions().values()):
        levels, names = "/".join(str(level) for level in card.levels), ", ".join(card.variants)
        more = {"levels": levels, "variant names": names, "sources": card.sources}
        rows.append(_row(card, "name group changes", more))
    return rows


def _encoders() -> list[dict[str, Any]]:
    from bench.encoders import encoder_cards

    return [
        _row(
            card, "name kind title width", {"fitted": "yes" if card.fitted else "no", "weights": card.weights}
        )
        for card in encoder_cards()
    ]
