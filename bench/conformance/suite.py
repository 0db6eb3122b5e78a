"""Runs the promises over a method."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from bench.conformance import declaring, embedding, fitting, scale, training
from bench.conformance.outcomes import Broken, Check, NotApplicable, Outcome
from bench.conformance.subject import Subject, subject, told
from bench.contract import Method

_CHECKS = (
    declaring.complete_card,
    declaring.valid_variants,
    fitting.basics,
    embedding.single_row,
    embedding.row_by_row,
    embedding.not_collapsed,
    embedding.similarities,
    embedding.pair_by_pair,
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
    scale.indifferent_to_scale,
    training.trace,
    training.deadline,
    training.restoring,
    declaring.plain_notes,
    declaring.multi_label,
    declaring.five_modalities,
)


def checks() -> list[Check]:
    """Return all promises, in the order in which they are examined."""
    return list(_CHECKS)


def examine(check: Check, method: Subject) -> Outcome:
    """Examine one promise; what rests on a broken one waits for it, so that the cause stands alone."""
    if check not in method.known:
        method.known[check] = _waiting(check, method) or _outcome(check, method)
    return method.known[check]


def _waiting(check: Check, method: Subject) -> Outcome | None:
    if check.after is None or examine(check.after, method).status == "passed":
        return None
    return Outcome(check, "skipped", f"waits until the method {check.after.name}")


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
    return list(outcomes(subject(name, settings, device)))


def check_class(
    cls: type[Method], *, settings: Mapping[str, Any] | None = None, device: str = "cpu"
) -> list[Outcome]:
    """Examine every promise on a class, registered or not: for the tests of a plug-in of one's own."""
    return list(outcomes(Subject(cls, settings, device)))


def outcomes(method: Subject) -> Iterator[Outcome]:
    """Yield the outcome of every promise as it becomes known."""
    for check in checks():
        yield examine(check, method)


def _outcome(check: Check, method: Subject) -> Outcome:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check.function(method)
    except Broken as error:
        return Outcome(check, "failed", str(error))
    except NotApplicable as error:
        return Outcome(check, "skipped", str(error))
    except Exception as error:
        return Outcome(check, "failed", f"unexpectedly raised {told(error, method.cls)}")
    return Outcome(check, "passed")
