"""The page and the files about significance: what differs, what holds, and what cannot be shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from bench.analysis import wording
from bench.analysis.across import Block
from bench.analysis.paired import Comparison, Family
from bench.analysis.practical import REGION
from bench.analysis.randomization import PERMUTATIONS
from bench.analysis.ranking import cliques
from bench.analysis.standing import Standing
from bench.reporting.text import data_heading, escape_markdown

_FULL = 2
"""Directions up to which a page shows every number; more are in the CSV."""


Standings = Sequence[tuple[Block, Standing | None]]


def statistics_page(families: Sequence[Family], standings: Standings) -> str:
    """Return the page as Markdown; ``standings`` are blocks with their tests, where these are possible."""
    tested = [family for family in families if family.comparisons or family.omitted]
    parts = [
        "# Statistical comparisons",
        "Every number is in [statistics/paired.csv](statistics/paired.csv), "
        "[statistics/ranks.csv](statistics/ranks.csv) and [statistics/nemenyi.csv](statistics/nemenyi.csv). "
        "Tests compare rows of one table only: never different data, profiles, protocols or selection rules.",
        "## Paired by query",
        f"Randomization test of the differences of average precision per query, {PERMUTATIONS:,} deals of "
        "signs, adjusted after Holm over the comparisons of one direction; effect: mean difference in "
        "standard deviations of the per-query differences; 95 % interval: two-level bootstrap over seeds "
        "and queries.",
        *(part for family in tested for part in _paired(family)),
    ]
    if not tested:
        parts.append("No record has a result to compare.")
    parts += [
        "## Over datasets",
        "Ranks of the mean mAP over directions and seeds on each dataset, 1 is best; P: Bayesian signed-rank "
        f"test, differences up to {REGION} mAP are equivalent in practice.",
    ]
    parts += [part for block, standing in standings for part in _across(block, standing)]
    if not standings:
        parts.append("No table has a number.")
    return "\n\n".join(parts) + "\n"


def _paired(family: Family) -> list[str]:
    field = family.field
    parts = [
        f"### {data_heading(field.data)} — {escape_markdown(field.protocol)}, selection {field.selection}",
        *_bullets([*wording.findings(family), *wording.limits_of_seeds(family.comparisons)]),
    ]
    if family.comparisons and len(field.directions) <= _FULL:
        parts.append(_paired_table(family.comparisons))
    parts += _bullets([f"Left out: {reason}." for reason in family.omitted])
    return parts


def _paired_table(comparisons: Sequence[Comparison]) -> str:
    rows = [
        [
            f"{one.direction[0]}→{one.direction[1]}",
            f"{one.first} - {one.second}",
            f"{one.difference:+.4f}",
            f"{one.interval.low:+.4f} to {one.interval.high:+.4f}",
            "—" if one.effect is None else f"{one.effect:+.2f}",
            f"{one.p:.4f}",
            f"{one.adjusted:.4f}",
            str(len(one.seeds)),
            str(one.queries),
        ]
        for one in comparisons
    ]
    headings = ["direction", "pair", "difference", "95 % interval", "effect", "p", "p (Holm)"]
    return _table(rows, [*headings, "seeds", "queries"])


def _across(block: Block, standing: Standing | None) -> list[str]:
    kind = "" if block.kind == "real" else " — LOOK-ALIKES, generated data, not the benchmarks"
    title = f"{block.profile} profile{kind} — {block.protocol}, selection {block.selection}"
    names = f"Datasets: {', '.join(block.datasets) or 'none'}."
    said = [names, *wording.limits_of_datasets(block, standing)]
    parts = [f"### {escape_markdown(title)}"]
    if standing is None:
        parts += _bullets(said)
    else:
        parts += _bullets([*said, *wording.ranking_findings(standing)])
        parts += [_rank_table(standing), *_cliques(standing)]
    return [*parts, *_bullets([f"Left out: {reason}." for reason in block.omitted])]


def _rank_table(standing: Standing) -> str:
    block = standing.block
    rows = []
    for place in np.argsort(standing.average_ranks, kind="stable"):
        method = block.methods[place]
        numbers = [f"{standing.average_ranks[place]:.2f}", f"{block.scores[place].mean():.3f}"]
        rows.append([method, *numbers, *_against(standing, method)])
    headings = ["Method", "average rank", "mean mAP"]
    if block.reference:
        headings += ["Wilcoxon p", "p (Holm)", "Nemenyi p"]
        headings += [f"P({block.reference} better)", "P(equivalent)", "P(worse)"]
    return _table(rows, headings)


def _against(standing: Standing, method: str) -> list[str]:
    one = standing.against.get(method)
    if one is None:
        return ["—"] * 6 if standing.against else []
    belief = one.belief
    numbers = (one.wilcoxon, one.adjusted, one.nemenyi, belief.better, belief.equivalent, belief.worse)
    return [f"{number:.3g}" for number in numbers]


def _cliques(standing: Standing) -> list[str]:
    groups = cliques(standing.average_ranks, standing.critical_difference)
    names = standing.block.methods
    return _bullets(
        [
            f"Not told apart by Nemenyi's test: {', '.join(names[place] for place in group)}."
            for group in groups
        ]
    )


def _table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> str:
    shown = [[escape_markdown(cell) for cell in row] for row in rows]
    names = [escape_markdown(heading) for heading in headings]
    return tabulate(shown, headers=names, tablefmt="github", disable_numparse=True)


def _bullets(sentences: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {escape_markdown(sentence)}" for sentence in sentences)] if sentences else []
