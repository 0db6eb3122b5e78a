"""``check``: the conformance suite on methods."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Final

from bench import conformance, registry
from bench.cli.formatting import say
from bench.cli.grid_options import parse_overrides
from bench.cli.options import ARGUMENT, Device, PluginOption, Settings, make_command
from bench.experiment.selection import select_methods

_COLOURS: Final = {"passed": "green", "failed": "red", "skipped": "yellow"}


@make_command("check")
def command(
    names: Annotated[tuple[str, ...], ARGUMENT],
    plugins: PluginOption,
    device: Device = "cpu",
    set_: Settings = (),
) -> int:
    """Run the conformance suite on the methods NAMES: names, groups such as `all`, or globs.

    Every promise is tried on tiny data. Exit status 0: all kept; 1: one was broken; 2: wrong usage.

    Args:
        names: names, groups, globs.
        device: Where to fit: cpu, cuda, cuda:1.
        set_: Change a setting; * for every method.
        plugins: files with plug-ins.
    """
    plugins.load()
    overrides = parse_overrides(set_)
    chosen = select_methods(names)
    broken = 0
    for name in chosen:
        known = registry.method(name).defaults
        for_all = {key: value for key, value in overrides.get("*", {}).items() if key in known}
        broken += _check(name, device, {**for_all, **overrides.get(name, {})})
    return int(broken > 0)


def _check(name: str, device: str, settings: Mapping[str, Any]) -> int:
    """Print a method's outcomes as they become known; return how many promises it broke."""
    start = time.perf_counter()
    say(f"{name} ...")
    counts: Counter[str] = Counter()
    for outcome in conformance.outcomes(conformance.registered(name, settings, device)):
        counts[outcome.status] += 1
        say(f"  {outcome.status:8} {outcome.check.name}", colour=_COLOURS[outcome.status])
        if outcome.reason:
            say(*(f"           {line}" for line in outcome.reason.split("\n")))
        if outcome.status == "failed":
            say(f"           hint: {outcome.check.hint}")
    total = ", ".join(f"{counts[status]} {status}" for status in _COLOURS)
    say(f"{name}: {total} in {time.perf_counter() - start:.1f} s", "")
    return counts["failed"]
