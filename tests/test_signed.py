"""Numbers with their signs: what rounds to zero has none."""

from __future__ import annotations

import pytest

from bench.analysis.tables import Spread
from bench.report.cells import number_cell, spread_cell
from bench.signed import signed


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (-0.0004, "+.3f", "0.000"),
        (0.0004, "+.3f", "0.000"),
        (-0.0, ".3f", "0.000"),
        (-0.0006, "+.3f", "-0.001"),
        (0.0006, "+.3f", "+0.001"),
        (-0.04, "+.1f", "0.0"),
        (-10.0, "+.1f", "-10.0"),
        (0.000061, "+.1e", "+6.1e-05"),
    ],
)
def test_a_number_that_rounds_to_zero_has_no_sign(value: float, form: str, text: str) -> None:
    assert signed(value, form) == text
    assert number_cell(value, form).text == text
    assert spread_cell(Spread(value, 0.0, 3), form).text == text
    assert number_cell(value, form).number == value
