"""Runs the conformance suite: tests every promise of a method."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from bench import registry
from bench.conformance import changed_rows, fitting, outputs
from bench.conformance.method_under_test import (
    Broken,
    Check,
    MethodUnderTest,
    NotApplicable,
    Outcome,
    in_a_line,
)
from bench.contract import Method

_CHECKS = (
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


def checks() -> list[Check]:
    """Return all promises, in the order in which they are examined."""
    return list(_CHECKS)


def examine(check: Check, method: MethodUnderTest) -> Outcome:
    """Examine one promise; what rests on a broken one waits for it, so that the cause stands alone."""
    if check in method.known:
        return method.known[check]
    outcome = Outcome(check, "passed")
    if check.after is not None and examine(check.after, method).status != "passed":
        outcome = Outcome(check, "skipped", f"waits until the method {check.after.name}")
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check.function(method)
        except Broken as error:
            outcome = Outcome(check, "failed", str(error))
        except NotApplicable as error:
            outcome = Outcome(check, "skipped", str(error))
        except Exception as error:
            outcome = Outcome(check, "failed", f"unexpectedly raised {in_a_line(error, method.cls)}")
    method.known[check] = outcome
    return outcome


def registered(name: str, settings: Mapping[str, Any] | None = None, device: str = "cpu") -> MethodUnderTest:
    """Return the registered method ``name``, to be tested.

    Raises:
        UsageError: if the name or a setting is unknown.
    """
    return MethodUnderTest(registry.method_class(name), settings, device)


def check_method(
    name: str, *, settings: Mapping[str, Any] | None = None, device: str = "cpu"
) -> list[Outcome]:
    """Examine every promise on the registered method ``name``.

    Args:
        name: registry name.
        settings: by name; they win over the small ones that keep the suite fast.
        device: torch name of the device.

    Raises:
        UsageError: if the name or a setting is unknown.
    """
    return list(outcomes(registered(name, settings, device)))


def check_class(
    cls: type[Method], *, settings: Mapping[str, Any] | None = None, device: str = "cpu"
) -> list[Outcome]:
    """Examine every promise on a class, registered or not: for the tests of a plug-in of one's own."""
    return list(outcomes(MethodUnderTest(cls, settings, device)))


def outcomes(method: MethodUnderTest) -> Iterator[Outcome]:
    """Yield the outcome of every promise as it becomes known."""
    for check in checks():
        yield examine(check, method)
