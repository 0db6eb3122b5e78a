"""Every selected state of a fitted method is evaluated, each once even if several rules chose it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    known: dict[str, Evaluation | str] = {}  # or why it cannot be ranked
    for rule, state in states.items():
        if state not in known:
            if checkpoints:
                method.restore(rule)
            measures = MEASURES if state == states[shown] else {}
            try:
                known[state] = evaluate(method, test, measures=measures, threads=threads)
            except RefusedEmbeddings as error:
                if state == states[shown]:
                    raise
                known[state] = str(error)
    outcomes = {rule: known[state] for rule, state in states.items()}
    ranked = {rule: one for rule, one in outcomes.items() if isinstance(one, Evaluation)}
    return Evaluated(
        metrics=[metric for rule, one in ranked.items() for metric in _metrics(rule, one, test)],
        per_query={
            (rule, protocol, direction.query, direction.gallery): ap
            for rule, one in ranked.items()
            for direction in one.directions
            for protocol, ap in direction.ap.items()
        },
        shown=ranked[shown],
        zero_rows={rule: dict(one.zero_rows) for rule, one in ranked.items() if one.zero_rows},
        refused={rule: reason for rule, reason in outcomes.items() if isinstance(reason, str)},
    )


def _metrics(rule: str, evaluation: Evaluation, test: Split) -> Iterator[Metric]:
    for direction in evaluation.directions:
        for protocol in direction.ap:
            yield Metric(
                query=direction.query,
                gallery=direction.gallery,
                protocol=protocol,
                selection=rule,
                value=direction.map(protocol),
                queries=len(test[direction.query]),
                items=len(test[direction.gallery]),
            )
