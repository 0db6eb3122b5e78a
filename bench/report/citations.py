"""BibTeX entries of what records rest on, from ``methods/references.bib``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bench import registry
from bench.analysis.labels import cards_of
from bench.contract import DatasetCard, MethodCard
from bench.records.schema import Record

_ENTRY = re.compile(r"^@\w+\{\s*(?P<key>[^,\s]+)\s*,.*?^\}", re.DOTALL | re.MULTILINE)


def bibliography() -> dict[str, str]:
    """Return all entries of the project's references by key, as they stand in the file."""
    path = registry.folder_of("methods") / "references.bib"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return {entry["key"]: entry[0] for entry in _ENTRY.finditer(text)}


def citations(records: Sequence[Record]) -> str:
    """Return the entries of the methods and datasets of ``records``, for a ``.bib`` file.

    Methods come first, in the order of the tables, then datasets by name; an entry stands once. A
    comment names what has no known reference, such as a method that is gone or a user's own data.
    """
    methods = {record.identity.method for record in records}
    datasets = {record.identity.dataset for record in records}
    found = registry.registered()
    known = cards_of(records)
    order = [*registry.method_names(), *sorted(methods - found.methods.keys())]
    cards: list[tuple[str, MethodCard | DatasetCard | None]] = [
        (name, known.get(name)) for name in order if name in methods
    ]
    cards += [
        (name, found.datasets[name].card if name in found.datasets else None) for name in sorted(datasets)
    ]
    return _joined((name, card.citation if card else "") for name, card in cards)


def _joined(keys: Iterable[tuple[str, str]]) -> str:
    known, written = bibliography(), dict[str, str]()
    for name, key in keys:
        entry = known.get(key)
        written.setdefault(key if entry else name, entry or f"% {' '.join(name.split())}: no reference known")
    return "".join(f"{text}\n\n" for text in written.values()).rstrip("\n") + ("\n" if written else "")
