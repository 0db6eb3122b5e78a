"""The oracle trace of a cell: the test mAP after every epoch, of a second fit."""

from __future__ import annotations

import traceback
from dataclasses import replace

import msgspec

from bench import registry
from bench.contract import Method, RefusedEmbeddings, Trace
from bench.evaluation.protocols import usable_protocols
from bench.experiment.cell import CellRun
from bench.experiment.conditions import fit
from bench.experiment.failures import failure_of
from bench.experiment.isolation import generators_kept, isolated, opened_test
from bench.records.schema import Result, Selected


class OracleRun(CellRun):
    """The run of a cell that then fits again, to evaluate the test rows after every epoch.

    The result of the first fit is complete by then, so that nothing a method does with test rows can change
    it. If there is no oracle, the result states why.
    """

    def result(self) -> Result:
        """Return the result of the cell, with the rule ``oracle`` unless the method selects nothing."""
        result = super().result()
        if result.selection == "none" or any(item.rule == "oracle" for item in result.selected):
            return result
        before, self._seconds = self._seconds, {}
        with self._stage("oracle"):
            result = self._with_oracle(result, before["fit"])
        self._seconds = {**before, "oracle": self._seconds["oracle"]}
        return result

    def _with_oracle(self, result: Result, seconds: float) -> Result:
        """Return a result with the oracle's, or with the reason why it has none.

        The first fit took ``seconds``.
        """
        limit = self._context.seconds
        try:
            if limit is not None and self.seconds()["total"] + seconds > limit:
                raise RefusedEmbeddings("the time limit leaves no time for a second fit")
            with isolated(self._cell.identity, self._context):
                return self._second_fit(result)
        except Exception as error:
            print("no oracle trace:", traceback.format_exc(), sep="\n", file=self.log)
            refused = {**result.refused, "oracle": failure_of(error)[1].reason}
            return msgspec.structs.replace(result, refused=refused)

    def _second_fit(self, result: Result) -> Result:
        """Fit again, evaluate the test rows after every epoch, and return the result with the oracle's.

        Raises:
            RefusedEmbeddings: if it differs from the first fit, or its best state cannot be ranked.
        """
        identity, dataset = self._cell.identity, self._load()
        test, gallery = opened_test(dataset)

        def oracle(method: Method) -> float:
            with generators_kept():
                return self._evaluate(method, test, ["map@all"], gallery=gallery).mean()

        context = replace(self._method_context(), trace=Trace(), oracle=oracle)
        method = registry.instantiate(identity.method, identity.settings)
        fit(method, dataset, identity.condition, context)
        columns = [
            {name: row.pop(name) for name in ("oracle_map",) if name in row} for row in context.trace.rows
        ]
        if self._context.device == "cpu" and repr(context.trace.rows) != repr(self.trace.rows):
            raise RefusedEmbeddings("the method trains otherwise if it embeds test rows after each epoch")
        point = method.checkpoints().get("oracle")
        if point is None or all(value is None for column in columns for value in column.values()):
            raise RefusedEmbeddings("the test embeddings of no epoch can be ranked")
        method.restore("oracle")
        protocols, _ = usable_protocols(self._context.protocols, test, gallery)
        found = self._evaluate(method, test, protocols, gallery=gallery)
        for row, column in zip(self.trace.rows, columns, strict=False):
            row.update(column)
        counts = {"oracle": dict(found.zero_rows)} if found.zero_rows else {}
        return msgspec.structs.replace(
            result,
            selected=[*result.selected, Selected(**vars(point))],
            audit=f"{result.audit}; test rows of the oracle trace evaluated in a second fit",
            metrics=[*result.metrics, *self._metrics({"oracle": found}, test, gallery)],
            zero_rows={**result.zero_rows, **counts},
        )
