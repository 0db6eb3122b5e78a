"""Every registered method keeps what every method promises; a new one is in here by itself."""

from __future__ import annotations

import pytest

from bench import registry
from bench.conformance import check_class


@pytest.mark.parametrize("name", registry.method_names())
def test_the_method_keeps_every_promise(name: str) -> None:
    outcomes = check_class(registry.method_class(name))
    broken = {one.check.name: (one.reason, one.check.hint) for one in outcomes if one.status == "failed"}
    assert broken == {}
    assert any(one.status == "passed" for one in outcomes)


def test_no_plug_in_of_the_project_is_broken() -> None:
    assert not registry.registered().problems
