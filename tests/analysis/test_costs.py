"""Costs are summed per method and never over profiles; a curve is the mean over a method's cells."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bench.analysis.convergence import Curve, curves_of
from bench.analysis.costs import costs_of, shares_of
from bench.analysis.labels import registry_labels
from bench.analysis.results import Results
from bench.records import Record
from bench.report import ReportData
from bench.report.topics import costs, training
from tests.analysis.making import close
from tests.records import making
from tests.report.making import page_of

LABELS = replace(registry_labels(), usual=lambda identity: identity.settings)


def timed(method: str, seed: int, fit: float, memory: int | None, profile: str = "quick") -> Record:
    record = making.record(seed, method=method, profile=profile, dataset="pets")
    seconds = {"load": 0.5, "fit": fit, "evaluate": 0.25, "total": fit + 0.75}
    environment = msgspec.structs.replace(record.environment, seconds=seconds, peak_memory=memory)
    return msgspec.structs.replace(record, environment=environment)


RECORDS = [
    timed("sdml", 0, 1.0, 3 << 20),
    timed("sdml", 1, 3.0, 5 << 20),
    timed("mcca", 0, 0.25, None),
    timed("mcca", 0, 99.0, None, profile="paper"),
    making.record(5, "failed", method="mcca", dataset="pets"),
]


def test_a_methods_share_is_of_its_profiles_time() -> None:
    shares = shares_of(Results(RECORDS, LABELS))
    quick, paper = (
        [(line.label, line.cells, line.seconds, line.share) for line in shares[profile, "cpu", ""]]
        for profile in ("quick", "paper")
    )
    assert quick == [("SDML", 2, 5.5, close(5.5 / 6.5)), ("MCCA", 1, 1.0, close(1 / 6.5))]
    assert paper == [("MCCA", 1, 99.75, 1.0)]


def test_a_row_has_the_median_time_and_the_largest_memory() -> None:
    tables = costs_of(Results(RECORDS, LABELS))
    ((mcca, sdml),) = [lines for data, lines in tables.items() if data.profile == "quick"]
    assert (sdml.fit, sdml.evaluate, sdml.total, sdml.peaks[0]) == (2.0, 0.25, 5.5, 5 << 20)
    assert (mcca.cells, mcca.peaks) == (1, (None, None))


def test_the_page_of_costs_has_shares_and_a_table_per_data() -> None:
    page = page_of(costs.parts(ReportData(RECORDS, LABELS)))
    assert re.search("^## .*paper", page, re.MULTILINE)
    assert "84.6%" in page
    assert page.count("## pets") == 2


CELLS = [
    making.record(seed, method=name) for name, seed in (("sdml", 0), ("sdml", 1), ("mcca", 0), ("man", 0))
]
FAILED = making.record(1, "failed", method="man")
RISING = [0.2, 0.4, 0.6, 0.7, 0.72, 0.71, 0.73, 0.75]


def trace(digest: str) -> list[dict[str, Any]]:
    series: list[list[float]] = [RISING, [value - 0.1 for value in RISING], [], [0.3, 0.31, 0.305, 0.3]]
    values = dict(zip([cell.digest for cell in CELLS], series, strict=True))[digest]
    before = [{"stage": "spl", "epoch": 1, "validation_map": None}]
    return before + [{"stage": "fit", "validation_map": value} for value in values]


def test_a_curve_is_the_mean_over_cells_with_the_gain_of_its_last_quarter() -> None:
    ((man, sdml),) = curves_of(Results([*CELLS, FAILED], LABELS), trace).values()  # MCCA has no curve
    assert (man.label, man.cells, sdml.label, sdml.cells) == ("MAN", 1, "SDML", 2)
    assert sdml.values == pytest.approx([value - 0.05 for value in RISING])
    assert [sdml.best_within(share) for share in (0.25, 0.5, 0.75)] == pytest.approx([0.35, 0.65, 0.67])
    assert (sdml.late_gain, sdml.flat) == (close(0.03), False)
    assert (man.late_gain, man.flat) == (0, True)
    assert Curve("one", "One", 1, (0.5,)).late_gain == 0


def test_the_page_of_curves_marks_those_that_still_rise() -> None:
    page = page_of(training.convergence(ReportData([*CELLS, FAILED], LABELS, trace=trace)))
    assert "| +0.030" in page
    assert "still rising" in page
