"""A Markdown page per method, from its card and its settings alone: nothing is written twice."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from tabulate import tabulate

from bench import registry
from bench.contract import MethodCard
from bench.registry import MethodDescription
from bench.report.citations import bibliography
from bench.report.text import escape_markdown

INDEX: Final = "index.md"

_PAIRS: Final = {
    "needed": "needed; data without pairs is matched by class, once per cell (no paper does)",
    "labels": "not needed; batches are joint, of which only the labels are used",
    "unused": "not needed",
}
_SELECTION: Final = {
    "map": "mean validation mAP over directions",
    "loss": "validation loss of each modality",
    "none": "nothing to select",
}


def method_pages() -> dict[str, str]:
    """Return a page for every registered method, by file name, and an index of them."""
    found = [registry.method(name) for name in registry.method_names()]
    pages = {f"{description.card.name}.md": method_page(description) for description in found}
    return {INDEX: _index(found), **pages}


def method_page(description: MethodDescription) -> str:
    """Return what is known of a method: card, settings, variants, departures and reference."""
    card = description.card
    parts = [
        f"# {escape_markdown(card.title)} (`{card.name}`)",
        *(_prose(paragraph) for paragraph in description.about.split("\n\n")),
        _facts(card),
        "## Settings",
        _settings(description),
        *_per_dataset(card.name),
        *_variants(description.variants),
        *_departures("the paper", card.from_paper),
        *_departures("the released code", card.from_release),
        *_reference(card.citation),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def departures(card: MethodCard) -> int:
    """Return how many departures from paper and release a card states."""
    return len(card.from_paper) + len(card.from_release)


def _index(found: list[MethodDescription]) -> str:
    rows = [
        {
            "method": f"[{escape_markdown(card.title)}]({card.name}.md)",
            "year": card.year,
            "family": escape_markdown(card.family),
            "role": card.role,
            "held against": escape_markdown(card.parity),
            "departures": departures(card),
        }
        for card in (description.card for description in found)
    ]
    return f"# Methods\n\n{_table(rows)}\n"


def _facts(card: MethodCard) -> str:
    facts = {
        "authors": escape_markdown(card.authors),
        "published": escape_markdown(f"{card.venue} {card.year or ''}".strip()),
        "family": escape_markdown(card.family),
        "role": card.role,
        "pairs": _PAIRS[card.pairs],
        "modalities": "two or more" if card.any_modalities else "two; more are taken pair by pair",
        "several classes per sample": "yes" if card.multi_label else "no",
        "selected by": _SELECTION[card.selects_by],
        "held against": escape_markdown(card.parity),
        "released code": f"<{card.code}>" if card.code else "",
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value)


def _settings(description: MethodDescription) -> str:
    quick = registry.resolve_settings(description, profile="quick")
    stand_in = registry.resolve_settings(description, profile="quick", kind="look-alike")
    rows = [
        {
            "setting": f"`{name}`",
            "default": _value(default),
            "quick profile": "" if quick[name] == default else _value(quick[name]),
            "its look-alikes": "" if stand_in[name] == quick[name] else _value(stand_in[name]),
            "meaning": _prose(description.meanings.get(name, "")),
        }
        for name, default in description.defaults.items()
    ]
    return _table(rows) if rows else "None."


def _per_dataset(name: str) -> list[str]:
    rows = [
        {
            "dataset": f"`{dataset}`",
            "settings": ", ".join(
                f"`{key}` = {_value(value)}" for key, value in entry.get("settings", {}).items()
            ),
            "source": escape_markdown(str(entry.get("source", ""))),
        }
        for dataset, entry in registry.dataset_settings(name).items()
    ]
    return ["## Values per dataset, in the paper profile", _table(rows)] if rows else []


def _variants(variants: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [
        {
            "variant": f"`{name}`",
            "changes": ", ".join(f"`{key}` = {_value(value)}" for key, value in changes.items()),
        }
        for name, changes in variants.items()
    ]
    return ["## Variants", _table(rows)] if rows else []


def _departures(origin: str, items: tuple[str, ...]) -> list[str]:
    lines = "\n".join(f"- {_prose(item)}" for item in items)
    return [f"## Departures from {origin}", lines] if items else []


def _reference(key: str) -> list[str]:
    entry = bibliography().get(key)
    return ["## Reference", f"```bibtex\n{entry}\n```"] if entry else []


def _value(value: Any) -> str:
    return _code(json.dumps(value))


def _code(text: str) -> str:
    return f"`{text}`".replace("|", r"\|")  # a bar ends a cell of a table even inside of code


def _prose(text: str) -> str:
    """Return docstring text as Markdown: what stands in backticks is code, the rest has no markup."""
    pieces = re.split(r"(`+)(.+?)\1", " ".join(text.split()))
    return "".join(
        _code(piece) if place % 3 == 2 else _plain(piece)
        for place, piece in enumerate(pieces)
        if place % 3 != 1
    )


def _plain(piece: str) -> str:
    return escape_markdown(f"x{piece}x")[1:-1]  # spaces at the ends belong to the sentence around it


def _table(rows: list[dict[str, Any]]) -> str:
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)
