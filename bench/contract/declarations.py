"""Declarations of a method's file: its card and its settings, each readable without running the file.

``card("mrl")`` names an entry of ``cards.yaml`` beside the file; ``card("mine", title="Mine")`` states the
fields in the file itself. ``setting(1e-4, "learning rate", "release")`` is a field of a settings class.
With literal arguments both can be read from the file's syntax tree.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from copy import copy
from dataclasses import field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from bench.contract.cards import MethodCard
from bench.contract.errors import PluginError

T = TypeVar("T")

CARDS = "cards.yaml"
REFERENCES = "references.bib"
_DEEPEST = 1_000  # levels of nested YAML


def setting(value: T, meaning: str, source: str = "") -> T:
    """Declare a field of a settings dataclass: its default, what it means and where the default is from.

    The words are kept in the field's ``metadata`` as ``meaning`` and ``source``.

    Args:
        value: the default; a mapping is copied for each instance.
        meaning: what the setting does, in a few words.
        source: ``release``, ``paper``, ``ours`` or a phrase; empty if there is none.
    """
    words = {"meaning": meaning, "source": source}
    if isinstance(value, (Mapping, list, set)):
        return cast("T", field(default_factory=lambda: copy(value), metadata=words))
    return field(default=value, metadata=words)


def card(name: str, **fields: Any) -> MethodCard:
    """Return the card of a method: the given fields, or else the entry ``name`` of ``cards.yaml``.

    The file is in the folder of the calling file. Call it in the body of the method's class.

    Args:
        name: registry name of the method.
        fields: of `MethodCard`; ``title`` defaults to the name.

    Raises:
        PluginError: if there is no such entry, or a field is unknown or of a wrong type.
    """
    caller = sys._getframe(1).f_globals.get("__file__")
    return card_of(name, fields, Path(caller).parent if caller else None)


def card_of(name: str, fields: Mapping[str, Any], folder: Path | None) -> MethodCard:
    """Return the card that ``card(name, **fields)`` declares in a file of ``folder``.

    Authors, year and venue that are not given come from the entry of ``references.bib`` in that folder
    that ``citation`` names.

    Raises:
        PluginError: if there is no such entry, or a field is unknown or of a wrong type.
    """
    import msgspec

    where = f"the card of {name}"
    if not fields:
        where = f"{folder and folder / CARDS}, {name}"
        entries = cards_beside(folder / CARDS) if folder else {}
        if name not in entries:
            raise PluginError(f"{where}: there is no such card; add it, or give card() its fields")
        fields = entries[name] or {}
    if not isinstance(fields, Mapping):
        raise PluginError(f"{where}: a card must be a mapping of fields")
    if unknown := sorted(map(str, set(fields) - set(MethodCard.__dataclass_fields__))):
        raise PluginError(f"{where}: there is no field {', '.join(unknown)}")
    cited = _cited(folder / REFERENCES, str(fields.get("citation", ""))) if folder else {}
    try:
        return msgspec.convert({"title": name, **cited, **fields, "name": name}, MethodCard)
    except msgspec.ValidationError as error:
        raise PluginError(f"{where}: {str(error).replace('`', '')}") from error


def cards_beside(file: Path) -> dict[str, Any]:
    """Return the entries of ``cards.yaml`` in the folder of a file, by name; none if there is no such file.

    Raises:
        PluginError: if it is not YAML, or no mapping.
    """
    path = file.parent / CARDS
    return _yaml(path, path.stat().st_mtime_ns) if path.is_file() else {}


@lru_cache(maxsize=8)
def _yaml(path: Path, _changed: int) -> dict[str, Any]:
    import yaml

    try:
        content = load_yaml(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or no such date
        raise PluginError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise PluginError(f"{path} must be a mapping of names to cards")
    return content


def load_yaml(text: str, loader: Any) -> Any:
    """Return the value of a YAML text; ``loader`` is a safe one, which executes nothing.

    Raises:
        yaml.YAMLError: if it is not YAML, or nested in more than `_DEEPEST` levels: the loader in C recurses.
    """
    import yaml

    if any(text.count(sign) > _DEEPEST for sign in ("[", "{", "- ", "-\t", "? ", ": ", ":\n")):
        depth = 0
        for event in yaml.parse(text, loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise yaml.YAMLError(f"it is nested more than {_DEEPEST} levels deep")
    return yaml.load(text, loader)  # noqa: S506 (a SafeLoader)


def _cited(path: Path, key: str) -> dict[str, Any]:
    """Return authors, year and venue of a BibTeX entry; nothing where there is none.

    The venue is ``shortjournal``, or an abbreviation in brackets at the end of where it appeared.
    """
    text = path.read_text(encoding="utf-8") if key and path.is_file() else ""
    entry = (
        re.search(rf"^@\w+\{{{re.escape(key)},\n(.*?)^\}}", text, re.DOTALL | re.MULTILINE) if text else None
    )
    if entry is None:
        return {}
    values = {
        part[1]: " ".join(part[2].split())
        for part in re.finditer(r"^ *(\w+) *= *\{(.*?)\},?$", entry[1], re.DOTALL | re.MULTILINE)
    }
    names = [person.partition(",")[0].strip("{} ") for person in values.get("author", "").split(" and ")]
    venue = values.get("journal") or values.get("booktitle") or values.get("howpublished", "")
    short = re.search(r"\(([^()]+)\)$", venue)
    return {
        "authors": ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:3])} et al.",
        "year": int(values.get("year", 0)),
        "venue": values.get("shortjournal") or (short[1] if short else venue),
    }
