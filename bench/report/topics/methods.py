"""Methods: cards, departures from their sources, a page for each, and references to cite."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tabulate import tabulate

from bench import registry
from bench.analysis.labels import cards_of
from bench.contract import DatasetCard, MethodCard
from bench.records.schema import Record
from bench.registry import MethodDescription
from bench.report.exhibit import Cell, Line, Listing, Part, Topic, plain_table
from bench.report.report_data import ReportData
from bench.report.writers.markdown import escape

_ENTRY: Final = re.compile(r"^@\w+\{\s*(?P<key>[^,\s]+)\s*,.*?^\}", re.DOTALL | re.MULTILINE)
_PAIRS: Final = {
    "needed": "needed; data without pairs is matched by class",
    "optional": "used where rows correspond, not needed",
    "labels": "not needed; batches are joint, of which only the labels are used",
    "unused": "not used",
}
_MATCHED: Final = (
    "Data without pairs is matched by class: pseudo-pairs are drawn once per cell, not in every epoch, and "
    "rows of a label or set of labels that a modality lacks are left out."
)
_SELECTION: Final = {
    "map": "mean validation mAP over directions",
    "loss": "validation loss of each modality",
    "none": "nothing to select",
}


def parts(data: ReportData) -> list[Part]:
    """Return the cards of the methods of the records, and where they depart from their sources."""
    present = {record.identity.method for record in data.records}
    known = cards_of(data.records)
    cards = [known[name] for name in sorted(present & known.keys(), key=data.labels.order)]
    if not cards:
        return []
    lines = []
    for card in cards:
        year = Cell(str(card.year or ""), number=card.year)
        words = map(Cell, (card.family, card.role, card.pairs))
        cells = (Cell(card.authors), Cell(card.venue), year, *words)
        lines.append(Line(card.title, cells, f"{card.title} {card.name}"))
    headings = ("Method", "Authors", "Venue", "Year", "Family", "Role", "Pairs")
    exhibit = plain_table("method_cards", "Methods of the records", headings, lines)
    departures = [Listing(card.title, _departures(card)) for card in cards if _departures(card)]
    return [Part(exhibits=[exhibit]), Part("Where they depart from their sources", listings=departures)]


def files(data: ReportData) -> dict[str, str]:
    """Return a page for every registered method, an index of them, and the references of the records."""
    pages = {f"methods/{name}": page for name, page in method_pages().items()}
    return {"citations.bib": citations(data.records), **pages}


def _departures(card: MethodCard) -> list[str]:
    return [
        *(f"From the paper: {item}" for item in _from_paper(card)),
        *(f"From the released code: {item}" for item in card.from_release),
    ]


def _from_paper(card: MethodCard) -> list[str]:
    """Return the departures that the card states, and what the harness does in place of pairs."""
    return [*card.from_paper, *([_MATCHED] if card.pairs == "needed" else [])]


def bibliography() -> dict[str, str]:
    """Return all entries of ``methods/references.bib`` by key, unchanged."""
    path = registry.folder_of("methods") / "references.bib"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return {entry["key"]: entry[0] for entry in _ENTRY.finditer(text)}


def citations(records: Sequence[Record]) -> str:
    """Return the BibTeX entries of the methods and datasets of ``records``.

    Methods come first, in the order of the tables, then datasets by name; each entry is
    given once. A comment names what has no known reference, such as a removed method or a bundle.
    """
    methods = {record.identity.method for record in records}
    datasets = sorted({record.identity.dataset for record in records})
    found, known = registry.registered(), cards_of(records)
    order = [*registry.method_names(), *sorted(methods - found.methods.keys())]
    cards: list[tuple[str, MethodCard | DatasetCard | None]] = [
        *((name, known.get(name)) for name in order if name in methods),
        *((name, found.datasets[name].card if name in found.datasets else None) for name in datasets),
    ]
    entries, written = bibliography(), dict[str, str]()
    for name, card in cards:
        key = card.citation if card else ""
        comment = f"% {' '.join(name.split())}: no reference known"
        written.setdefault(key if key in entries else name, entries.get(key, comment))
    return "\n\n".join(written.values()) + ("\n" if written else "")


def method_pages() -> dict[str, str]:
    """Return a page for every registered method, by file name, and an index of them."""
    found = [registry.method(name) for name in registry.method_names()]
    headings = ("method", "year", "family", "role", "held against", "departures")
    rows = []
    for card in (one.card for one in found):
        link, about = f"[{escape(card.title)}]({card.name}.md)", (escape(card.family), card.role)
        rows.append((link, card.year, *about, escape(card.parity), len(_departures(card))))
    entries = bibliography()
    pages = {f"{one.card.name}.md": method_page(one, entries.get(one.card.citation, "")) for one in found}
    return {"index.md": f"# Methods\n\n{_table(headings, rows)}\n", **pages}


def method_page(description: MethodDescription, reference: str = "") -> str:
    """Return a method's card, settings, variants, departures and reference."""
    card = description.card
    per_dataset = [
        (f"`{name}`", _assigned(entry.get("settings", {})), escape(str(entry.get("source", ""))))
        for name, entry in registry.dataset_settings(card.name).items()
    ]
    variants = [(f"`{name}`", _assigned(one)) for name, one in description.variants.items()]
    sections = {
        "Values per dataset, in the paper profile": _table(("dataset", "settings", "source"), per_dataset),
        "Variants": _table(("variant", "changes"), variants),
        "Departures from the paper": "\n".join(f"- {_prose(one)}" for one in _from_paper(card)),
        "Departures from the released code": "\n".join(f"- {_prose(one)}" for one in card.from_release),
        "Reference": f"```bibtex\n{reference}\n```" if reference else "",
    }
    parts = [
        f"# {escape(card.title)} (`{card.name}`)",
        *(_prose(paragraph) for paragraph in description.about.split("\n\n")),
        _facts(card),
        "## Settings",
        _settings(description),
        *(f"## {title}\n\n{content}" for title, content in sections.items() if content),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(card: MethodCard) -> str:
    facts = {
        "authors": escape(card.authors),
        "published": escape(f"{card.venue} {card.year or ''}".strip()),
        "family": escape(card.family),
        "role": card.role,
        "pairs": _PAIRS[card.pairs],
        "modalities": "two or more" if card.any_modalities else "two; more are taken pair by pair",
        "several classes per sample": "yes" if card.multi_label else "no",
        "selected by": _SELECTION[card.selects_by],
        "held against": escape(card.parity),
        "released code": f"<{card.code}>" if card.code else "",
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value)


def _settings(description: MethodDescription) -> str:
    quick = registry.resolve_settings(description, profile="quick")
    stand_in = registry.resolve_settings(description, profile="quick", kind="look-alike")
    rows = []
    for name, default in description.defaults.items():
        of_quick = "" if quick[name] == default else _value(quick[name])
        of_stand_in = "" if stand_in[name] == quick[name] else _value(stand_in[name])
        meaning = _prose(description.meanings.get(name, ""))
        rows.append((f"`{name}`", _value(default), of_quick, of_stand_in, meaning))
    headings = ("setting", "default", "quick profile", "its look-alikes", "meaning")
    return _table(headings, rows) or "None."


def _assigned(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}` = {_value(value)}" for key, value in settings.items())


def _value(value: Any) -> str:
    return _code(json.dumps(value))


def _code(text: str) -> str:
    return f"`{text}`".replace("|", r"\|")  # a bar ends a cell of a table even inside of code


def _prose(text: str) -> str:
    """Return docstring text as Markdown: text in backticks is code, the rest has no markup."""
    pieces = re.split(r"(`+)(.+?)\1", " ".join(text.split()))
    return "".join(
        # `escape` drops spaces at the ends, which belong to the sentence
        _code(piece) if index % 3 == 2 else escape(f"x{piece}x")[1:-1]
        for index, piece in enumerate(pieces)
        if index % 3 != 1
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return tabulate(rows, headers=headings, tablefmt="github", disable_numparse=True) if rows else ""


TOPIC: Final = Topic("methods", "Methods", parts, file="tables.md", folder="methods", files=files, order=140)
