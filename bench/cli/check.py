"""``check``: the conformance suite on methods and conditions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Final

from bench import conformance, registry
from bench.cli.formatting import print_lines
from bench.cli.grid_options import parse_overrides
from bench.cli.options import ARGUMENT, Device, Settings, make_command
from bench.conditions import conditions
from bench.conformance import Outcome
from bench.conformance.conditions import condition_outcomes
from bench.experiment.selection import select_methods, split_words

_COLOURS: Final = {"passed": "green", "failed": "red", "skipped": "yellow"}


@make_command("check")
def command(names: Annotated[tuple[str, ...], ARGUMENT], device: Device = "cpu", set_: Settings = ()) -> int:
    """Run the conformance suite on NAMES: methods, groups such as `all`, globs, or conditions.

    Every promise is tested on tiny data. Exit status 0: all are kept; 1: one is broken; 2: wrong usage.

    Args:
        device: Device to fit on: cpu, cuda, cuda:1.
        set_: Change a setting of a method; * stands for every method. May be repeated.
    """
    overrides = parse_overrides(set_)
    words = split_words(names)
    named = [word for word in words if word in conditions()]
    broken = [_print(name, condition_outcomes(name)) for name in named]
    others = [word for word in words if word not in named]
    for name in select_methods(others) if others or not named else []:
        known = registry.method(name).defaults
        for_all = {key: value for key, value in overrides.get("*", {}).items() if key in known}
        settings = {**for_all, **overrides.get(name, {})}
        method = conformance.MethodUnderTest(registry.method_class(name), settings, device)
        broken.append(_print(name, conformance.outcomes(method)))
    return int(any(broken))


def _print(name: str, outcomes: Iterable[Outcome]) -> bool:
    """Print outcomes as they arrive; return whether a promise was broken."""
    start = time.perf_counter()
    print_lines(f"{name} ...")
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts[outcome.status] += 1
        print_lines(f"  {outcome.status:8} {outcome.check.name}", colour=_COLOURS[outcome.status])
        if outcome.reason:
            print_lines(*(f"           {line}" for line in outcome.reason.split("\n")))
        if outcome.status == "failed":
            print_lines(f"           hint: {outcome.check.hint}")
    total = ", ".join(f"{counts[status]} {status}" for status in _COLOURS)
    print_lines(f"{name}: {total} in {time.perf_counter() - start:.1f} s", "")
    return counts["failed"] > 0
