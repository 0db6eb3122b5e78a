"""The conformance suite: what every method promises, examined on tiny data in about a second.

``python -m bench check NAME`` prints it; the project's own tests run it on every registered method; a
plug-in's tests can call `check_class`.
"""

from bench.conformance.method_under_test import Check, MethodUnderTest, Outcome
from bench.conformance.suite import CHECKS, check_class, examine, outcomes
