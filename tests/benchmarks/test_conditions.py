"""What a condition costs beside a quick cell: the promise is less than 2 %.

A round makes the dataset of a cell under a condition and opens its test rows. Its share is that of a whole
cell of MCCA, one of the fastest of the roster, in the same process.
"""

from __future__ import annotations

import statistics
from functools import cache
from typing import Any

import pytest

from bench import load_dataset
from bench.conditions import conditions, parse_conditions
from bench.contract import Dataset
from bench.experiment.conditions import under_condition
from bench.experiment.grid import Request, describe_data, plan
from bench.experiment.run_context import RunContext
from bench.experiment.running import run_cell

pytestmark = pytest.mark.slow

VARIANTS = [
    (name, f"{name}/{variant}" if variant else name)
    for name, cls in conditions().items()
    for variant in cls.card.variants or ("",)
]


@cache
def _dataset(name: str) -> Dataset:
    return load_dataset(name)


@cache
def _seconds_of_a_cell() -> float:
    """Return the median time of a quick cell on the emoji set, the first of which imports libraries."""
    source = {"emoji": describe_data("emoji", None, "quick", None)}
    (cell,) = plan(Request(["mcca"], ["emoji"]), source)
    runs = [run_cell(cell, RunContext()).record for _ in range(6)]
    return statistics.median(record.environment.seconds["total"] for record in runs[1:])


@pytest.mark.parametrize(("name", "word"), VARIANTS, ids=lambda value: value)
def test_the_share_of_a_quick_cell(benchmark: Any, name: str, word: str) -> None:
    data = _dataset("icons" if name == "label-noise-multi" else "emoji")
    applied = parse_conditions([word])[-1]  # the last usual level
    assert applied is not None
    identity = applied.id

    def made() -> None:
        assert len(under_condition(data, identity, 0)[0].test)

    benchmark.pedantic(made, rounds=15, warmup_rounds=2)
    if benchmark.stats is not None:  # none where benchmarks are disabled
        share = benchmark.stats.stats.median / _seconds_of_a_cell()
        benchmark.extra_info["share_of_a_quick_cell"] = round(share, 4)
        print(f"{identity}: {share:.2%} of a quick cell")
