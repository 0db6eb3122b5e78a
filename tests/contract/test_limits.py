"""A card's limits become a reason before any work is done."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bench.conformance.samples import WIDTHS, Sample
from bench.contract import MethodCard, unsuitable

ABLE = MethodCard("x", "Able", "A", 2025, "V", "F", pairs="unused", any_modalities=True, multi_label=True)
FIVE = Sample(modalities=tuple(WIDTHS), rows=(8,) * 5)


@pytest.mark.parametrize(
    ("change", "sample", "reason"),
    [
        ({}, Sample(modalities=("image",), rows=(8,)), "at least two modalities, and there is only image"),
        ({"any_modalities": False}, FIVE, r"exactly two modalities, not 5 \(image, text, audio"),
        ({"multi_label": False}, Sample(multi_label=True), "one class per sample"),
        ({"pairs": "needed"}, Sample(rows=(8, 9), pairing="none"), "pair them with class_matched first"),
    ],
)
def test_a_limit_that_is_met_is_a_sentence(change: dict[str, object], sample: Sample, reason: str) -> None:
    limited = replace(ABLE, **change)  # type: ignore[arg-type]
    told = unsuitable(limited, sample.dataset().train)
    assert told is not None
    assert told.startswith("Able ")
    assert re.search(reason, told)


@pytest.mark.parametrize("pairs", ["labels", "unused"])
def test_a_method_without_limits_takes_everything(pairs: str) -> None:
    card = replace(ABLE, pairs=pairs)  # type: ignore[arg-type]
    for sample in (Sample(), FIVE, Sample(multi_label=True), Sample(rows=(8, 9), pairing="none")):
        assert unsuitable(card, sample.dataset().train) is None


def test_class_matched_rows_count_as_pairs() -> None:
    card = replace(ABLE, pairs="needed", any_modalities=False, multi_label=False)
    assert unsuitable(card, Sample(pairing="class-matched").dataset().train) is None
