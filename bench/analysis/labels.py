"""Labels: titles, order and roles of methods, usual settings, short names of modalities, code versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import msgspec

from bench import registry
from bench.contract import BenchError, MethodCard
from bench.records.schema import Identity, Record

_LAST = 10_000
"""Where methods stand of which no card is known: after all cards' positions."""


@dataclass(frozen=True)
class Labels:
    """What is known about methods and datasets besides their records.

    Attributes:
        title: what to print for a method's name.
        order: sort key of a method's name.
        role: role of a method.
        usual: settings that a cell of this kind would have today; None where that cannot be known. Only
            records without a snapshot of their method need it, see `usual_of`.
        modalities: modalities of a dataset in its order; empty where unknown.
        reference: name of the method that the others are compared with; empty where there is none.
        variants: what each variant of a method sets; empty for a method without any.
    """

    title: Callable[[str], str]
    order: Callable[[str], tuple[int, str]]
    role: Callable[[str], str]
    usual: Callable[[Identity], Mapping[str, Any] | None]
    modalities: Callable[[str], Sequence[str]]
    reference: str = ""
    variants: Callable[[str], Mapping[str, Mapping[str, Any]]] = lambda _: {}


def registry_labels(records: Iterable[Record] = ()) -> Labels:
    """Return names and order by the registered cards.

    Methods that are gone go by the card in the last of their ``records``; without any by their registry name.
    """
    found = registry.registered()
    cards = cards_of(records)
    modalities = {
        name: [modality.name for modality in dataset.card.modalities]
        for name, dataset in found.datasets.items()
    }
    return Labels(
        title=lambda method: cards[method].title if method in cards else method,
        order=lambda method: (cards[method].position if method in cards else _LAST, method),
        role=lambda method: cards[method].role if method in cards else "extra",
        usual=_usual(),
        modalities=lambda dataset: modalities.get(dataset, ()),
        reference=min(found.methods, key=lambda name: (cards[name].position, name), default=""),
        variants=lambda method: found.methods[method].variants if method in found.methods else {},
    )


def cards_of(records: Iterable[Record] = ()) -> dict[str, MethodCard]:
    """Return the card of every registered method, and of those that are gone the one in their last record."""
    cards = {name: method.card for name, method in registry.registered().methods.items()}
    gone = [one for one in records if one.method is not None and one.identity.method not in cards]
    for record in sorted(gone, key=made):
        card = None if record.method is None else _card(record.method.card)
        if card is not None:
            cards[record.identity.method] = card
    return cards


def made(record: Record) -> tuple[str, str]:
    """Return the key that sorts records by when they were made."""
    return record.environment.started, record.digest


def usual_of(record: Record, labels: Labels) -> Mapping[str, Any] | None:
    """Return the settings that were usual when a record was made; of layout 1 those that are usual today."""
    return labels.usual(record.identity) if record.method is None else record.method.usual


def is_as_usual(record: Record, labels: Labels) -> bool | None:
    """Return whether a cell had the settings that its method, or its variant, usually had at that time.

    None where that cannot be known, as of layout 1 for a method that is gone.
    """
    usual = usual_of(record, labels)
    if usual is None:
        return None
    settings = record.identity.settings
    # A snapshot may state what was usual for the method itself: what the variant sets is no other choice.
    origins = {} if record.method is None else record.method.origins
    keys = settings.keys() | usual.keys()
    return all(
        origins.get(key) == "variant" or (key in settings and key in usual and settings[key] == usual[key])
        for key in keys
    )


def _card(fields: Mapping[str, Any]) -> MethodCard | None:
    """Return a card from a record; None where it is of a form that this program does not know."""
    try:
        return msgspec.convert(dict(fields), MethodCard)
    except msgspec.ValidationError:
        return None


def _usual() -> Callable[[Identity], Mapping[str, Any] | None]:
    """Return what gives the usual settings of a cell; every table asks again, so each answer is kept."""

    @cache
    def resolved(
        method: str, profile: str, dataset: str, kind: Literal["real", "look-alike"], variant: str
    ) -> dict[str, Any] | None:
        try:
            return registry.resolve_settings(
                registry.method(method), profile=profile, dataset=dataset, kind=kind, variant=variant
            )
        except BenchError:  # the method or the variant is gone: nothing to compare with
            return None

    return lambda who: resolved(who.method, who.profile, who.dataset, who.data_kind, who.variant)


def abbreviations(modalities: Sequence[str]) -> dict[str, str]:
    """Return a short name for each modality: its first characters in capitals, as many as are needed.

    It has at least one letter and is unlike any other's; names that cannot be told apart so stay as they are.
    """
    short = {name: _short(name, [other for other in modalities if other != name]) for name in modalities}
    return short if len(set(short.values())) == len(short) else {name: name for name in modalities}


def _short(name: str, others: Sequence[str]) -> str:
    for length in range(1, len(name)):
        start = name[:length].upper()
        has_letter = any(character.isalpha() for character in start)
        if has_letter and not any(other.upper().startswith(start) for other in others):
            return start
    return name.upper()


_PART: Final = re.compile(r"\s*(\S+) (?:(\d{1,7})(?:\+(\S+))?|(\S+))\s*")

EARLIER: Final = "earlier code"
"""Of records from before versions were recorded."""


class Version(NamedTuple):
    """Version of one part of the code.

    Attributes:
        number: as it was confirmed; 0 where only a digest names it.
        digest: of code that was edited since, or that has no number; empty otherwise.
    """

    number: int
    digest: str

    def __str__(self) -> str:
        """Return the version as records state it."""
        return "+".join(part for part in (str(self.number or ""), self.digest) if part)


def version_parts(versions: str) -> dict[str, Version] | None:
    """Return the version of each part; None where the text is empty or has another form."""
    found = [_PART.fullmatch(part) for part in versions.split(",")]
    if not all(found):
        return None
    return {part[1]: Version(int(part[2] or 0), part[3] or part[4] or "") for part in found if part}


def newest_first(versions: str) -> tuple[bool, tuple[int, ...], str]:
    """Return a key that sorts newer versions before older ones, and records without any last."""
    parts = version_parts(versions) or {}
    return not versions, tuple(-parts[name].number for name in sorted(parts)), versions


def version_difference(versions: str, other: str) -> str:
    """Return in what ``versions`` differ from ``other``, such as ``earlier code: evaluation 1``."""
    if not versions:
        return EARLIER
    one, another = version_parts(versions), version_parts(other)
    if one is None or another is None:
        return f"code: {versions}"
    unlike = {name: version for name, version in one.items() if another.get(name) != version}
    numbers = [(version.number, another.get(name, version).number) for name, version in unlike.items()]
    earlier = bool(numbers) and all(number < newer for number, newer in numbers)
    words = ", ".join(f"{name} {version}" for name, version in unlike.items())
    return f"{EARLIER if earlier else 'code'}: {words or versions}"


def short_versions(versions: str) -> str:
    """Return versions in short_versions, as ``1.2.1``; the text itself where it has another form."""
    parts = version_parts(versions)
    return versions if parts is None else ".".join(map(str, parts.values()))
