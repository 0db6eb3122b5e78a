"""Which of a method's variants are for which data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bench.registry.catalogue import registered


def concerns(changes: Mapping[str, Any], modalities: Collection[str]) -> bool:
    """Return whether a variant is for data of these modalities: it sets nothing to another modality's name.

    Args:
        changes: what the variant sets.
        modalities: of the data; what other modalities there are, the registered datasets tell.
    """
    known = {
        modality.name for dataset in registered().datasets.values() for modality in dataset.card.modalities
    }
    named = {value for value in changes.values() if isinstance(value, str)}
    return named & known <= set(modalities)
