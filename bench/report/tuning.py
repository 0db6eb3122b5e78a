"""The page about trials: what was tried for every method, and what it was judged by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby

from tabulate import tabulate

from bench.analysis.labels import Labels
from bench.analysis.settings import Attempt, Tuning
from bench.report.text import data_heading, escape_markdown

HEADINGS = ("Method", "trials", "seeds", "start", "best", "changes of the best", "seconds")


def tuning_page(tunings: Sequence[Tuning], labels: Labels) -> str:
    """Return a Markdown page with a table per dataset and profile; a budget that differs shows at once."""
    parts = [
        "# Trials",
        "Validation mAP@all, mean over directions and seeds. Settings were drawn at random with one fixed "
        "seed; the test split was sealed throughout. *start* is what the trials started from, *best* the "
        "highest.",
    ]
    for data, members in groupby(tunings, lambda tuning: tuning.data):
        parts.append(f"## {data_heading(data)}")
        rows = [_row(tuning, labels) for tuning in sorted(members, key=lambda t: labels.order(t.method))]
        parts.append(tabulate(rows, headers=HEADINGS, tablefmt="github", disable_numparse=True))
    return "\n\n".join(parts) + "\n"


def _row(tuning: Tuning, labels: Labels) -> list[str]:
    best = tuning.best
    changes = best.changes if best is not None else {}
    return [
        escape_markdown(labels.title(tuning.method)),
        str(len(tuning.attempts)),
        str(len(tuning.seeds)),
        _value(tuning.start),
        _value(best),
        escape_markdown(", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(changes.items()))),
        f"{sum(attempt.seconds for attempt in tuning.attempts):.0f}",
    ]


def _value(attempt: Attempt | None) -> str:
    return "-" if attempt is None or attempt.value is None else f"{attempt.value:.4f}"
