"""Runs the conformance suite: tests every promise of a method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bench.conformance import changed_rows, fitting, outputs
from bench.conformance.method_under_test import Check, MethodUnderTest, Outcome
from bench.contract import Method

CHECKS: Final = (
    outputs.complete_card,
    outputs.valid_variants,
    fitting.basics,
    outputs.single_row,
    outputs.row_by_row,
    outputs.not_collapsed,
    outputs.similarities,
    outputs.pair_by_pair,
    fitting.deterministic,
    fitting.float_types,
    fitting.sealed,
    fitting.no_change,
    fitting.unequal,
    changed_rows.partial_pairs,
    changed_rows.pairs_unused,
    changed_rows.unlabelled_rows,
    changed_rows.late_modality,
    fitting.missing_from_batch,
    fitting.missing_from_validation,
    fitting.large_batch,
    fitting.one_row_batch,
    fitting.wide,
    fitting.constant_columns,
    fitting.indifferent_to_scale,
    fitting.trace,
    fitting.deadline,
    fitting.restoring,
    fitting.storing,
    outputs.plain_notes,
    outputs.multi_label,
    outputs.five_modalities,
)
"""All promises, in the order in which they are examined."""


def examine(check: Check, method: MethodUnderTest) -> Outcome:
    """Examine one promise; skip it if a promise that it needs is broken."""
    if check not in method.known:
        if check.after is not None and examine(check.after, method).status != "passed":
            outcome = Outcome(check, "skipped", f"waits until the method {check.after.name}")
        else:
            outcome = check.of(lambda: method, method.cls)
        method.known[check] = outcome
    return method.known[check]


def check_class(
    cls: type[Method], *, settings: Mapping[str, Any] | None = None, device: str = "cpu"
) -> list[Outcome]:
    """Examine every promise on a class, registered or not: for the tests of a plug-in."""
    return list(outcomes(MethodUnderTest(cls, settings, device)))


def outcomes(method: MethodUnderTest) -> Iterator[Outcome]:
    """Yield the outcome of every promise as it becomes known."""
    return (examine(check, method) for check in CHECKS)
