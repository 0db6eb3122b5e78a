"""The conformance suite: what every method promises, examined on tiny data in about a second.

``python -m bench check NAME`` prints it; the project's own tests run it on every registered method; a
plug-in's tests can call `check_class`.
"""

from bench.conformance.outcomes import Check, Outcome
from bench.conformance.subject import Subject, subject
from bench.conformance.suite import check_class, check_method, checks, examine, outcomes

__all__ = [
    "Check",
    "Outcome",
    "Subject",
    "check_class",
    "check_method",
    "checks",
    "examine",
    "outcomes",
    "subject",
]
