"""Late modalities: all others are trained first, then these are added one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from bench import conditions as t
from bench.contract import Unsupported

_LAST: Final = re.compile(r"last(?:-([0-9]+))?")


class Late(t.Condition):
    """Rows stay as they are; the cell fits a method without these modalities, then extends it by each.

    A method offers ``extend(modality, train, validation, context)``. Nothing that was trained may change, and
    no row of the other modalities is handed out again.
    """

    card = t.ConditionCard(
        name="late",
        title="late modality",
        group="modalities",
        changes="the modality named by the level, or the last k by last-k, are added after all others, one "
        "after the other; nothing trained changes",
        levels=("last",),
        sources="SHE's streaming; DRCL, SDML and MARS train modalities apart",
        in_files=False,
    )

    @classmethod
    def named_level(cls, level: str) -> str:
        """Return ``last`` for ``last-1``; see `Condition.named_level`."""
        if (match := _LAST.fullmatch(level)) is None and level:
            return level
        if match is None or (count := int(match[1] or 1)) < 1:
            raise ValueError(level)
        return "last" if count == 1 else f"last-{count}"


def named_late(conditions: Iterable[str]) -> list[str]:
    """Return the modalities that ids of conditions name as late."""
    parts = [condition.partition("@") for condition in conditions]
    return [level for head, _, level in parts if head == "late" and not _LAST.fullmatch(level)]


def late_modalities(level: str, modalities: Sequence[str], dataset: str) -> tuple[str, ...]:
    """Return the modalities that are added later, in the order in which they come.

    A level is the name of one of a dataset's modalities, ``last``, or ``last-k`` for the last k.

    Raises:
        Unsupported: if there is no such modality, or none is left to be trained first.
    """
    if (match := _LAST.fullmatch(level)) is None:
        if level not in modalities:
            names = ", ".join(modalities)
            raise Unsupported(f"{dataset} has no modality {level} to be added later: {names}")
        return (level,)
    count = int(match[1] or 1)
    if count >= len(modalities):
        raise Unsupported(
            f"late@{level} leaves no modality to be trained first: it needs {count + 1}, and there are "
            f"{len(modalities)}"
        )
    return tuple(modalities)[-count:]
