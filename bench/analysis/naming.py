"""How records' rows are named: titles from the registry, with whatever sets a row apart from the usual."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from bench import registry
from bench.contract import BenchError
from bench.records.schema import Identity

Kin = tuple[str, str, int, int, str]
"""What the records of one row share: method, variant, threads, modalities at once, settings as JSON."""

_LAST = 10_000
"""Where methods stand that are not registered any more: after all cards' positions."""


@dataclass(frozen=True)
class Naming:
    """What is known about methods and datasets besides their records.

    Attributes:
        title: what to print for a method's name.
        order: sort key of a method's name.
        role: role of a method.
        usual: settings that a cell of this kind would have today; None where that cannot be known.
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


def registry_naming() -> Naming:
    """Return names and order by the registered cards; methods that are gone keep their registry name."""
    found = registry.registered()
    cards = {name: method.card for name, method in found.methods.items()}
    modalities = {
        name: [modality.name for modality in dataset.card.modalities]
        for name, dataset in found.datasets.items()
    }
    return Naming(
        title=lambda method: cards[method].title if method in cards else method,
        order=lambda method: (cards[method].position if method in cards else _LAST, method),
        role=lambda method: cards[method].role if method in cards else "extra",
        usual=_usual(),
        modalities=lambda dataset: modalities.get(dataset, ()),
        reference=min(cards, key=lambda method: (cards[method].position, method), default=""),
        variants=lambda method: found.methods[method].variants if method in found.methods else {},
    )


def is_usual(label: str, method: str, naming: Naming) -> bool:
    """Return whether a row's label names a method as it is usually set: no variant, no other settings."""
    title = naming.title(method)
    return label in (title, f"{title} ({method})")


def kin_of(identity: Identity) -> Kin:
    """Return what two records must share to stand in one row; their seeds and modality pairs may differ."""
    settings = json.dumps(identity.settings, sort_keys=True)
    return (identity.method, identity.variant, identity.threads, len(identity.modalities), settings)


def labels_of(members: Mapping[Kin, Identity], naming: Naming) -> dict[Kin, str]:
    """Return a label of its own for every row: title, variant, and what differs from the usual settings.

    Args:
        members: one record's identity per row of a table.
        naming: titles and usual settings.
    """
    labels = {kin: _label(identity, list(members.values()), naming) for kin, identity in members.items()}
    counts = Counter(labels.values())
    methods = {label: {kin[0] for kin in labels if labels[kin] == label} for label in counts}
    for kin, label in labels.items():
        if len(methods[label]) > 1:
            labels[kin] = f"{label} ({kin[0]})"
        elif counts[label] > 1:
            labels[kin] = f"{label} #{hashlib.sha256(repr(kin).encode()).hexdigest()[:6]}"
    return labels


def _label(identity: Identity, members: Sequence[Identity], naming: Naming) -> str:
    kin = [other for other in members if _same_variant(other, identity)]
    usual = naming.usual(identity)
    peers = [other.settings for other in kin] if usual is None else [usual]
    differences = [
        f"{key}={json.dumps(identity.settings.get(key))}"
        for key in sorted({key for settings in (identity.settings, *peers) for key in settings})
        if any(settings.get(key) != identity.settings.get(key) for settings in peers)
    ]
    if identity.threads != 1:
        differences.append(f"threads={identity.threads}")
    if len({len(other.modalities) for other in kin}) > 1:
        differences.append(f"{len(identity.modalities)} modalities at once")
    variant = "" if identity.variant == "full" else f" {identity.variant}"
    return f"{naming.title(identity.method)}{variant}" + (
        f" [{', '.join(differences)}]" if differences else ""
    )


def _same_variant(one: Identity, other: Identity) -> bool:
    return (one.method, one.variant) == (other.method, other.variant)


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
