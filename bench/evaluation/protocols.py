"""Protocols: a measure with its rules, and the id that names it; how per-query values become one number.

| id | value of a query | mean over queries |
|---|---|---|
| ``map@all``, ``map@K/D`` | average precision, cut-off K, denominator D | mAP |
| ``recall@K`` | 1 if an item with the query's id is in the top K, else 0 | R@K |
| ``recall@K/class`` | share of the R items with a shared label that are in the top K | recall |
| ``precision@K`` | items with a shared label in the top K, divided by K | P@K |
| ``ndcg@all``, ``ndcg@K`` | DCG of the top K, divided by that of the best order | nDCG |
| ``mrr``, ``mrr/class`` | 1 / rank of the first item with the query's id, or with a shared label | MRR |
| ``medr``, ``medr/class`` | that rank | MedR: the median over queries |
| ``meanr``, ``meanr/class`` | that rank | mean rank |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np

from bench.contract import Split, UsageError
from bench.evaluation.inputs import Vector
from bench.evaluation.ties import TieRule

MeasureName = Literal["map", "recall", "precision", "ndcg", "mrr", "medr", "meanr"]

Denominator = Literal["hits", "min", "relevant", "first"]
"""``hits``: relevant items found in the top k; ``min``: min(R, k); ``relevant``: R. With ``first`` k counts
relevant items and not ranks: precisions at the first min(R, k) relevant items, wherever they rank, divided by
min(R, k)."""

EmptyRule = Literal["zero", "skip"]
"""``zero``: a query without hits counts 0, and in ``medr`` and ``meanr`` the rank after the last item;
``skip``: it is NaN, and left out."""

Level = Literal["instance", "class"]
"""What is relevant to a query: items with its id, or items that share a label with it."""

_RANKS: Final = ("medr", "meanr")
_BY_IDS: Final = ("recall", "mrr", *_RANKS)
"""Measures of the instance level, unless their id ends in ``/class``."""
_CUT: Final = ("map", "recall", "precision", "ndcg")
_UNCUT: Final = ("map", "ndcg")
"""Measures that have a cut-off, and those of them that are also defined without."""

_GRAMMAR = (
    "map@all or map@K, recall@K, precision@K, ndcg@all or ndcg@K, mrr, medr or meanr; then /hits, /min, "
    "/relevant or /first for map@K, optionally /class for recall, mrr, medr and meanr, /skip, one of "
    "/optimistic, /pessimistic or /argsort, and /gallery"
)
_CHOICES: Final[Mapping[str, tuple[Any, ...]]] = {
    "denominator": get_args(Denominator),
    "ties": get_args(TieRule),
    "empty": get_args(EmptyRule),
    "measure": get_args(MeasureName),
    "level": get_args(Level),
}
_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: _CHOICES[name] for name in ("denominator", "ties", "empty")},
    "level": ("class",),
    "gallery": ("gallery",),
}


def check_cutoff(k: int | None) -> None:
    """Refuse a cut-off that is no rank.

    Raises:
        UsageError: unless k is None or a whole number of at least 1.
    """
    if k is not None and (isinstance(k, bool) or k != int(k) or k < 1):
        raise UsageError(f"k must be a rank of at least 1, or None for the full ranking, not {k!r}")


@dataclass(frozen=True)
class Protocol:
    """A measure and the rules by which it is computed.

    Attributes:
        k: cut-off, a rank of the gallery; None for the full ranking.
        denominator: of mAP: what the sum of precisions is divided by; all are equal without cut-off.
        ties: expectation over all orders of tied items, the best, the worst, or a sort's order.
        empty: what becomes of a query without hits.
        measure: what is computed.
        level: what is relevant; mAP, precision and nDCG have the class level alone.
        gallery: whether test rows rank a separate gallery split, and not each other.

    Raises:
        UsageError: if a value is none of those, or a measure lacks its cut-off or takes none.
    """

    k: int | None = None
    denominator: Denominator = "hits"
    ties: TieRule = "expected"
    empty: EmptyRule = "zero"
    measure: MeasureName = "map"
    level: Level = "instance"
    gallery: bool = False

    def __post_init__(self) -> None:
        """Check the values; give every rule one spelling."""
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise UsageError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        check_cutoff(self.k)
        if self.k is None and self.measure in _CUT and self.measure not in _UNCUT:
            raise UsageError(f"{self.measure} needs a cut-off, as in {self.measure}@10")
        if self.k is not None and self.measure not in _CUT:
            raise UsageError(f"{self.measure} has no cut-off: write {self.measure}")
        if self.k is None or self.measure != "map":
            object.__setattr__(self, "denominator", "hits")
        if self.measure not in _BY_IDS:
            object.__setattr__(self, "level", "class")

    @property
    def id(self) -> str:
        """The rule's name, such as ``map@50/min`` or ``recall@10``; `parse` reads it back."""
        cut = "" if self.measure not in _CUT else "@all" if self.k is None else f"@{self.k}"
        parts = [self.measure + cut]
        parts += [self.denominator] if self.measure == "map" and self.k is not None else []
        parts += ["class"] if self.measure in _BY_IDS and self.level == "class" else []
        parts += ["skip"] if self.empty == "skip" else []
        parts += [self.ties] if self.ties != "expected" else []
        parts += ["gallery"] if self.gallery else []
        return "/".join(parts)

    @property
    def base(self) -> str:
        """The id without ``/gallery``."""
        return replace(self, gallery=False).id

    @property
    def bounded(self) -> bool:
        """Whether values lie between 0 and 1; those of ``medr`` and ``meanr`` are ranks, lower is better."""
        return self.measure not in _RANKS

    def __str__(self) -> str:
        return self.id

    def aggregate(self, values: Vector) -> float:
        """Return the number of all queries ``(n_queries,)``: the median for ``medr``, otherwise the mean.

        NaN is a query that is left out; if all are, it is the result.
        """
        counted = values[~np.isnan(values)]
        middle = np.median if self.measure == "medr" else np.mean
        return float(middle(counted)) if len(counted) else float("nan")

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """Return the protocol called ``text``, such as ``map@all``, ``map@50/hits/skip`` or ``recall@10``.

        Raises:
            UsageError: if there is no such protocol.
        """
        head, *rest = text.strip().lower().split("/")
        match = re.fullmatch(rf"({'|'.join(get_args(MeasureName))})(?:@(all|\d{{1,18}}))?", head)
        if match is None or (match[2] is None and match[1] in _CUT):
            raise UsageError(f"{text!r} is not a protocol; write {_GRAMMAR}")
        if match[2] == "all" and match[1] not in _UNCUT:
            raise UsageError(f"{text!r}: {match[1]} is not defined without cut-off; write {_GRAMMAR}")
        k = int(match[2]) if match[2] not in (None, "all") else None
        unfit = {"denominator"} if match[1] != "map" else set[str]()
        unfit |= {"level"} if match[1] not in _BY_IDS else set()
        chosen: dict[str, Any] = {"measure": match[1]}
        for part in rest:
            kind = next((name for name, choices in _SUFFIXES.items() if part in choices), None)
            if kind is None or kind in unfit or kind in chosen:
                problem = f"is a second {kind} rule" if kind in chosen else "stands for nothing here"
                raise UsageError(f"{part!r} in protocol {text!r} {problem}; write {_GRAMMAR}")
            chosen[kind] = part if kind != "gallery" else True
        if match[1] == "map" and k is not None and "denominator" not in chosen:
            options = ", ".join(f"map@{k}/{name}" for name in get_args(Denominator))
            raise UsageError(f"{text!r} does not say what to divide by; write one of {options}")
        return cls(k, **chosen)


STANDARD_PROTOCOLS: Final[tuple[Protocol, ...]] = (
    Protocol(),
    Protocol(50, "hits"),
    Protocol(50, "min"),
    Protocol(50, "relevant"),
)
"""The rules that every result is reported under."""

FURTHER_PROTOCOLS: Final = (
    *("precision@10", "ndcg@100"),
    *("recall@1", "recall@5", "recall@10", "mrr", "medr"),
)
"""Ids of the rules that `standard_protocols` adds; the last five need ids of the rows."""


class Usable(NamedTuple):
    """Protocols that the rows of a split admit, and why they do not admit others, by their ids."""

    protocols: tuple[Protocol, ...]
    unavailable: dict[str, str]


def standard_protocols(split: Split, gallery: Split | None = None) -> tuple[Protocol, ...]:
    """Return the protocols that suit the rows of a split: those of `STANDARD_PROTOCOLS` first.

    Precision at 10 and nDCG at 100 follow and, where the queries of every direction find some of their ids
    among the items (the gallery, or the split itself), the measures of the instance level: recall at 1, 5
    and 10, reciprocal and median rank.
    """
    return usable_protocols(FURTHER_PROTOCOLS, split, gallery).protocols


def usable_protocols(further: Iterable[str], split: Split, gallery: Split | None = None) -> Usable:
    """Return `STANDARD_PROTOCOLS` and those of ``further`` ids that a split admits.

    Those of the instance level need queries that find some of their ids among the items of every direction.
    """
    rules = dict.fromkeys([*STANDARD_PROTOCOLS, *map(Protocol.parse, further)])
    ids = ((f"{a} and {b}", split[a].ids, (gallery or split)[b].ids) for a, b in permutations(split, 2))
    apart = [
        f"no ids say which rows of {names} show the same"
        if a is None or b is None
        else f"of {names}, no id of a query is among the ids of the items"
        for names, a, b in ids
        if a is None or b is None or not np.isin(a, b).any()
    ]
    known = [rule for rule in rules if rule.level == "class" or not apart]
    why = {rule.id: apart[0] for rule in rules if rule not in known}
    return Usable(tuple(replace(rule, gallery=gallery is not None) for rule in known), why)


def further_protocols(words: Sequence[str]) -> tuple[str, ...]:
    """Return the ids, without ``/gallery``, that words ask for beyond `STANDARD_PROTOCOLS`.

    ``standard`` means `FURTHER_PROTOCOLS`.

    Raises:
        UsageError: for a word that is no protocol, or one that leaves queries out: records have all.
    """
    names = [name for word in words for name in (FURTHER_PROTOCOLS if word == "standard" else (word,))]
    rules = dict.fromkeys(Protocol.parse(Protocol.parse(name).base) for name in names)
    if skipping := [rule.id for rule in rules if rule.empty == "skip"]:
        raise UsageError(
            f"{skipping[0]} leaves queries out, and records hold a value of every query; `explain` shows it"
        )
    return tuple(rule.id for rule in rules if rule not in STANDARD_PROTOCOLS)
