"""What methods note about a choice among modalities: what they went by, and what they chose."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.analysis.excerpts import Spread, spread_of
from bench.records.schema import Record


def quality_of(records: Sequence[Record]) -> dict[str, Spread]:
    """Return the note ``quality`` by modality; whatever is no number by modality is no such note."""
    values: dict[str, list[float]] = defaultdict(list)
    for record in records:
        noted = _note(record, "quality")
        for modality in record.identity.modalities if isinstance(noted, Mapping) else ():
            value = noted.get(modality)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                values[modality].append(float(value))
    spreads = {modality: spread_of(numbers) for modality, numbers in values.items()}
    return {modality: spread for modality, spread in spreads.items() if spread is not None}


def chosen_of(records: Sequence[Record], keys: Iterable[str]) -> dict[str, int]:
    """Return how often each modality was chosen, by the notes called as the settings that fix the choice."""
    notes = [(_note(record, key), record.identity.modalities) for key in sorted(keys) for record in records]
    return dict(sorted(Counter(note for note, modalities in notes if note in modalities).items()))


def _note(record: Record, key: str) -> Any:
    return None if record.result is None else record.result.notes.get(key)
