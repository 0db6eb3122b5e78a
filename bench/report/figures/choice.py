"""What a figure of methods shows of the rows of a table: one of each method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from bench.analysis.labels import Labels


class Named(Protocol):
    """A row of a method."""

    @property
    def method(self) -> str:
        """Return the registry name."""

    @property
    def label(self) -> str:
        """Return the method as the tables print it."""

    @property
    def usual(self) -> bool:
        """Return whether it is the method itself with its usual settings, and the last such row."""


Some = TypeVar("Some", bound=Named)


def one_each(rows: Iterable[Some], labels: Labels, *, reference_points: bool = True) -> list[Some]:
    """Return one row per method: as it is usually set, or else the first; in the order of the rows.

    Ablations and rows with other settings have figures of their own, and look the same as their method.

    Args:
        rows: in the roster's order.
        labels: titles and roles.
        reference_points: whether to keep methods of the role ``reference``, such as chance.
    """
    chosen: dict[str, Some] = {}
    for row in rows:
        if labels.role(row.method) == "reference" and not reference_points:
            continue
        if row.method not in chosen or (row.usual and not chosen[row.method].usual):
            chosen[row.method] = row
    return list(chosen.values())


def names_of(rows: Sequence[Named], labels: Labels) -> list[str]:
    """Return short names for `one_each` of the methods: titles, with a star where not as usually set."""
    titles = Counter(labels.title(row.method) for row in rows)
    names = []
    for row in rows:
        title = labels.title(row.method)
        name = title if titles[title] == 1 else f"{title} ({row.method})"
        names.append(name if row.usual else f"{name}*")
    return names


def remark(rows: Sequence[Named]) -> str:
    """Return the sentence for a caption that explains the star of `names_of`; empty without one."""
    starred = any(not row.usual for row in rows)
    return " *: with other settings than usual, or an ablation; see the tables." if starred else ""
