"""The oracle trace of a cell: the test mAP after every epoch, of a second fit."""

from __future__ import annotations

import copy
import traceback
from dataclasses import replace
from typing import NamedTuple

import msgspec

from bench import registry
from bench.conditions import condition_of
from bench.contract import Context, Method, RefusedEmbeddings, Split, Trace
from bench.contract.context import Value
from bench.evaluation import Evaluation
from bench.evaluation.protocols import usable_protocols
from bench.experiment.cell import CellRun
from bench.experiment.conditions import LATE, fit
from bench.experiment.failures import failure_of
from bench.experiment.isolation import isolated, opened_test, restored_generators
from bench.records.schema import Result, Selected

_COLUMN = "oracle_map"


class _Second(NamedTuple):
    """Outcome of a second fit.

    Attributes:
        chosen: what the oracle chose.
        evaluation: of this state.
        columns: the oracle's column of the trace, by row.
        test: test split and separate gallery.
    """

    chosen: Selected
    evaluation: Evaluation
    columns: list[dict[str, Value]]
    test: tuple[Split, Split | None]


class OracleRun(CellRun):
    """The run of a cell that then fits again, to evaluate the test rows after every epoch.

    The result of the first fit is complete by then, so that nothing a method does with test rows can change
    it. If the method has no oracle, the result states why; if time or memory lacks, it has none, and the log
    states why.
    """

    def result(self) -> Result:
        """Return the result of the cell, with the rule ``oracle`` unless the method selects nothing."""
        result = super().result()
        if result.selection == "none" or any(item.rule == "oracle" for item in result.selected):
            return result
        before, self._seconds = self._seconds, {}
        with self._stage("oracle"):
            result = self._with_oracle(result, before)
        self._seconds = {**before, "oracle": self._seconds["oracle"]}
        return result

    def _with_oracle(self, result: Result, before: dict[str, float]) -> Result:
        """Return a result with the oracle's; ``before`` are the seconds of the first fit's parts."""
        applied, limit = condition_of(self._cell.identity.condition), self._context.seconds
        try:
            if applied is not None and applied.name == LATE:
                raise RefusedEmbeddings("before a method is extended, it cannot embed a late modality")
            needed = before["fit"] + len(self.trace.rows) * before["evaluate"]
            if limit is not None and self.seconds()["total"] + needed > limit:
                print("no oracle trace: the time limit leaves no time for a second fit", file=self.log)
                return result
            first, self.trace = self.trace, copy.deepcopy(self.trace)
            with isolated(self._cell.identity, self._context):
                second = self._second_fit(first, before["evaluate"])
        except (Exception, SystemExit) as error:
            print("no oracle trace:", traceback.format_exc(), sep="\n", file=self.log)
            failure = (
                error if isinstance(error, Exception) else RuntimeError("the second fit ended the program")
            )
            status, reason = failure_of(failure)[0], failure_of(failure)[1].reason
            if status in ("timeout", "out-of-memory", "disk-full"):
                return result
            return msgspec.structs.replace(result, refused={**result.refused, "oracle": reason})
        for row, column in zip(self.trace.rows, second.columns, strict=True):
            row.update(column)
        zero_rows = second.evaluation.zero_rows
        return msgspec.structs.replace(
            result,
            selected=[*result.selected, second.chosen],
            audit=f"{result.audit}; test rows of the oracle trace evaluated in a second fit",
            metrics=[*result.metrics, *self._metrics({"oracle": second.evaluation}, *second.test)],
            zero_rows={**result.zero_rows, **({"oracle": dict(zero_rows)} if zero_rows else {})},
        )

    def _second_fit(self, first: Trace, spare: float) -> _Second:
        """Fit again, and evaluate the test rows after every epoch.

        ``first`` is the trace of the first fit; ``spare`` are the seconds to leave for the last evaluation.

        Raises:
            RefusedEmbeddings: if this fit differs from the first, or has no state that can be ranked.
        """
        identity, dataset = self._cell.identity, self._load()
        test, gallery = opened_test(dataset)
        calls = [0]

        def oracle(method: Method) -> float:
            context.check_deadline()
            calls[0] += 1
            with restored_generators():
                return self._evaluate(method, test, ["map@all"], gallery=gallery).mean()

        context: Context = replace(self._method_context(), trace=Trace(), oracle=oracle)
        if context.deadline is not None:
            context = replace(context, deadline=context.deadline - spare)
        method = registry.instantiate(identity.method, identity.settings)
        fit(method, dataset, identity.condition, context)
        rows = context.trace.rows
        columns = [{_COLUMN: row.pop(_COLUMN)} if _COLUMN in row else {} for row in rows]
        if not calls[0]:
            raise RefusedEmbeddings("the method's training does not evaluate an oracle")
        _require_equal(first.rows, rows, exactly=self._context.device == "cpu")
        point = method.checkpoints().get("oracle")
        values = [value for column in columns for value in column.values()]
        if point is None or (values and all(value is None for value in values)):
            raise RefusedEmbeddings("the test embeddings of no epoch can be ranked")
        method.restore("oracle")
        context.check_deadline()
        protocols, _ = usable_protocols(self._context.protocols, test, gallery)
        found = self._evaluate(method, test, protocols, gallery=gallery)
        return _Second(Selected(**vars(point)), found, columns, (test, gallery))


def _require_equal(first: list[dict[str, Value]], second: list[dict[str, Value]], *, exactly: bool) -> None:
    """Refuse a second fit that is not the first again; on a GPU only if its number of epochs differs."""
    differing = {"the number of epochs"} if len(first) != len(second) else set()
    for one, other in zip(first, second, strict=False) if exactly else ():
        differing |= {
            name for name in one.keys() | other.keys() if repr(one.get(name)) != repr(other.get(name))
        }
    if differing:
        raise RefusedEmbeddings(
            f"the second fit differs from the first in {min(differing)}: the method's training is not "
            "repeatable, or depends on rows that are embedded"
        )
