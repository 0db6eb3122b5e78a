"""The page about time and memory."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from bench.analysis.costs import Cost, costs_of, shares_of
from bench.analysis.results import Results
from bench.report.text import data_heading, escape_markdown, made_by


def costs_page(results: Results) -> str:
    """Return a Markdown page: every method's share of each profile's time, then a table per dataset."""
    parts = [
        "# Time and memory",
        "Wall-clock seconds in the worker, of whatever ran beside it; peak memory is the worker's largest "
        "resident size, libraries included.",
    ]
    for (profile, device, harness), shares in shares_of(results).items():
        body = [
            [escape_markdown(line.label), str(line.cells), f"{line.seconds:.1f}", f"{100 * line.share:.1f} %"]
            for line in shares
        ]
        parts += [
            f"## Share of time, {profile} profile, {made_by(device, harness)}",
            _table(body, ("Method", "cells", "seconds", "share")),
        ]
    for data, costs in costs_of(results).items():
        headings = ("Method", "cells", "fit s", "evaluate s", "all s", "peak MiB", "GPU peak MiB")
        parts += [f"## {data_heading(data)}", _table([_row(cost) for cost in costs], headings)]
    return "\n\n".join(parts) + "\n"


def _row(cost: Cost) -> list[str]:
    return [
        escape_markdown(cost.label),
        str(cost.cells),
        f"{cost.fit:.2f}",
        f"{cost.evaluate:.2f}",
        f"{cost.total:.1f}",
        _mebibytes(cost.memory),
        _mebibytes(cost.device_memory),
    ]


def _mebibytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:.0f}"


def _table(body: list[list[str]], headings: Sequence[str]) -> str:
    align = ["left", *["right"] * (len(headings) - 1)]
    return tabulate(body, headers=headings, tablefmt="github", disable_numparse=True, colalign=align)
