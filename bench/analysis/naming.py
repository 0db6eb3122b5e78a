"""How records' methods are named: titles from the registry, with whatever sets a record apart."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench import registry
from bench.analysis.tables import Naming
from bench.contract import BenchError, MethodCard
from bench.records.schema import Record


def registry_naming() -> Naming:
    """Return names and order by the registered cards; methods that are gone keep their registry name."""
    found = registry.registered()

    def card(method: str) -> MethodCard | None:
        return found.methods[method].card if method in found.methods else None

    def order(method: str) -> tuple[int, str]:
        known = card(method)
        return (10_000 if known is None else known.position, method)

    def role(method: str) -> str:
        known = card(method)
        return "extra" if known is None else known.role

    def modalities(dataset: str) -> Sequence[str]:
        if dataset not in found.datasets:
            return ()
        return [modality.name for modality in found.datasets[dataset].card.modalities]

    return Naming(_label, order, role, modalities)


def _label(record: Record) -> str:
    identity = record.identity
    found = registry.registered().methods.get(identity.method)
    title = identity.method if found is None else found.card.title
    differences = _differences(record)
    if identity.threads != 1:
        differences.append(f"threads={identity.threads}")
    variant = "" if identity.variant == "full" else f" {identity.variant}"
    return f"{title}{variant}" + (f" [{', '.join(differences)}]" if differences else "")


def _differences(record: Record) -> list[str]:
    """Return settings that are not what this method would be run with today."""
    identity = record.identity
    try:
        usual = registry.resolve_settings(
            registry.method(identity.method),
            profile=identity.profile,
            dataset=identity.dataset,
            variant=identity.variant,
        )
    except BenchError:  # the method or the variant is gone: nothing to compare with
        return []
    keys = sorted(usual.keys() | identity.settings.keys())
    return [
        f"{key}={json.dumps(identity.settings.get(key))}"
        for key in keys
        if usual.get(key) != identity.settings.get(key)
    ]
