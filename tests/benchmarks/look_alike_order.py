"""The order of methods on look-alikes beside the order in print, as ``docs/look-alikes.md`` has it.

``python -m tests.benchmarks.look_alike_order RESULTS...`` prints the page's table from the records of a run.
With several folders, such as of several draws, values are means over them.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import pandas as pd
from scipy.stats import kendalltau

from bench.analysis.ledger import read_published
from bench.analysis.results import results
from bench.analysis.tables import AVERAGE
from bench.registry import registered

DATASETS = ("wikipedia", "inria_websearch")
SOURCES = ("FUME CVPR2025 Table1", "DRCL repo")

Means = Mapping[str, float]


def printed(dataset: str) -> dict[str, float]:
    """Return the mean of both directions' MAP@all by method, from one table in print and from DRCL's log."""
    published = read_published()
    values: dict[str, list[float]] = defaultdict(list)
    for value in published.values:
        meaning = published.meaning(value)
        here = meaning.dataset == dataset and meaning.direction not in (None, AVERAGE)
        if here and meaning.method and meaning.protocol == "map@all" and value.source.startswith(SOURCES):
            values[meaning.method].append(value.value)
    return {method: fmean(both) for method, both in values.items()}


def recorded(roots: Sequence[Path], dataset: str) -> dict[str, float]:
    """Return the mean of map@all over directions, seeds and results folders by method, of a look-alike."""
    frame = pd.concat(
        results(root, datasets=dataset, kinds="look-alike", protocols="map@all") for root in roots
    )
    means = frame.groupby("method")["value"].mean().dropna()
    return {str(method): float(mean) for method, mean in means.items()}


def kendall(first: Means, second: Means) -> float:
    """Return Kendall's tau over the methods that both have."""
    common = sorted(first.keys() & second.keys())
    return float(kendalltau([first[name] for name in common], [second[name] for name in common]).statistic)


def table(found: Mapping[str, Means]) -> str:
    """Return a Markdown table per dataset: all methods, best first, and their value in print."""
    methods = registered().methods
    lines = []
    for dataset, means in found.items():
        paper = printed(dataset)
        lines += [f"{dataset}: tau = {kendall(means, paper):.2f}", ""]
        lines += ["| method | look-alike | in print |", "|---|---|---|"]
        for method in sorted(means, key=means.__getitem__, reverse=True):
            value = f"{paper[method]:.3f}" if method in paper else ""
            lines.append(f"| {methods[method].card.title} | {means[method]:.3f} | {value} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table({dataset: recorded([*map(Path, sys.argv[1:])], dataset) for dataset in DATASETS}))
