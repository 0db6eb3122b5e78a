"""Whether a curve is flat is told by the mean over a method's cells."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis.convergence import Curve, curves_of
from bench.analysis.labels import registry_labels
from bench.analysis.results import Results
from bench.report import ReportData
from bench.report.topics import training
from tests.records import making
from tests.report.making import page_of

LABELS = replace(registry_labels(), usual=lambda identity: identity.settings)
RECORDS = [
    making.record(0, method="sdml"),
    making.record(1, method="sdml"),
    making.record(0, method="mcca"),
    making.record(0, method="man"),
    making.record(1, "failed", method="man"),
]


def _trace(digest: str) -> list[dict[str, Any]]:
    rising = [0.2, 0.4, 0.6, 0.7, 0.72, 0.71, 0.73, 0.75]
    traces = {
        RECORDS[0].digest: rising,
        RECORDS[1].digest: [value - 0.1 for value in rising],
        RECORDS[2].digest: [],
        RECORDS[3].digest: [0.3, 0.31, 0.305, 0.3],
    }
    before = [{"stage": "spl", "epoch": 1, "validation_map": None}]
    return before + [{"stage": "fit", "validation_map": value} for value in traces[digest]]


def test_a_curve_is_the_mean_over_cells_and_says_what_the_last_quarter_added() -> None:
    ((_, curves),) = curves_of(Results(RECORDS, LABELS), _trace).items()
    man, sdml = curves  # the roster's order; MCCA has no curve, and no failed cell takes part
    assert (man.label, man.cells, sdml.label, sdml.cells) == ("MAN", 1, "SDML", 2)
    assert sdml.values == pytest.approx([0.15, 0.35, 0.55, 0.65, 0.67, 0.66, 0.68, 0.70])
    assert [sdml.best_within(share) for share in (0.25, 0.5, 0.75)] == pytest.approx([0.35, 0.65, 0.67])
    assert sdml.late_gain == pytest.approx(0.03)
    assert not sdml.flat
    assert man.late_gain == 0
    assert man.flat


def test_a_single_epoch_is_a_curve_that_gains_nothing() -> None:
    assert Curve("one", "One", 1, (0.5,)).late_gain == 0


def test_the_page_tells_flat_curves_from_rising_ones() -> None:
    page = page_of(training.convergence(ReportData(RECORDS, LABELS, trace=_trace)))
    assert "| +0.030 |" in re.sub(" +", " ", page)
    assert "still rising" in page
    assert "## emoji — quick profile, data ffffffff" in page
