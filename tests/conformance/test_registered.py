"""Every registered method keeps what every method promises; a new one is in here by itself."""

from __future__ import annotations

from functools import cache

import pytest

from bench import registry
from bench.conformance import CHECKS, Check, MethodUnderTest, examine


@cache
def _tested(name: str) -> MethodUnderTest:
    """One per method, so that its checks share their fits."""
    return MethodUnderTest(registry.method_class(name))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("name", registry.method_names())
def test_the_method(name: str, check: Check) -> None:
    outcome = examine(check, _tested(name))
    if outcome.status == "skipped":
        pytest.skip(outcome.reason)
    assert outcome.status == "passed", f"{outcome.reason}; hint: {check.hint}"


def test_no_plug_in_of_the_project_is_broken() -> None:
    assert not registry.registered().problems
