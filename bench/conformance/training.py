"""Promises of methods that train in epochs: a trace, a deadline, states that can be brought back."""

from __future__ import annotations

import time

from bench.conformance.fitting import basics, deterministic
from bench.conformance.outcomes import Broken, NotApplicable, promise
from bench.conformance.subject import PLAIN, Fitted, Subject, told
from bench.contract import Context, DeadlineExceeded


@promise("leaves a trace", "call context.trace.add(stage, epoch, ...) in every epoch", basics)
def trace(subject: Subject) -> None:
    """Selection, curves and the oracle column all come from the trace."""
    _needs_epochs(subject)
    rows = subject.fitted().context.trace.rows
    if not rows:
        raise Broken("the trace is empty after fit")
    if any(len(row) <= 2 for row in rows):
        raise Broken("a row of the trace names its epoch and nothing else")


@promise("stops at the deadline", "call context.check_deadline() in every epoch", basics)
def deadline(subject: Subject) -> None:
    """A cell whose time is over ends by itself, before it has to be killed."""
    _needs_epochs(subject)
    over = Context(device=subject.device, threads=1, deadline=time.monotonic() - 1.0)
    prepared = subject.prepare(PLAIN, over)
    try:
        prepared.method.fit(prepared.train, prepared.dataset.validation, over)
    except DeadlineExceeded:
        return
    except Exception as error:
        raise Broken(f"with its time over, fit raised {told(error, subject.cls)}") from error
    raise Broken("fit went on to its end although its time was over")


@promise(
    "brings back what a selection rule chose",
    "restore(rule) loads copied weights, not the live ones",
    deterministic,
)
def restoring(subject: Subject) -> None:
    """Every state listed by `checkpoints` comes back byte by byte, in any order."""
    fitted = subject.fit()
    rules = list(fitted.method.checkpoints())
    if not rules:
        raise NotApplicable("it lists no checkpoints: what fit leaves is what counts")
    first = {rule: _restored(fitted, rule) for rule in rules}
    again = {rule: _restored(fitted, rule) for rule in reversed(rules)}
    changed = [rule for rule in rules if first[rule] != again[rule]]
    if changed:
        raise Broken(f"restoring {', '.join(changed)} a second time gives other embeddings")
    try:
        fitted.method.restore("no such rule")
    except KeyError:
        return
    raise Broken("restore accepts a rule that is not in checkpoints(); it should raise KeyError")


def _restored(fitted: Fitted, rule: str) -> list[bytes]:
    try:
        fitted.method.restore(rule)
    except Exception as error:
        raise Broken(f"restore({rule!r}) raised {told(error, type(fitted.method))}") from error
    return [rows.tobytes() for rows in fitted.embeddings().values()]


def _needs_epochs(subject: Subject) -> None:
    if not subject.card.deep or subject.setting("epochs") is None:
        raise NotApplicable("it does not train in epochs")
