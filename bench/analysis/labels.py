"""Labels: titles, order and roles of methods, usual settings, short names of modalities, code versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec

from bench import registry
from bench.contract import BenchError, DataKind, MethodCard
from bench.records.schema import Identity, Record

_LAST = 10_000  # position of methods without a known card: after those of all cards


@dataclass(frozen=True)
class Labels:
    """Facts about methods and datasets that records do not hold."""

    title: Callable[[str], str]  # what to print for a method's name
    order: Callable[[str], tuple[int, str]]  # sort key of a method's name
    role: Callable[[str], str]  # role of a method
    # settings that a cell of this kind would have today; None where that cannot be known. Only records
    # without a snapshot of their method need it, see `usual_of`.
    usual: Callable[[Identity], Mapping[str, Any] | None]
    modalities: Callable[[str], Sequence[str]]  # modalities of a dataset in its order; empty where unknown
    reference: str = ""  # name of the method that the others are compared with; empty where there is none
    variants: Callable[[str], Mapping[str, Mapping[str, Any]]] = lambda _: {}  # settings by variant
    code: Callable[[str], str] = lambda _: ""  # present versions of a method's code; empty if it is gone


def registry_labels(records: Iterable[Record] = ()) -> Labels:
    """Return names and order by the registered cards.

    Methods that are gone have the card in the last of their ``records``, or else their registry name.
    """
    found, cards = registry.registered(), cards_of(records)
    modalities = {name: [each.name for each in data.card.modalities] for name, data in found.datasets.items()}

    versions = cache(registry.Versions)

    @cache  # called for every table
    def usual(method: str, profile: str, dataset: str, kind: DataKind, variant: str) -> dict[str, Any] | None:
        try:
            description = registry.method(method)
            return registry.resolve_settings(
                description, profile=profile, dataset=dataset, kind=kind, variant=variant
            )
        except BenchError:  # the method or the variant is gone: nothing to compare with
            return None

    return Labels(
        title=lambda method: cards[method].title if method in cards else method,
        order=lambda method: (cards[method].position if method in cards else _LAST, method),
        role=lambda method: cards[method].role if method in cards else "extra",
        usual=lambda cell: usual(cell.method, cell.profile, cell.dataset, cell.data_kind, cell.variant),
        modalities=lambda dataset: modalities.get(dataset, ()),
        reference=min(found.methods, key=lambda name: (cards[name].position, name), default=""),
        variants=lambda method: found.methods[method].variants if method in found.methods else {},
        code=cache(lambda method: versions().code(method)),
    )


def cards_of(records: Iterable[Record] = ()) -> dict[str, MethodCard]:
    """Return the card of every registered method, and of those that are gone the one in their last record."""
    registered = {name: method.card for name, method in registry.registered().methods.items()}
    cards = dict(registered)
    for record in sorted(records, key=made):
        name = record.identity.method
        if record.method is not None and name not in registered:
            with suppress(msgspec.ValidationError):  # of a form that this program does not know
                cards[name] = msgspec.convert(dict(record.method.card), MethodCard)
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
    # A snapshot may state what was usual for the method itself: what the variant sets is no other choice.
    origins = {} if record.method is None else record.method.origins
    changed = changed_settings(record.identity.settings, usual)
    return all(origins.get(name) == "variant" for name in changed)


def changed_settings(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the usual, by name; None for those that are lacking."""
    return {
        name: settings.get(name)
        for name in sorted(settings.keys() | usual.keys())
        if name not in settings or name not in usual or settings[name] != usual[name]
    }


def abbreviations(modalities: Sequence[str]) -> dict[str, str]:
    """Return a short name for each modality: its first characters in capitals, as many as are needed.

    It has at least one letter and differs from all others; names without such a one stay as they are.
    """
    short = {}
    for name in modalities:
        rivals = [rival.upper() for rival in modalities if rival != name]
        starts = (name[:length].upper() for length in range(1, len(name)))
        short[name] = next(
            (
                start
                for start in starts
                if any(map(str.isalpha, start)) and not any(rival.startswith(start) for rival in rivals)
            ),
            name.upper(),
        )
    return short if len(set(short.values())) == len(short) else {name: name for name in modalities}


_PART: Final = re.compile(r"\s*(\S+) (?:(\d{1,7})(?:\+(\S+))?|(\S+))\s*")

EARLIER: Final = "earlier code"
"""Of records from before versions were recorded."""


def _version_parts(versions: str) -> dict[str, tuple[int, str]]:
    """Return number (0 where there is none) and text of the version of each part; empty for another form."""
    parts = [_PART.fullmatch(part) for part in versions.split(",")]
    if not all(parts):
        return {}
    words = {part[1]: (int(part[2] or 0), part[3] or part[4] or "") for part in parts if part}
    return {
        name: (number, "+".join(filter(None, (str(number or ""), digest))))
        for name, (number, digest) in words.items()
    }


def newest_first(versions: str) -> tuple[bool, tuple[int, ...], str]:
    """Return a key that sorts newer versions before older ones, and records without any last."""
    parts = sorted(_version_parts(versions).items())
    return not versions, tuple(-number for _, (number, _) in parts), versions


def version_difference(versions: str, other: str) -> str:
    """Return in what ``versions`` differ from ``other``, such as ``earlier code: evaluation 1``."""
    if not versions:
        return EARLIER
    parts, others = _version_parts(versions), _version_parts(other)
    if not parts or not others:
        return f"code: {versions}"
    unlike = {name: part for name, part in parts.items() if others.get(name) != part}
    earlier = bool(unlike) and all(part[0] < others.get(name, part)[0] for name, part in unlike.items())
    words = ", ".join(f"{name} {text}" for name, (_, text) in unlike.items())
    return f"{EARLIER if earlier else 'code'}: {words or versions}"


def short_versions(versions: str) -> str:
    """Return versions without the names of parts, as ``1.2.1``; the text itself where it has another form."""
    return ".".join(text for _, text in _version_parts(versions).values()) or versions
