"""What a check is and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bench.conformance.subject import Subject

Status = Literal["passed", "failed", "skipped"]


class Broken(Exception):
    """A promise was not kept; the message says what was seen instead."""


class NotApplicable(Exception):
    """A promise that this method does not make; the message is the reason."""


@dataclass(frozen=True)
class Check:
    """One promise that every method makes.

    Attributes:
        name: the promise in words, completing "the method ...".
        hint: what to look at when it is broken.
        function: raises `Broken` or `NotApplicable`; returns where the promise is kept.
        after: a promise without which this one says nothing; None for none.
    """

    name: str
    hint: str
    function: Callable[[Subject], None]
    after: Check | None = None


@dataclass(frozen=True)
class Outcome:
    """How a check ended.

    Attributes:
        check: the promise.
        status: ``passed``, ``failed`` or ``skipped``.
        reason: why it failed or does not apply; empty where it passed.
    """

    check: Check
    status: Status
    reason: str = ""


def promise(name: str, hint: str, after: Check | None = None) -> Callable[[Callable[[Subject], None]], Check]:
    """Make a check of a function, as a decorator."""

    def decorate(function: Callable[[Subject], None]) -> Check:
        return Check(name, hint, function, after)

    return decorate
