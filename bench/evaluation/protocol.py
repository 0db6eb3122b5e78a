"""Evaluation rules with names: cut-off, denominator, ties, queries without hits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from bench.contract import UsageError
from bench.evaluation.ties import TieRule

Denominator = Literal["hits", "min", "relevant"]
"""``hits``: relevant items found in the top k; ``min``: min(R, k); ``relevant``: R."""

EmptyRule = Literal["zero", "skip"]
"""``zero``: a query without hits counts 0; ``skip``: it is NaN, and left out of the mean."""

_GRAMMAR = (
    "map@all or map@K, then /hits, /min or /relevant for map@K, "
    "then optionally /skip, and one of /optimistic, /pessimistic or /argsort"
)


def check_cutoff(k: int | None) -> None:
    """Refuse a cut-off that is no rank.

    Raises:
        UsageError: unless k is None or a whole number of at least 1.
    """
    if k is not None and (isinstance(k, bool) or k != int(k) or k < 1):
        raise UsageError(f"k must be a rank of at least 1, or None for the full ranking, not {k!r}")


@dataclass(frozen=True)
class Protocol:
    """A rule by which mean average precision is computed.

    Attributes:
        k: cut-off, a rank of the gallery; None for the full ranking.
        denominator: what the sum of precisions is divided by; all three are one without cut-off.
        ties: expectation over all orders of tied items, the best, the worst, or a sort's order.
        empty: what becomes of a query without hits.

    Raises:
        UsageError: if a value is none of those.
    """

    k: int | None = None
    denominator: Denominator = "hits"
    ties: TieRule = "expected"
    empty: EmptyRule = "zero"

    def __post_init__(self) -> None:
        """Check the values; give every rule one spelling."""
        for name, value, choices in (
            ("denominator", self.denominator, get_args(Denominator)),
            ("ties", self.ties, get_args(TieRule)),
            ("empty", self.empty, get_args(EmptyRule)),
        ):
            if value not in choices:
                raise UsageError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        check_cutoff(self.k)
        if self.k is None:
            object.__setattr__(self, "denominator", "hits")

    @property
    def id(self) -> str:
        """The rule's name, such as ``map@50/min``; `parse` reads it back."""
        parts = ["map@all"] if self.k is None else [f"map@{self.k}", self.denominator]
        parts += ["skip"] if self.empty == "skip" else []
        parts += [self.ties] if self.ties != "expected" else []
        return "/".join(parts)

    def __str__(self) -> str:
        """Return the id."""
        return self.id

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """Return the protocol called ``text``, such as ``map@all`` or ``map@50/hits/skip``.

        Raises:
            UsageError: if there is no such protocol.
        """
        head, *rest = text.strip().lower().split("/")
        match = re.fullmatch(r"map@(all|\d+)", head)
        if match is None:
            raise UsageError(f"{text!r} is not a protocol; write {_GRAMMAR}")
        k = None if match[1] == "all" else int(match[1])
        chosen: dict[str, str] = {}
        for part in rest:
            kind = _KINDS.get(part)
            if kind is None or kind in chosen:
                problem = "stands for nothing here" if kind is None else f"is a second {kind} rule"
                raise UsageError(f"{part!r} in protocol {text!r} {problem}; write {_GRAMMAR}")
            chosen[kind] = part
        if k is not None and "denominator" not in chosen:
            options = ", ".join(f"map@{k}/{name}" for name in get_args(Denominator))
            raise UsageError(f"{text!r} does not say what to divide by; write one of {options}")
        return cls(
            k,
            cast("Denominator", chosen.get("denominator", "hits")),
            cast("TieRule", chosen.get("ties", "expected")),
            cast("EmptyRule", chosen.get("empty", "zero")),
        )


_KINDS = {
    **dict.fromkeys(get_args(Denominator), "denominator"),
    **dict.fromkeys(get_args(TieRule), "ties"),
    **dict.fromkeys(get_args(EmptyRule), "empty"),
}

STANDARD_PROTOCOLS: tuple[Protocol, ...] = (
    Protocol(),
    Protocol(50, "hits"),
    Protocol(50, "min"),
    Protocol(50, "relevant"),
)
"""The rules that every result is reported under."""
