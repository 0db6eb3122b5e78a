"""Records of one method under many settings and variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.analysis.labels import Labels
from bench.records import Record
from tests.analysis.making import IT, TI, Shelf, with_result

USUAL: dict[str, Any] = {"alpha": 0.1, "beta": 1.0, "mix": 0.5, "prior": "selected"}
VARIANTS: dict[str, dict[str, Any]] = {
    "without_both": {"alpha": 0.0, "beta": 0.0},
    "without_alpha": {"alpha": 0.0},
    "random": {"prior": "random"},
    **{f"prior_{name}": {"prior": name} for name in ("image", "text", "audio")},
}
LABELS = Labels(
    title=str.upper,
    order=lambda method: (0, method),
    role=lambda _: "proposed",
    usual=lambda cell: {**USUAL, **VARIANTS.get(cell.variant, {})},
    modalities=lambda _: (),
    variants=lambda method: VARIANTS if method == "ours" else {},
)


def add(
    shelf: Shelf,
    value: float = 0.5,
    variant: str = "full",
    seed: int = 0,
    notes: Mapping[str, Any] | None = None,
    spread: float = 0.01,
    **more: Any,
) -> Record:
    """Add a record whose mAP is ``value``; ``more`` are settings, or fields of the identity."""
    fields = {key: more.pop(key) for key in [*more] if key not in USUAL}
    fields = {"method": "ours", "settings": {**USUAL, **VARIANTS.get(variant, {}), **more}, **fields}
    queries = [value - spread, value, value + spread]
    record = shelf.add({IT: queries, TI: queries}, variant=variant, seed=seed, **fields)
    if notes is not None:
        shelf.records[-1] = with_result(record, notes=dict(notes))
    return shelf.records[-1]
