"""Evaluation of a fitted method's checkpoints, each state once even if several rules chose it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.contract import Checkpoint, Method, RefusedEmbeddings, Split
from bench.evaluation import Evaluation, evaluate
from bench.experiment.snapshot import MEASURES
from bench.records.schema import Metric

PerQuery = dict[tuple[str, str, str, str], Any]
"""(selection, protocol, query, gallery) -> average precisions ``(n_queries,)``."""


class Evaluated(NamedTuple):
    """All numbers of a cell.

    Attributes:
        metrics: of every rule whose state can be ranked, by direction and protocol.
        per_query: average precisions behind them.
        shown: the evaluation of the state whose numbers the tables print, with `MEASURES`.
        zero_rows: test rows whose embedding is zero, by rule and modality; without those that have none.
        refused: why a state could not be ranked, by the rule that chose it.
    """

    metrics: list[Metric]
    per_query: PerQuery
    shown: Evaluation
    zero_rows: dict[str, dict[str, int]]
    refused: dict[str, str]


def evaluate_checkpoints(
    method: Method, test: Split, checkpoints: Mapping[str, Checkpoint], shown: str, threads: int
) -> Evaluated:
    """Evaluate a fitted method.

    A state that cannot be ranked costs the rules that chose it their numbers, and no other rule.

    Args:
        method: fitted.
        test: opened after the selection was written down.
        checkpoints: states that can be restored, by selection rule; none in closed form.
        shown: the rule whose numbers the tables print.
        threads: CPU threads for ranking.

    Raises:
        RefusedEmbeddings: if the state of the shown rule cannot be ranked.
    """
    states = {rule: str(point.epoch) for rule, point in checkpoints.items()} or {shown: ""}
    evaluations: dict[str, Evaluation] = {}
    problems: dict[str, str] = {}
    for rule, state in states.items():
        if state in evaluations or state in problems:
            continue
        if checkpoints:
            method.restore(rule)
        measures = MEASURES if state == states[shown] else {}
        try:
            evaluations[state] = evaluate(method, test, measures=measures, threads=threads)
        except RefusedEmbeddings as error:
            if state == states[shown]:
                raise
            problems[state] = str(error)
    ranked = {rule: evaluations[state] for rule, state in states.items() if state in evaluations}
    by_key = {
        (rule, protocol, direction.query, direction.gallery): direction
        for rule, evaluation in ranked.items()
        for direction in evaluation.directions
        for protocol in direction.ap
    }
    return Evaluated(
        metrics=[
            Metric(
                query=query,
                gallery=gallery,
                protocol=protocol,
                selection=rule,
                value=direction.map(protocol),
                queries=len(test[query]),
                items=len(test[gallery]),
            )
            for (rule, protocol, query, gallery), direction in by_key.items()
        ],
        per_query={key: direction.ap[key[1]] for key, direction in by_key.items()},
        shown=ranked[shown],
        zero_rows={rule: dict(state.zero_rows) for rule, state in ranked.items() if state.zero_rows},
        refused={rule: problems[state] for rule, state in states.items() if state in problems},
    )
