"""Runs the promises over a method."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from bench import registry
from bench.conformance import fitting, outputs
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
    outputs.plain_notes,
    outputs.multi_label,
    outputs.five_modalities,
)


def checks() -> list[Check]:
    """Return all promises, in the order in which they are examined."""
    return list(_CHECKS)


def examine(check: Check, method: MethodUnderTest) -> Outcome:
    """Examine one promise; what rests on a broken one waits for it, so that the cause stands alone."""
    if check not in method.known:
        method.known[check] = _waiting(check, method) or _outcome(check, method)
    return method.known[check]


def _waiting(check: Check, method: MethodUnderTest) -> Outcome | None:
    if check.after is None or examine(check.after, method).status == "passed":
        return None
    return Outcome(check, "skipped", f"waits until the method {check.after.name}")


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


def _outcome(check: Check, method: MethodUnderTest) -> Outcome:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check.function(method)
    except Broken as error:
        return Outcome(check, "failed", str(error))
    except NotApplicable as error:
        return Outcome(check, "skipped", str(error))
    except Exception as error:
        return Outcome(check, "failed", f"unexpectedly raised {in_a_line(error, method.cls)}")
    return Outcome(check, "passed")
