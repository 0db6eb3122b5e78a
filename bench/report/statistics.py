"""The page and the files about significance: what differs, what holds, and what cannot be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from tabulate import tabulate

from bench.analysis import findings
from bench.analysis.across_datasets import Block, DatasetTests
from bench.analysis.comparisons import Comparison, Family
from bench.analysis.per_query import PerQueryTable
from bench.analysis.statistics import PERMUTATIONS, REGION, cliques
from bench.analysis.tables import AVERAGE, Direction, direction_name
from bench.report.text import data_name, escape_markdown, made_by

_FULL = 2
"""Directions up to which a page shows every number; of more it shows averages, and the CSV has all."""


Standings = Sequence[tuple[Block, DatasetTests | None]]

PAIRED_NOTE: Final = (
    f"Randomization test of the differences of average precision per query, {PERMUTATIONS:,} deals of "
    "signs, adjusted after Holm over the comparisons of one direction, or of the average; effect: mean "
    "difference in standard deviations of the per-query differences; 95 % interval: two-level bootstrap over "
    "seeds and queries. Average: a test row's differences in all directions that it is a query of change "
    "sign, and are resampled, together."
)
ACROSS_NOTE: Final = (
    "Ranks of the mean mAP over directions and seeds on each dataset, 1 is best; P: Bayesian signed-rank "
    f"test, differences up to {REGION} mAP are equivalent in practice."
)


class Finding(NamedTuple):
    """One line of a passage's table.

    Attributes:
        cells: plain text, one per heading.
        numbers: of the cells, in full; None where a cell is words, or has no number.
        labels: of the rows of mAP tables that it is about.
        direction: query and gallery; None for the average.
    """

    cells: tuple[str, ...]
    numbers: tuple[float | None, ...]
    labels: tuple[str, ...]
    direction: Direction | None = None


@dataclass(frozen=True)
class Passage:
    """What tests say of one table, or of one block of datasets; all plain text.

    Attributes:
        about: the field or block that was tested.
        title: what it is about.
        sentences: what was found and what it cannot show.
        headings: of the table; empty where there is none.
        findings: its lines.
        closing: what else there is to say after it.
    """

    about: PerQueryTable | Block
    title: str
    sentences: tuple[str, ...]
    headings: tuple[str, ...]
    findings: tuple[Finding, ...]
    closing: tuple[str, ...]


def statistics_page(families: Sequence[Family], standings: Standings) -> str:
    """Return the page as Markdown; ``standings`` are blocks with their tests, where these are possible."""
    paired, across = paired_passages(families), across_passages(standings)
    parts = [
        "# Statistical comparisons",
        "Every number is in [statistics/paired.csv](statistics/paired.csv), "
        "[statistics/ranks.csv](statistics/ranks.csv) and [statistics/nemenyi.csv](statistics/nemenyi.csv). "
        "Tests compare rows of one table only: never different data, profiles, protocols or selection rules.",
        "## Paired by query",
        PAIRED_NOTE,
        *(part for passage in paired for part in _markdown(passage)),
    ]
    if not paired:
        parts.append("No record has a result to compare.")
    parts += ["## Over datasets", ACROSS_NOTE]
    parts += [part for passage in across for part in _markdown(passage)]
    if not across:
        parts.append("No table has a number.")
    return "\n\n".join(parts) + "\n"


def paired_passages(families: Sequence[Family]) -> list[Passage]:
    """Return what the tests over queries say, for every table that has rows to compare."""
    return [_paired(family) for family in families if family.comparisons or family.omitted]


def across_passages(standings: Standings) -> list[Passage]:
    """Return what the tests over datasets say."""
    return [_across(block, standing) for block, standing in standings]


def _paired(family: Family) -> Passage:
    field = family.table
    few = len(field.directions) <= _FULL
    shown = [one for one in family.comparisons if few or one.direction == AVERAGE]
    headings = ("direction", "pair", "difference", "95 % interval", "effect", "p", "p (Holm)")
    return Passage(
        about=field,
        title=f"{data_name(field.data)} — {field.protocol}, selection {field.selection}",
        sentences=(*findings.findings(family), *findings.limits_of_seeds(family.comparisons)),
        headings=(*headings, "seeds", "queries") if shown else (),
        findings=tuple(_compared(one) for one in shown),
        closing=_left_out(family.omitted),
    )


def _compared(one: Comparison) -> Finding:
    cells = (
        direction_name(one.direction),
        f"{one.first} - {one.second}",
        f"{one.difference:+.4f}",
        f"{one.interval.low:+.4f} to {one.interval.high:+.4f}",
        "—" if one.effect is None else f"{one.effect:+.2f}",
        f"{one.p:.4f}",
        f"{one.adjusted:.4f}",
        str(len(one.seeds)),
        str(one.queries),
    )
    numbers = (None, None, one.difference, None, one.effect, one.p, one.adjusted, len(one.seeds), one.queries)
    return Finding(cells, numbers, (one.first, one.second), one.direction)


def _across(block: Block, standing: DatasetTests | None) -> Passage:
    kind = "" if block.kind == "real" else " — LOOK-ALIKES, generated data, not the benchmarks"
    names = f"Datasets: {', '.join(block.datasets) or 'none'}."
    tested = () if standing is None else findings.ranking_findings(standing)
    return Passage(
        about=block,
        title=(
            f"{block.profile} profile{kind} — {block.protocol}, selection {block.selection}, "
            f"{made_by(block.about.device, block.about.harness)}"
        ),
        sentences=(names, *findings.limits_of_datasets(block, standing), *tested),
        headings=() if standing is None else _rank_headings(block),
        findings=() if standing is None else _ranked(standing),
        closing=(*(() if standing is None else _cliques(standing)), *_left_out(block.omitted)),
    )


def _rank_headings(block: Block) -> tuple[str, ...]:
    headings = ("Method", "average rank", "mean mAP")
    if not block.reference:
        return headings
    beliefs = (f"P({block.reference} better)", "P(equivalent)", "P(worse)")
    return (*headings, "Wilcoxon p", "p (Holm)", "Nemenyi p", *beliefs)


def _ranked(standing: DatasetTests) -> tuple[Finding, ...]:
    block = standing.block
    findings = []
    for place in np.argsort(standing.average_ranks, kind="stable"):
        method = block.methods[place]
        own = float(standing.average_ranks[place]), float(block.scores[place].mean())
        against = _against(standing, method)
        words = ["—" if number is None else f"{number:.3g}" for number in against]
        cells = (method, f"{own[0]:.2f}", f"{own[1]:.3f}", *words)
        findings.append(Finding(cells, (None, *own, *against), (method,)))
    return tuple(findings)


def _against(standing: DatasetTests, method: str) -> tuple[float | None, ...]:
    one = standing.against.get(method)
    if one is None:
        return (None,) * 6 if standing.against else ()
    belief = one.rope
    return one.wilcoxon, one.adjusted, one.nemenyi, belief.better, belief.equivalent, belief.worse


def _cliques(standing: DatasetTests) -> tuple[str, ...]:
    groups = cliques(standing.average_ranks, standing.critical_difference)
    names = standing.block.methods
    return tuple(
        f"Not told apart by Nemenyi's test: {', '.join(names[place] for place in group)}." for group in groups
    )


def _left_out(reasons: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"Left out: {reason}." for reason in reasons)


def _markdown(passage: Passage) -> list[str]:
    parts = [f"### {escape_markdown(passage.title)}", *_bullets(passage.sentences)]
    if passage.headings:
        parts.append(_table(passage))
    return parts + _bullets(passage.closing)


def _table(passage: Passage) -> str:
    shown = [[escape_markdown(cell) for cell in finding.cells] for finding in passage.findings]
    names = [escape_markdown(heading) for heading in passage.headings]
    return tabulate(shown, headers=names, tablefmt="github", disable_numparse=True)


def _bullets(sentences: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {escape_markdown(sentence)}" for sentence in sentences)] if sentences else []
