"""The page about convergence: had training come to rest when it ended?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tabulate import tabulate

from bench.analysis.convergence import FLAT, Curve
from bench.analysis.groups import Data
from bench.report.text import data_heading, escape_markdown

SHARES = (0.25, 0.5, 0.75, 1.0)


def convergence_page(curves: Mapping[Data, Sequence[Curve]]) -> str:
    """Return a Markdown page with a table per dataset: the best validation mAP within parts of the epochs."""
    parts = [
        "# Convergence",
        "Best validation mAP@all within the first quarter, half and three quarters of the epochs, and within "
        f"all. A curve is flat if the last quarter adds at most {FLAT:.2f}.",
    ]
    for data, members in curves.items():
        headings = ("Method", "epochs", *(f"{100 * share:.0f} %" for share in SHARES), "last quarter", "flat")
        rows = [_row(curve) for curve in members]
        align = ["left", *["right"] * (len(headings) - 2), "left"]
        table = tabulate(rows, headers=headings, tablefmt="github", disable_numparse=True, colalign=align)
        parts += [f"## {data_heading(data)}", table]
    return "\n\n".join(parts) + "\n"


def _row(curve: Curve) -> list[str]:
    return [
        escape_markdown(curve.label),
        str(len(curve.values)),
        *(f"{curve.best_within(share):.3f}" for share in SHARES),
        f"+{curve.late_gain:.3f}",
        "yes" if curve.flat else "still rising",
    ]
