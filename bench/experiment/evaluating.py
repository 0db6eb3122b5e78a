"""Every selected state of a fitted method is evaluated, each once even if several rules chose it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.contract import Checkpoint, Method, Split
from bench.evaluation import Evaluation, evaluate
from bench.experiment.viewing import MEASURES
from bench.records.schema import Metric

PerQuery = dict[tuple[str, str, str, str], Any]
"""(selection, protocol, query, gallery) -> average precisions ``(n_queries,)``."""


class Evaluated(NamedTuple):
    """All numbers of a cell.

    Attributes:
        metrics: of every rule, direction and protocol.
        per_query: average precisions behind them.
        shown: the evaluation of the state whose numbers the tables print, with `MEASURES`.
    """

    metrics: list[Metric]
    per_query: PerQuery
    shown: Evaluation


def evaluate_states(
    method: Method, test: Split, checkpoints: Mapping[str, Checkpoint], shown: str, threads: int
) -> Evaluated:
    """Evaluate a fitted method.

    Args:
        method: fitted.
        test: opened after the selection was written down.
        checkpoints: states that can be restored, by selection rule; none in closed form.
        shown: the rule whose numbers the tables print.
        threads: CPU threads for ranking.
    """
    states = {rule: str(point.epoch) for rule, point in checkpoints.items()} or {shown: ""}
    known: dict[str, Evaluation] = {}
    metrics: list[Metric] = []
    per_query: PerQuery = {}
    for rule, state in states.items():
        if state not in known:
            if checkpoints:
                method.restore(rule)
            measures = MEASURES if state == states[shown] else {}
            known[state] = evaluate(method, test, measures=measures, threads=threads)
        for direction in known[state].directions:
            for protocol, ap in direction.ap.items():
                per_query[rule, protocol, direction.query, direction.gallery] = ap
                metrics.append(
                    Metric(
                        query=direction.query,
                        gallery=direction.gallery,
                        protocol=protocol,
                        selection=rule,
                        value=direction.map(protocol),
                        queries=len(test[direction.query]),
                        items=len(test[direction.gallery]),
                    )
                )
    return Evaluated(metrics, per_query, known[states[shown]])
